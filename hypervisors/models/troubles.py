"""That the database cannot be written, known to all processes within moments: by whom it is met, and whom it ends with.

Whoever's write fails notes it; it ends when the watcher or the health check has written again, and nobody's write has
failed for some seconds. It is kept in the cache (Redis), since the database is what fails.
"""

import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django.utils.translation import gettext as _

Kind = Literal["full", "read_only", "away", "locked", "failing"]

_KEY = "vmportal:trouble:database"
# Forgotten by itself when nobody meets it any more: no watcher runs, and nobody asks how well we are.
_FORGET_SECONDS = 30
# A small write may succeed between larger ones that fail.
_QUIET_SECONDS = 3.0
# Between two looks of one process.
_KNOWN_SECONDS = 1.0
# What is written to see whether it can be: a row where every sign-in writes one, past its time, nobody's session.
_PROBE_KEY, _PROBE_SIZE = "vmportal-can-this-be-written", 6000
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# Of the file system that a SQLite database is on: its log grows before it is worked in.
_LEAST_FREE_BYTES = 1 << 20

# https://www.sqlite.org/rescode.html
_SQLITE: dict[str, Kind] = {
    "SQLITE_FULL": "full",
    "SQLITE_READONLY": "read_only",
    "SQLITE_IOERR": "failing",
    "SQLITE_CANTOPEN": "failing",
    "SQLITE_CORRUPT": "failing",
}
# SQLSTATEs and classes of them, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL: dict[str, Kind] = {
    "53100": "full",
    "25006": "read_only",
    "53": "failing",
    "58": "failing",
    "XX001": "failing",
    "XX002": "failing",
    "57P": "away",
    "08": "away",
}

_AWAY = {"OperationalError", "ConnectionTimeout", "PoolTimeout", "InterfaceError"}


class NoRoom(DatabaseError):
    """The file system of the database has next to no room left."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Times are epoch seconds."""

    kind: Kind
    detail: str
    since: float
    failed_at: float

    @property
    def reason(self) -> str:
        """ "its disk is full, since 14:05:06"."""
        clock = timezone.localtime(datetime.fromtimestamp(self.since, tz=UTC)).strftime("%H:%M:%S")
        return _("%(reason)s, since %(clock)s") % {"reason": self._cause(), "clock": clock}

    @property
    def text(self) -> str:
        """For people."""
        return _(
            "The database cannot be written: %(reason)s. What you see may be old, and nothing can be changed until "
            "that is mended. Virtual machines are not affected."
        ) % {"reason": self.reason}

    def _cause(self) -> str:
        causes = {
            "full": _("its disk is full"),
            "read_only": _("it takes no changes (read-only)"),
            "away": _("it does not answer"),
            "locked": _("somebody keeps it locked"),
        }
        return causes.get(self.kind) or self.detail


def note_failure(error: BaseException) -> Trouble | None:
    """The trouble that a failed write tells of; None when it is the data's or the moment's."""
    kind = _kind(error)
    if kind is None:
        return None
    before, now = read_trouble(), time.time()
    since = before.since if before is not None else now
    trouble = Trouble(kind=kind, detail=str(error).partition("\n")[0][:200], since=since, failed_at=now)
    cache.set(_KEY, asdict(trouble), timeout=_FORGET_SECONDS)
    _remember(trouble)
    return trouble


def current_trouble() -> Trouble | None:
    """What is known; a second old at most."""
    known_at, trouble = _known
    return trouble if time.monotonic() - known_at < _KNOWN_SECONDS else read_trouble()


def read_trouble() -> Trouble | None:
    """What all processes know now."""
    values: dict[str, Any] | None = cache.get(_KEY)
    return _remember(None if values is None else Trouble(**values))


def known_lately() -> bool:
    """Whether `current_trouble` asks nobody."""
    return time.monotonic() - _known[0] < _KNOWN_SECONDS


def look() -> Trouble | None:
    """Write something, and note what came of it. Takes as long as the database does."""
    try:
        _write()
    except (DatabaseError, InterfaceError) as error:
        if not connection.in_atomic_block:
            connection.close()
        return note_failure(error)
    trouble = read_trouble()
    if trouble is not None and time.time() - trouble.failed_at >= _QUIET_SECONDS:
        cache.delete(_KEY)
        trouble = None
    return _remember(trouble)


def _write() -> None:
    row = Session(session_key=_PROBE_KEY, session_data=os.urandom(_PROBE_SIZE // 2).hex(), expire_date=_LONG_AGO)
    names = ["session_data", "expire_date"]
    Session.objects.bulk_create([row], update_conflicts=True, unique_fields=["session_key"], update_fields=names)
    path = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite" and os.path.exists(path):
        system = os.statvfs(path)
        if system.f_bavail * system.f_frsize < _LEAST_FREE_BYTES:
            raise NoRoom("The file system has less than 1 MiB left.")


def _kind(error: BaseException) -> Kind | None:
    if isinstance(error, NoRoom):
        return "full"
    if not isinstance(error, DatabaseError | InterfaceError):
        return None
    cause = error.__cause__
    if name := getattr(cause, "sqlite_errorname", None):
        if name == "SQLITE_BUSY":
            # Somebody keeps it locked for longer than the connection waits; SQLITE_BUSY_SNAPSHOT is a moment's.
            return "locked"
        return next((kind for prefix, kind in _SQLITE.items() if str(name).startswith(prefix)), None)
    if state := getattr(cause, "sqlstate", None):
        return next((kind for prefix, kind in _POSTGRESQL.items() if str(state).startswith(prefix)), None)
    # psycopg has no SQLSTATE for a server that it did not reach, or that went away.
    is_away = type(cause).__module__.startswith("psycopg") and type(cause).__name__ in _AWAY
    return "away" if is_away else None


def _remember(trouble: Trouble | None) -> Trouble | None:
    global _known
    _known = (time.monotonic(), trouble)
    return trouble


# time.monotonic() of the last look, and what it found.
_known: tuple[float, Trouble | None] = (float("-inf"), None)
