"""What the browser's upgrade request says of its grant."""

from email.message import Message

SUBPROTOCOL = "binary"
_GRANT_PREFIX = "grant."


def grant_token(headers: Message) -> str | None:
    """The token among the offered subprotocols `binary, grant.<token>`; None without both."""
    offered = offered_subprotocols(headers)
    tokens = [name.removeprefix(_GRANT_PREFIX) for name in offered if name.startswith(_GRANT_PREFIX)]
    return tokens[0] if SUBPROTOCOL in offered and len(tokens) == 1 and tokens[0] else None


def offered_subprotocols(headers: Message) -> list[str]:
    """Those of all Sec-WebSocket-Protocol headers, RFC 6455 §4.1."""
    values = headers.get_all("Sec-WebSocket-Protocol", [])
    return [name.strip() for value in values for name in str(value).split(",") if name.strip()]
