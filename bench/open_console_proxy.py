"""The console proxy with its two outer decisions given: everybody may enter, and all screens are at one port."""

import os
import socket
import sys
import time
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vmportal.settings")
django.setup()

from hypervisors.console.proxy import ConsoleHandler, ConsoleServer  # noqa: E402
from hypervisors.console.request_reader import UpgradeRequest  # noqa: E402
from hypervisors.console.sessions import ConsoleSession  # noqa: E402
from hypervisors.console.websockets import ConsoleWebSocket  # noqa: E402
from hypervisors.gateway.consoles.display_links import DisplayLink  # noqa: E402
from hypervisors.gateway.consoles.rfb_security import authenticate  # noqa: E402
from hypervisors.gateway.endpoints import Endpoint  # noqa: E402
from hypervisors.gateway.uris import parse_uri  # noqa: E402
from hypervisors.models.consoles.grants import ConsoleGrant  # noqa: E402

ENDPOINT = Endpoint(uri=parse_uri("qemu:///system"), key="bench")


class OpenHandler(ConsoleHandler):
    """Carries without a grant."""

    def _carry(self, browser: ConsoleWebSocket) -> None:
        session = ConsoleSession(
            user_id=1,
            username="bench",
            session_key="",
            domain_uuid=uuid4(),
            domain_name="bench",
            hypervisor_id=1,
            mode="control",
            address="127.0.0.1",
        )
        self.server.registry.add(session)
        link = DisplayLink(socket=socket.create_connection(("127.0.0.1", int(sys.argv[2]))))
        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            link.socket = authenticate(link.socket, ENDPOINT, "", time.monotonic() + 8)
            self._relay(browser, link, session)
        finally:
            link.close()
            self.server.registry.remove(session)


class OpenServer(ConsoleServer):
    """Asks for no grant."""

    def redeem(self, request: UpgradeRequest) -> ConsoleGrant:
        return ConsoleGrant(user_id=1, session_hash="", domain_uuid=uuid4())


if __name__ == "__main__":
    OpenServer(("127.0.0.1", int(sys.argv[1])), OpenHandler).serve_forever()
