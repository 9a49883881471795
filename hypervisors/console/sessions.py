"""The consoles open in this process, and the way to close one from another thread."""

import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from hypervisors.console.closing import ConsoleClosed
from hypervisors.models.consoles.grants import ConsoleMode, hash_session
from hypervisors.models.consoles.kicks import ConsoleKick
from hypervisors.models.consoles.viewers import ConsoleViewer


class Wakeup:
    """Wakes a thread that polls; says why. Used by any thread, closed by the one that polls."""

    def __init__(self) -> None:
        self._file = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()
        self._closing: ConsoleClosed | None = None

    def fileno(self) -> int:
        return self._file

    def wake(self, closing: ConsoleClosed) -> None:
        """The first reason stands."""
        with self._lock:
            if self._closing is None and self._file >= 0:
                self._closing = closing
                os.eventfd_write(self._file, 1)

    def check(self) -> None:
        """Raises: ConsoleClosed if it was woken."""
        if self._closing is not None:
            raise self._closing

    def close(self) -> None:
        with self._lock:
            os.close(self._file)
            self._file = -1


@dataclass(kw_only=True)
class ConsoleSession:
    """One browser at one domain's console. `session_key` is of its login session; it stays in this process."""

    user_id: int
    username: str
    session_key: str = field(repr=False)
    domain_uuid: UUID
    domain_name: str
    hypervisor_id: int
    mode: ConsoleMode
    address: str
    # What its hypervisor knows it by, where that is not `domain_uuid`.
    libvirt_uuid: UUID | None = None
    name: str = field(default_factory=lambda: secrets.token_hex(6))
    opened_at: float = field(default_factory=time.monotonic)
    wakeup: Wakeup = field(default_factory=Wakeup)

    @property
    def viewer(self) -> ConsoleViewer:
        return ConsoleViewer(session=self.name, user_id=self.user_id, username=self.username, mode=self.mode)

    def fits(self, kick: ConsoleKick) -> bool:
        """Whether all that the kick names is this session's."""
        own = {
            "domain": str(self.domain_uuid),
            "session": hash_session(self.session_key),
            "user": self.user_id,
            "hypervisor": self.hypervisor_id,
            "viewer": self.name,
        }
        return all(own[name] == value for name, value in kick.criteria.items())


class SessionRegistry:
    """All of them; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, ConsoleSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: ConsoleSession) -> None:
        with self._lock:
            self._sessions[session.name] = session

    def remove(self, session: ConsoleSession) -> None:
        """It is over: nobody can wake it any more."""
        with self._lock:
            self._sessions.pop(session.name, None)
        session.wakeup.close()

    def all(self) -> list[ConsoleSession]:
        with self._lock:
            return list(self._sessions.values())

    def close_where(self, matches: Callable[[ConsoleSession], bool], closing: ConsoleClosed) -> None:
        """End those that match; does not wait for it."""
        for session in self.all():
            if matches(session):
                session.wakeup.wake(closing)
