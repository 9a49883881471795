"""Carry consoles: behind nginx's /console/, on loopback or, for a nginx on another machine, on a private network."""

import signal
import threading
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hypervisors.console.proxy import ConsoleServer
from hypervisors.gateway.ssh_tunnels import close_shared_connections
from hypervisors.models.instances import Announcer, this_instance


class Command(BaseCommand):
    help = "Runs the console proxy until it is told to stop."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = (settings.CONSOLE_HOST, settings.CONSOLE_PORT)
        parser.add_argument("--listen", type=listening_address, default=default, metavar="HOST:PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["listen"]
        server = ConsoleServer((host, port))
        self.stdout.write(f"The console proxy listens on {host}:{port}.")
        stopping = threading.Thread(target=server.stop, name="console-stop")

        def stop(*_: object) -> None:
            # shutdown() waits for serve_forever(), which this very thread runs: another must call it.
            if stopping.ident is None:
                stopping.start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        announcer = Announcer(lambda: this_instance("console", address=f"{host}:{port}"))
        announcer.start()
        server.serve_forever()
        announcer.stop()
        stopping.join()
        close_shared_connections()


def listening_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host, int(port)
