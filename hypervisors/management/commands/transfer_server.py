"""Carry uploads and downloads: behind nginx's /transfer/, on loopback or, for a nginx on another machine, on a private
network.
"""

import ctypes
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hypervisors.gateway.ssh_tunnels import close_shared_connections
from hypervisors.management.commands.console_proxy import listening_address
from hypervisors.models.instances import Announcer, this_instance
from hypervisors.transfer.server import TransferServer

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Command(BaseCommand):
    help = "Carries uploads and downloads of volumes until it is told to stop."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = (settings.TRANSFER_HOST, settings.TRANSFER_PORT)
        parser.add_argument("--listen", type=listening_address, default=default, metavar="HOST:PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        _keep_freed_memory()
        host, port = options["listen"]
        server = TransferServer((host, port))
        self.stdout.write(f"The transfer process listens on {host}:{port}.")
        stopping = threading.Thread(target=server.stop, name="transfer-stop")

        def stop(*_: object) -> None:
            # shutdown() waits for serve_forever(), which this very thread runs: another must call it.
            if stopping.ident is None:
                stopping.start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        announcer = Announcer(lambda: this_instance("transfer", address=f"{host}:{port}"))
        announcer.start()
        server.serve_forever()
        announcer.stop()
        stopping.join()
        close_shared_connections()


def _keep_freed_memory() -> None:
    """Blocks come and go by the thousand: each would else be mapped and unmapped, mallopt(3).

    https://man7.org/linux/man-pages/man3/mallopt.3.html; elsewhere than with glibc it is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 16 * 1024**2)
        mallopt(_M_MMAP_THRESHOLD, 4 * 1024**2)
