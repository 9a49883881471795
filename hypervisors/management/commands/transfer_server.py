"""Carry uploads and downloads: behind nginx's /transfer/, on loopback or, for a nginx on another machine, on a private
network.
"""

import ctypes
import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hypervisors.management.listening import listening_address, serve_until_stopped
from hypervisors.transfer.server import TransferServer

# Pages are waited for by people; who shares a core with them gets what they leave.
_NICENESS = 5
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class Command(BaseCommand):
    help = "Carries uploads and downloads of volumes until it is told to stop."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = (settings.TRANSFER_HOST, settings.TRANSFER_PORT)
        parser.add_argument("--listen", type=listening_address, default=default, metavar="HOST:PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        _keep_freed_memory()
        # Before there are other threads: each has a niceness of its own.
        os.nice(_NICENESS)
        host, port = options["listen"]
        server = TransferServer((host, port))
        self.stdout.write(f"The transfer process listens on {host}:{port}.")
        serve_until_stopped(server, kind="transfer", address=(host, port))


def _keep_freed_memory() -> None:
    """Blocks come and go by the thousand: each would else be mapped and unmapped, mallopt(3).

    https://man7.org/linux/man-pages/man3/mallopt.3.html; elsewhere than with glibc it is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 16 * 1024**2)
        mallopt(_M_MMAP_THRESHOLD, 4 * 1024**2)
