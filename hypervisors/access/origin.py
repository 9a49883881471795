"""Where what is being done comes from, for the audit: a middleware says it for each request."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from hypervisors.models.access import AuditRecord


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The browser's address, and the records that wait for the end of its request."""

    address: str = ""
    is_request: bool = False
    waiting: list[AuditRecord] = field(default_factory=list)


_current: ContextVar[Origin | None] = ContextVar("vmportal_origin", default=None)


def current_origin() -> Origin:
    """That of the request; an empty one outside of requests."""
    return _current.get() or Origin()


@contextmanager
def request_from(address: str) -> Iterator[None]:
    """What happens inside was asked for by a browser at this address."""
    token = _current.set(Origin(address=address, is_request=True))
    try:
        yield
    finally:
        _current.reset(token)
