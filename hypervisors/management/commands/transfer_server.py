"""Carry uploads and downloads: behind nginx's /transfer/, on loopback or, for a nginx on another machine, on a private
network.
"""

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


class Command(BaseCommand):
    help = "Carries uploads and downloads of volumes until it is told to stop."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = (settings.TRANSFER_HOST, settings.TRANSFER_PORT)
        parser.add_argument("--listen", type=listening_address, default=default, metavar="HOST:PORT")

    def handle(self, *args: Any, **options: Any) -> None:
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
