"""What the browser's upgrade request says: where its page came from, its grant, and its login session."""

from collections.abc import Iterable
from email.message import Message
from urllib.parse import urlsplit

from django.conf import settings
from django.http import parse_cookie

SUBPROTOCOL = "binary"
_GRANT_PREFIX = "grant."
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_allowed_origin(origin: str | None, allowed: Iterable[str]) -> bool:
    """Whether a page of this origin may open consoles. No Origin: no; only programs leave it out."""
    asked = _origin_parts(origin or "")
    return asked is not None and asked in {_origin_parts(each) for each in allowed}


def grant_token(headers: Message) -> str | None:
    """The token among the offered subprotocols `binary, grant.<token>`; None without both."""
    offered = offered_subprotocols(headers)
    tokens = [name.removeprefix(_GRANT_PREFIX) for name in offered if name.startswith(_GRANT_PREFIX)]
    return tokens[0] if SUBPROTOCOL in offered and len(tokens) == 1 and tokens[0] else None


def offered_subprotocols(headers: Message) -> list[str]:
    """Those of all Sec-WebSocket-Protocol headers, RFC 6455 §4.1."""
    values = headers.get_all("Sec-WebSocket-Protocol", [])
    return [name.strip() for value in values for name in str(value).split(",") if name.strip()]


def session_key(headers: Message) -> str:
    """The login session in the cookie; "" without one."""
    return parse_cookie(str(headers.get("Cookie", ""))).get(settings.SESSION_COOKIE_NAME, "")


def _origin_parts(origin: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname, port
