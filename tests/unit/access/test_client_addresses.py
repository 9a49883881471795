"""A browser's address behind our nginx, alone and behind other proxies; nobody's claim about themselves is believed."""

import http.client
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from deploy.environment import REPOSITORY
from deploy.ports import free_port
from hypervisors.access.client_addresses import address_of, client_address, network_of
from hypervisors.models import AuditRecord


@pytest.fixture
def trust(settings: LazySettings) -> Callable[..., None]:
    def trust(*networks: str, own: tuple[str, ...] = ()) -> None:
        settings.TRUSTED_PROXIES = [ip_network(network) for network in networks]
        settings.OWN_PROXIES = [ip_network(network) for network in own]

    return trust


@pytest.mark.parametrize("peer", ["", "127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("chain", "trusted", "address"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        # What the browser claims stands before what nginx wrote.
        ("10.0.0.1, 198.51.100.7", [], "198.51.100.7"),
        ("127.0.0.1, 198.51.100.7", [], "198.51.100.7"),
        # Another proxy that nobody named is the client.
        ("198.51.100.7, 10.0.0.9", [], "10.0.0.9"),
        ("198.51.100.7, 10.0.0.9", ["10.0.0.9/32"], "198.51.100.7"),
        ("203.0.113.66, 198.51.100.7, 10.0.0.9", ["10.0.0.9/32"], "198.51.100.7"),
        ("203.0.113.66, 198.51.100.7, 10.0.0.8, 10.0.0.9", ["10.0.0.0/24"], "198.51.100.7"),
        # A browser among the proxies: the first of them, not what is claimed before it.
        ("10.0.0.5, 10.0.0.9", ["10.0.0.0/24"], "10.0.0.5"),
        ("nonsense, 10.0.0.9", ["10.0.0.0/24"], "10.0.0.9"),
        ("198.51.100.7:4711, 10.0.0.9", ["10.0.0.9/32"], "198.51.100.7"),
        ("[2001:db8::7]:4711, fd00::9", ["fd00::/8"], "2001:db8::7"),
        ("::ffff:198.51.100.7", [], "198.51.100.7"),
        ("203.0.113.66, , 10.0.0.9", ["10.0.0.9/32"], "10.0.0.9"),
    ],
)
def test_the_chain_is_read_from_its_end(
    peer: str, chain: str, trusted: list[str], address: str, trust: Callable[..., None]
) -> None:
    trust(*trusted)
    assert client_address(peer=peer, forwarded_for=chain) == address


def test_who_is_not_our_nginx_says_nothing_about_others(trust: Callable[..., None]) -> None:
    trust("10.0.0.9/32", own=("10.0.0.1/32",))
    assert client_address(peer="198.51.100.7", forwarded_for="192.0.2.1") == "198.51.100.7"
    assert client_address(peer="10.0.0.9", forwarded_for="192.0.2.1") == "10.0.0.9"
    assert client_address(peer="10.0.0.1", forwarded_for="192.0.2.1") == "192.0.2.1"


def test_without_a_chain_the_peer_is_the_client(rf: RequestFactory) -> None:
    assert address_of(rf.get("/", REMOTE_ADDR="198.51.100.7")) == "198.51.100.7"
    assert client_address(peer="", forwarded_for="") == ""


def test_an_ipv6_network_is_one_place() -> None:
    assert network_of("2001:db8:1:2:3::4") == "2001:db8:1:2::/64"
    assert network_of("198.51.100.7") == "198.51.100.7"
    assert network_of("nonsense") == "nonsense"


def test_a_claim_moves_neither_limits_nor_the_audit(alice: User, redis_client: Any) -> None:
    for number in range(6):
        client = Client(headers={"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.7"})
        answer = client.post("/accounts/login/", {"login": "alice", "password": "wrong"})
    assert "Too many failed login attempts" in answer.content.decode()
    assert set(AuditRecord.objects.values_list("address", flat=True)) == {"198.51.100.7"}


# --- real proxies, one behind the other


class _Echo(BaseHTTPRequestHandler):
    """In place of vmportal: answers with the chain that reached it."""

    def do_GET(self) -> None:
        body = self.headers.get("X-Forwarded-For", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


OUTER = """
    server {{
        listen 127.0.0.1:{outer};
        location / {{
            proxy_bind 127.0.0.9;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_pass http://127.0.0.1:{inner};
        }}
    }}
"""


@pytest.fixture
def two_proxies(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The ports of our nginx, with its very configuration, and of a second one in front of it, at 127.0.0.9."""
    echo = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=echo.serve_forever, daemon=True).start()
    inner, outer = free_port(), free_port()
    pages = REPOSITORY / "deploy" / "nginx"
    names = {
        "USER_LINE": "",
        "RUNTIME_DIR": str(tmp_path),
        "NGINX_DIR": str(tmp_path),
        "PAGES_DIR": str(pages),
        "STATIC_ROOT": str(tmp_path),
        "OPEN_FILES": "1024",
        "LISTEN": f"127.0.0.1:{inner}",
        "CONSOLE_PORT": str(echo.server_port),
        "TRANSFER_PORT": str(echo.server_port),
        "WEB_SERVERS": f"server 127.0.0.1:{echo.server_port};",
    }
    text = re.sub(r"@(\w+)@", lambda found: names[found[1]], (pages / "nginx.conf.in").read_text())
    head, _, _ = text.rpartition("}")
    (tmp_path / "nginx.conf").write_text(head + OUTER.format(inner=inner, outer=outer) + "}\n")
    nginx = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
    try:
        for port in (inner, outer):
            _until_listening(port)
        yield inner, outer
    finally:
        nginx.terminate()
        nginx.wait(10)
        echo.shutdown()
        echo.server_close()


def _until_listening(port: int) -> None:
    for _ in range(200):
        try:
            assert _chain(port, "127.0.0.1", None) is not None
        except OSError:
            threading.Event().wait(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


def _chain(port: int, source: str, claimed: str | None) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5, source_address=(source, 0))
    try:
        connection.request("GET", "/", headers={"X-Forwarded-For": claimed} if claimed else {})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("claimed", [None, "192.0.2.66", "127.0.0.9", "192.0.2.66, 127.0.0.9", "nonsense"])
def test_a_browser_behind_real_proxies_is_told_from_what_it_claims(
    two_proxies: tuple[int, int], claimed: str | None, trust: Callable[..., None]
) -> None:
    inner, outer = two_proxies
    straight, behind = _chain(inner, "127.0.0.7", claimed), _chain(outer, "127.0.0.7", claimed)
    trust()
    assert client_address(peer="", forwarded_for=straight) == "127.0.0.7"
    # Nobody named the second proxy: all who come through it have its address.
    assert client_address(peer="", forwarded_for=behind) == "127.0.0.9"
    trust("127.0.0.9/32")
    assert client_address(peer="", forwarded_for=straight) == "127.0.0.7"
    assert client_address(peer="", forwarded_for=behind) == "127.0.0.7"
