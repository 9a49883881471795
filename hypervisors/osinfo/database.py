"""The operating system database of this machine: parsed once in a process, anew when its files change."""

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hypervisors.osinfo.entries import read_entries
from hypervisors.osinfo.files import OWN_ENTRIES, STANDARD_DIRECTORIES, DatabaseFiles, find_files
from hypervisors.osinfo.inheritance import resolve
from hypervisors.osinfo.systems import GENERIC, OperatingSystem

logger = logging.getLogger(__name__)

# How often the files' times are looked at.
_LOOK_SECONDS = 60.0


class Database:
    """Systems by their identifiers. Safe for use by several threads."""

    def __init__(
        self, directories: Iterable[Path] = STANDARD_DIRECTORIES, *, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._directories = tuple(directories)
        self._look_seconds = look_seconds
        self._lock = threading.Lock()
        self._files: DatabaseFiles | None = None
        self._looked_at = 0.0
        self._systems: tuple[OperatingSystem, ...] = ()
        self._by_id: dict[str, OperatingSystem] = {}

    def systems(self) -> tuple[OperatingSystem, ...]:
        """All, the newest first; those without a date last."""
        self._read_if_needed()
        return self._systems

    def find(self, name: str) -> OperatingSystem | None:
        """By a short identifier or by its URI."""
        self._read_if_needed()
        return self._by_id.get(name)

    def script_files(self) -> tuple[Path, ...]:
        self._read_if_needed()
        return self._files.paths["install-script"] if self._files else ()

    def datamap_files(self) -> tuple[Path, ...]:
        self._read_if_needed()
        return self._files.paths["datamap"] if self._files else ()

    def _read_if_needed(self) -> None:
        now = time.monotonic()
        if self._files is not None and now - self._looked_at < self._look_seconds:
            return
        with self._lock:
            if self._files is not None and now - self._looked_at < self._look_seconds:
                return
            files = find_files(self._directories)
            if self._files is None or files.fingerprint != self._files.fingerprint:
                self._read(files)
            self._files, self._looked_at = files, now

    def _read(self, files: DatabaseFiles) -> None:
        entries = read_entries([OWN_ENTRIES], is_own=True) | read_entries(files.paths["os"])
        systems = sorted(resolve(entries), key=lambda system: system.name)
        systems.sort(key=lambda system: system.release_date, reverse=True)
        self._systems = (*systems, GENERIC)
        # The first name counts more than another system's second one, such as "ubuntu-lts-latest".
        self._by_id = {other: system for system in reversed(systems) for other in system.other_short_ids}
        self._by_id |= {system.osinfo_id: system for system in systems} | {s.short_id: s for s in self._systems}


_database = Database()


def use_directories(directories: Iterable[Path]) -> None:
    """Look at these instead, in rising precedence."""
    global _database
    _database = Database(directories)


def database() -> Database:
    return _database


def warm_up() -> None:
    """Read the database now: no request then waits the tenth of a second that it takes.

    In no thread of its own: who imports this forks, and would leave the thread behind with the lock that it holds.
    """
    try:
        _database.systems()
    except (OSError, ValueError) as error:
        logger.warning("The database of operating systems cannot be read yet: %s", error)


def all_systems() -> tuple[OperatingSystem, ...]:
    """All known systems, the newest first, and the generic one."""
    return _database.systems()


def find_system(short_id: str) -> OperatingSystem | None:
    """By a short identifier ("debian11") or the URI that a domain's metadata keeps; None when it is not known."""
    return _database.find(short_id)
