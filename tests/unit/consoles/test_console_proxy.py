"""The proxy's decisions: origins, subprotocols, kicks, addresses, reasons."""

from email.message import Message
from uuid import uuid4

import pytest

from hypervisors.access.browsers import is_allowed_origin
from hypervisors.console.closing import close_reason
from hypervisors.console.sessions import ConsoleSession
from hypervisors.console.upgrade_requests import grant_token
from hypervisors.errors import NotPossible
from hypervisors.gateway.consoles.displays import parse_vnc_display
from hypervisors.gateway.consoles.rfb_security import vnc_response
from hypervisors.models.consoles.grants import hash_session
from hypervisors.models.consoles.kicks import ConsoleKick, parse_kick

ALLOWED = ["https://portal.example.org", "http://localhost:8080"]


@pytest.mark.parametrize(
    "origin", ["https://portal.example.org", "https://PORTAL.example.org:443", "http://localhost:8080"]
)
def test_our_own_pages_may_open_consoles(origin: str) -> None:
    assert is_allowed_origin(origin, ALLOWED)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://portal.example.org",
        "https://portal.example.org:8443",
        "https://portal.example.org.evil.example",
        "https://evil.example/?https://portal.example.org",
        "http://localhost",
        "http://localhost:http",
    ],
)
def test_other_pages_may_not(origin: str | None) -> None:
    assert not is_allowed_origin(origin, ALLOWED)


def test_nobody_may_when_no_origin_is_configured() -> None:
    assert not is_allowed_origin("http://localhost:8080", [])
    assert not is_allowed_origin("", [])


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        (["binary, grant.abc"], "abc"),
        (["grant.abc,binary"], "abc"),
        (["binary", "grant.abc"], "abc"),
        (["grant.abc"], None),
        (["binary"], None),
        (["binary, grant."], None),
        (["binary, grant.a, grant.b"], None),
        ([], None),
    ],
)
def test_the_token_is_read_from_the_subprotocols(headers: list[str], token: str | None) -> None:
    message = Message()
    for value in headers:
        message["Sec-WebSocket-Protocol"] = value
    assert grant_token(message) == token


def _session(**fields: object) -> ConsoleSession:
    defaults = {
        "user_id": 1,
        "username": "alice",
        "session_key": "secret",
        "domain_uuid": uuid4(),
        "domain_name": "web1",
        "hypervisor_id": 3,
        "mode": "control",
        "address": "::1",
    }
    return ConsoleSession(**(defaults | fields))  # type: ignore[arg-type]


def test_a_kick_fits_when_all_it_names_is_the_sessions() -> None:
    session = _session()
    domain = str(session.domain_uuid)
    assert session.fits(ConsoleKick(user=1, domain=domain))
    assert session.fits(ConsoleKick(session=hash_session("secret")))
    assert session.fits(ConsoleKick(hypervisor=3))
    assert not session.fits(ConsoleKick(user=1, domain=str(uuid4())))
    assert not session.fits(ConsoleKick(user=2, domain=domain))
    assert not session.fits(ConsoleKick(hypervisor=4))


def test_a_sessions_key_is_not_shown() -> None:
    assert "secret" not in repr(_session())


@pytest.mark.parametrize("message", [b"{}", b"[]", b"nonsense", b'{"code": 4001}', b'{"user": 1, "colour": "red"}'])
def test_a_kick_that_names_nobody_is_refused(message: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_kick(message)


def test_a_long_reason_is_cut_to_what_a_close_frame_holds() -> None:
    assert close_reason("off") == "off"
    cut = close_reason("ü" * 200)
    assert len(cut.encode()) <= 123
    assert cut.endswith("ü…")


def _xml(*graphics: str) -> str:
    return f"<domain><devices>{''.join(graphics)}</devices></domain>"


def test_the_vnc_display_is_found_beside_others() -> None:
    vnc = '<graphics type="vnc" port="5907" passwd="geheim"><listen type="address" address="10.0.0.1"/></graphics>'
    display = parse_vnc_display(_xml('<graphics type="spice" port="5900"/>', vnc))
    assert (display.address, display.port, display.password) == ("10.0.0.1", 5907, "geheim")
    assert "geheim" not in repr(display)


@pytest.mark.parametrize(
    ("graphics", "said"),
    [
        ((), "no display"),
        (('<graphics type="spice" port="1"/>',), "only spice"),
        (('<graphics type="vnc" port="-1"/>',), "no port"),
        (('<graphics type="vnc"><listen type="none"/></graphics>',), "no network display.*“none”"),
    ],
)
def test_no_vnc_display_says_why(graphics: tuple[str, ...], said: str) -> None:
    with pytest.raises(NotPossible, match=said):
        parse_vnc_display(_xml(*graphics))


def test_a_vnc_password_answers_the_challenge_as_vnc_servers_expect() -> None:
    # DES of eight zero bytes under the key of "password" with mirrored bits, twice: libvncserver's vncEncryptBytes.
    block = vnc_response(b"\0" * 16, "password")
    assert len(block) == 16
    assert block[:8] == block[8:]
    assert vnc_response(b"\0" * 16, "password and more") == block
    assert vnc_response(b"\0" * 16, "Password") != block
