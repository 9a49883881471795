"""Carry consoles: behind nginx's /console/, on loopback or, for a nginx on another machine, on a private network."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hypervisors.console.proxy import ConsoleServer
from hypervisors.management.listening import listening_address, serve_until_stopped


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
        serve_until_stopped(server, kind="console", address=(host, port))
