"""Fetching from URLs: where they may lead, and what a server may do; against real servers on this machine."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from hypervisors.fetching import AddressRefused, FetchBroken, FetchRefused, checked_fetch, file_name_of
from hypervisors.fetching.addresses import judged_address, why_refused
from hypervisors.fetching.fetches import checked_url

HERE = (ip_network("127.0.0.0/8"),)
CONTENT = bytes(range(256)) * 1000
MOST = 10**9


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.1.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
    ],
)
def test_addresses_of_private_networks_are_refused_in_every_spelling(address: str) -> None:
    assert why_refused(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14"])
def test_the_internet_is_not_refused(address: str) -> None:
    assert why_refused(ip_address(address)) == ""


def test_an_administrator_allows_a_network_and_nothing_beside_it() -> None:
    allow = (ip_network("10.1.0.0/16"),)
    assert why_refused(ip_address("10.1.2.3"), allow=allow) == ""
    assert why_refused(ip_address("::ffff:10.1.2.3"), allow=allow) == ""
    assert why_refused(ip_address("10.2.2.3"), allow=allow)
    assert why_refused(ip_address("fd00::1"), allow=allow)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433", "[::1]".strip("[]")])
def test_names_and_odd_spellings_of_this_machine_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused, match=r"private network|does not resolve|no address"):
        judged_address(host, 80)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "Only http"),
        ("ftp://example.org/x", "Only http"),
        ("gopher://example.org/", "Only http"),
        ("/etc/passwd", "Only http"),
        ("https:///x", "names no server"),
        ("https://me:secret@example.org/x", "name and a password"),
        ("http://example.org:0/x", "names no server"),
        ("http://example.org:99999/x", "no URL"),
        ("http://example.org/a b", "no URL"),
        ("http://example.org/a\r\nHost: inside", "no URL"),
        ("http://[::1/x", "no URL"),
        ("http://example.org/" + "x" * 3000, "no URL"),
    ],
)
def test_what_is_no_url_of_a_file_is_refused(url: str, reason: str) -> None:
    with pytest.raises(FetchRefused, match=reason):
        checked_url(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/debian%2012.iso?x=1", "debian 12.iso"),
        ("https://example.org/", ""),
        ("https://example.org/a/..%2f..%2fetc", "....etc"),
    ],
)
def test_a_file_is_called_as_in_the_url(url: str, name: str) -> None:
    assert file_name_of(url) == name


class _Server(BaseHTTPRequestHandler):
    """Says who was asked for, and does what its paths are named after."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["Host"]))
        self.close_connection = True
        port = self.server.server_address[1]
        match self.path:
            case "/inside":
                self._answer(302, {"Location": f"http://[::1]:{port}/file"})
            case "/moved":
                self._answer(301, {"Location": "/file"})
            case "/round":
                self._answer(302, {"Location": "/round"})
            case "/scheme":
                self._answer(302, {"Location": "file:///etc/passwd"})
            case "/nowhere":
                self._answer(302, {"Location": "http://[::1/file"})
            case "/absurd":
                self._answer(200, {"Content-Length": "9" * 5000}, b"x" * 10)
            case "/gone":
                self._answer(404)
            case "/busy":
                self._answer(503)
            case "/packed":
                self._answer(200, {"Content-Encoding": "gzip"}, b"x")
            case "/short":
                self._answer(200, {"Content-Length": "1000"}, b"x" * 10)
            case _:
                self._file()

    def _file(self) -> None:
        begin = 0
        if self.headers.get("If-Range") == '"v1"':
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        extent = {"Content-Range": f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}"} if begin else {}
        self._answer(206 if begin else 200, {"ETag": '"v1"'} | extent, CONTENT[begin:])

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    _Server.seen = []
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    thread.join(10)
    listening.server_close()


def fetch(url: str, **more: Any) -> tuple[bytes, Any]:
    options: dict[str, Any] = {"allow": HERE, "most_bytes": MOST} | more
    with checked_fetch(url, **options) as fetched:
        return b"".join(fetched.blocks(10_000)), fetched


def test_a_file_is_fetched_whole_and_from_where_it_broke_off(server: str) -> None:
    body, fetched = fetch(f"{server}/moved")
    assert (body == CONTENT, fetched.length_bytes, fetched.tag) == (True, len(CONTENT), '"v1"')
    rest, again = fetch(f"{server}/file", offset=1000, tag=fetched.tag)
    assert (rest == CONTENT[1000:], again.offset, again.length_bytes) == (True, 1000, len(CONTENT))
    whole, other = fetch(f"{server}/file", offset=1000, tag='"v0"')
    assert (whole == CONTENT, other.offset) == (True, 0)


def test_a_server_of_this_machine_is_not_asked_unless_it_is_allowed(server: str) -> None:
    with pytest.raises(AddressRefused, match="private network"):
        fetch(f"{server}/file", allow=())
    assert _Server.seen == []


def test_a_redirect_is_judged_as_the_first_address_is(server: str) -> None:
    with pytest.raises(AddressRefused, match="::1"):
        fetch(f"{server}/inside")
    with pytest.raises(FetchRefused, match="Only http"):
        fetch(f"{server}/scheme")
    with pytest.raises(FetchRefused, match="without an end"):
        fetch(f"{server}/round")
    with pytest.raises(FetchRefused, match="no URL"):
        fetch(f"{server}/nowhere")
    assert {path for path, _host in _Server.seen} == {"/inside", "/scheme", "/round", "/nowhere"}


def test_a_length_of_thousands_of_digits_is_none(server: str) -> None:
    body, fetched = fetch(f"{server}/absurd")
    assert (body, fetched.length_bytes) == (b"x" * 10, None)


def test_a_name_is_resolved_once_and_the_connection_goes_where_it_was_judged(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.rpartition(":")[2])
    looked_up = []
    real = socket.getaddrinfo

    def rebinding(host: Any, *arguments: Any, **more: Any) -> Any:
        """The second look-up of a name leads inside."""
        if host != "rebinding.example":
            return real(host, *arguments, **more)
        looked_up.append(host)
        return real("127.0.0.1" if len(looked_up) == 1 else "127.0.0.2", *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    body, _fetched = fetch(f"http://rebinding.example:{port}/file", allow=(ip_network("127.0.0.1/32"),))
    assert (body == CONTENT, looked_up) == (True, ["rebinding.example"])
    assert _Server.seen == [("/file", f"rebinding.example:{port}")]


def test_what_a_server_answers_is_told(server: str) -> None:
    with pytest.raises(FetchRefused, match="answered with 404"):
        fetch(f"{server}/gone")
    with pytest.raises(FetchBroken, match="answered with 503"):
        fetch(f"{server}/busy")
    with pytest.raises(FetchRefused, match="compressed"):
        fetch(f"{server}/packed")
    with pytest.raises(FetchRefused, match="more than may be fetched"):
        fetch(f"{server}/file", most_bytes=1000)
    with pytest.raises(FetchBroken, match="broke"):
        fetch(f"{server}/short")
