"""Why a console ends: the websocket close codes that the viewer understands."""

from hypervisors.models.consoles.kicks import KICKED, MOVED

# RFC 6455 §7.4; those from 4000 on are ours.
NORMAL = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
TOO_BIG = 1009
INTERNAL_ERROR = 1011
HYPERVISOR_CLOSED = 4000
NOT_ALLOWED = 4003
UNREACHABLE = 4004
# The same page opened another console in its place.
REPLACED = 4005
# The person has as many open as one may.
TOO_MANY = 4006

__all__ = [
    "GOING_AWAY",
    "HYPERVISOR_CLOSED",
    "INTERNAL_ERROR",
    "KICKED",
    "MOVED",
    "NORMAL",
    "NOT_ALLOWED",
    "PROTOCOL_ERROR",
    "REPLACED",
    "TOO_BIG",
    "TOO_MANY",
    "UNREACHABLE",
    "ConsoleClosed",
    "close_reason",
]

# A close frame has 125 bytes, two of them for the code.
_REASON_BYTES = 123


class ConsoleClosed(Exception):
    """The console ends now; the browser gets this code and reason."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def close_reason(text: str) -> str:
    """The text cut to what a close frame holds, at a character's border."""
    encoded = text.encode()
    if len(encoded) <= _REASON_BYTES:
        return text
    return encoded[: _REASON_BYTES - 3].decode(errors="ignore") + "…"
