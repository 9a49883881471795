"""Carry consoles: one process on CONSOLE_PORT of loopback, behind nginx's /console/."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from hypervisors.console.proxy import ConsoleServer
from hypervisors.gateway.ssh_tunnels import close_shared_connections


class Command(BaseCommand):
    help = "Runs the console proxy until it is told to stop."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        server = ConsoleServer(("127.0.0.1", settings.CONSOLE_PORT))
        self.stdout.write(f"The console proxy listens on 127.0.0.1:{settings.CONSOLE_PORT}.")
        stopping = threading.Thread(target=server.stop, name="console-stop")

        def stop(*_: object) -> None:
            # shutdown() waits for serve_forever(), which this very thread runs: another must call it.
            if stopping.ident is None:
                stopping.start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        server.serve_forever()
        stopping.join()
        close_shared_connections()
