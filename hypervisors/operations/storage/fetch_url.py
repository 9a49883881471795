"""Fetch a file from a URL into a new volume; hypervisors/fetching/ says where from, and nothing is kept in between.

Three steps: make the volume, fill it, tell the hosts. A worker that takes over goes on where the host is, if the server
still has the same file.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible, StoragePoolFull, VmportalError
from hypervisors.fetching import FetchBroken, Fetched, checked_fetch
from hypervisors.fetching.fetches import checked_url
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.storage.volume_streams import PACKET_BYTES
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import StoragePool
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.storage.arriving_volumes import (
    MOST_BYTES,
    ArrivingVolume,
    check_free_now,
    checked_name,
    checked_purpose,
    checked_sha256,
    is_growing,
    make_volume,
    note_arrival,
    remove_volume,
)
from hypervisors.operations.storage.incoming_volumes import (
    IncomingTarget,
    IncomingVolume,
    arrived_bytes,
    volume_reader,
)
from hypervisors.operations.storage.running_digests import RunningDigest
from hypervisors.operations.storage.storage_operations import TellHosts

# A server that breaks off so often, without a byte in between, is given up.
_MOST_TRIES = 8
_LOOK_SECONDS = 0.3
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
# libvirt reads a download ahead into memory in a process with an event loop, which workers are.
_CHECK_BYTES = 32 * 1024**2


@dataclass(frozen=True, kw_only=True)
class FetchParameters:
    name: str
    url: str
    sha256: str = ""
    purpose: str = ""


class FetchUrl(ArrivingVolume):
    kind = "fetch_url"
    label = gettext_lazy("Fetch from a URL")
    icon = "cloud-download"
    queue = STORAGE_QUEUE
    Parameters: ClassVar[type[Any]] = FetchParameters

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> FetchParameters:
        """Where the URL leads is judged by the worker, which is who goes there."""
        url = str(given.get("url") or "").strip()
        checked_url(url)
        return FetchParameters(
            name=checked_name(storage_pool, given.get("name")),
            url=url,
            sha256=checked_sha256(given),
            purpose=checked_purpose(given),
        )

    def kept(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Without what follows the file's own address: signed addresses carry a token there."""
        parts = urlsplit(str(parameters.get("url", "")))
        plain = parts._replace(query="…" if parts.query else "", fragment="").geturl()
        return {**parameters, "url": plain}

    def run(self, run: Run) -> Result:
        storage_pool = StoragePool.objects.select_related("hypervisor").get(pk=int(run.operation.subject_key))
        steps = [_Make(storage_pool, run.parameters), _Fill(storage_pool, run.parameters), TellHosts(storage_pool)]
        done = _("It is there, and its SHA-256 is the expected one.") if run.parameters.sha256 else _("It is there.")
        return run_steps(run, steps, done=done)


class _Make(Step):
    name = "make"
    label = gettext_lazy("Make the volume")

    def __init__(self, storage_pool: StoragePool, parameters: FetchParameters) -> None:
        self._storage_pool = storage_pool
        self._name = parameters.name
        self._url = parameters.url

    def intend(self, run: Run) -> Made:
        """Asks the server how long it is: what has no room is not begun."""
        try:
            with _asked(self._url, offset=0, tag="") as fetched:
                length = fetched.length_bytes
        except FetchBroken as error:
            raise NotPossible(str(error)) from error
        if length is None and not is_growing(self._storage_pool):
            raise NotPossible(_("The server does not say how long it is, and a volume here cannot grow."))
        if length == 0:
            raise NotPossible(_("The file is empty."))
        check_free_now(run, self._storage_pool, self._name, length)
        return {"name": self._name, "length_bytes": length}

    def do(self, run: Run, intent: Made) -> Made:
        make_volume(run, self._storage_pool, self._name, intent["length_bytes"], begun=False)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Raises NameTaken for one that holds something: it is somebody else's.
        make_volume(run, self._storage_pool, self._name, intent["length_bytes"], begun=True)
        return True

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        remove_volume(run, self._storage_pool, self._name)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The volume “%(name)s” stays in the storage pool “%(pool)s”.") % {
            "name": self._name,
            "pool": self._storage_pool.name,
        }


class _Fill(Step):
    name = "fill"
    label = gettext_lazy("Fetch the file")

    def __init__(self, storage_pool: StoragePool, parameters: FetchParameters) -> None:
        self._storage_pool = storage_pool
        self._parameters = parameters
        self._digest = RunningDigest()
        self._tag = ""
        # Since whoever runs began, for the rate.
        self._began_at = time.monotonic()
        self._began_with = 0

    def do(self, run: Run, intent: Made) -> Made:
        """Raises: errors.NotPossible and StoragePoolFull when it cannot be; ConnectionLost when the host is away."""
        length = self._length(run)
        tries = 0
        while not _is_over(run):
            connection = open_connection(endpoint_of(run.source))
            try:
                before = self._position(connection, length)
                if self._fetch(run, connection, length, before):
                    return self._finish(run, connection, length)
            except FetchBroken as error:
                tries = 0 if self._position(connection, length) > before else tries + 1
                if tries > _MOST_TRIES:
                    raise NotPossible(str(error)) from error
                self._pause(run, error, tries)
            finally:
                connection.close(wait_seconds=0)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # What is there already is found again by `do`, which goes on from there.
        return False

    def _length(self, run: Run) -> int | None:
        made = next(entry for entry in run.operation.steps if entry["name"] == "make")
        length: int | None = made["intent"]["length_bytes"]
        return length

    def _fetch(self, run: Run, connection: Connection, length: int | None, position: int) -> bool:
        """Whether all of it is there now; False when it was cancelled. Raises: FetchBroken and others."""
        if length is not None and position == length:
            return True
        # Without a tag nobody knows whether it is still the same file.
        with _asked(self._parameters.url, offset=position if self._tag else 0, tag=self._tag) as fetched:
            self._tag = fetched.tag
            if length is not None and fetched.length_bytes not in (None, length):
                raise NotPossible(_("The file on the server has changed while it was fetched."))
            target = self._target(length)
            if target.is_growing and fetched.offset < position:
                self._begin_anew(run, length)
            self._digest.rewind(fetched.offset)
            incoming = IncomingVolume(connection, target, offset=fetched.offset)
            try:
                with _cut_when_cancelled(run, fetched):
                    return self._copy(run, fetched, incoming, length)
            except BaseException:
                incoming.abort()
                raise

    def _begin_anew(self, run: Run, length: int | None) -> None:
        """Over what is there nothing is written: it may be longer, and would show through where holes are."""
        remove_volume(run, self._storage_pool, self._parameters.name)
        make_volume(run, self._storage_pool, self._parameters.name, length, begun=False)

    def _copy(self, run: Run, fetched: Fetched, incoming: IncomingVolume, length: int | None) -> bool:
        read = fetched.offset
        try:
            for block in fetched.blocks(PACKET_BYTES):
                if _is_over(run):
                    return False
                self._digest.feed(read, block)
                read += len(block)
                if read > (length if length is not None else min(settings.FETCH_MAX_BYTES, MOST_BYTES)):
                    raise NotPossible(_("The server sends more than it said, or more than may be fetched."))
                incoming.write(block)
                self._report(run, read, length)
        except FetchBroken:
            incoming.checkpoint()
            raise
        # What was cut by ourselves looks like an end.
        if _is_over(run):
            incoming.abort()
            return False
        if length is not None and read < length:
            incoming.checkpoint()
            raise FetchBroken(_("The server ended before the end of the file."))
        incoming.checkpoint(is_end=True)
        return True

    def _finish(self, run: Run, connection: Connection, length: int | None) -> Made:
        """Raises: errors.NotPossible when it is another file than was meant."""
        end = length if length is not None else self._digest.position
        reader = volume_reader(connection, self._target(length))
        while self._digest.position < end:
            run.report({"percent": round(100 * self._digest.position / end, 1), NOTE: "SHA-256"})
            before = self._digest.position
            self._digest.catch_up(min(end, before + _CHECK_BYTES), reader)
            if self._digest.position == before:
                raise StoragePoolFull(_("The host has less than was sent."))
        found, expected = self._digest.hexdigest(), self._parameters.sha256
        if expected and found != expected:
            raise NotPossible(
                _("It is not the file that was meant: its SHA-256 is %(found)s, and %(expected)s was expected.")
                % {"found": found, "expected": expected}
            )
        note_arrival(run, self._storage_pool, self._parameters.name, self._parameters.purpose)
        return {"sha256": found}

    def _position(self, connection: Connection, length: int | None) -> int:
        # Block devices do not show it; what this very run has written is what it knows.
        return arrived_bytes(connection, self._target(length), known_bytes=self._digest.position)

    def _target(self, length: int | None) -> IncomingTarget:
        return IncomingTarget(
            pool_uuid=self._storage_pool.uuid,
            name=self._parameters.name,
            length_bytes=length,
            is_growing=is_growing(self._storage_pool),
            purpose=self._parameters.purpose,
        )

    def _report(self, run: Run, position: int, length: int | None) -> None:
        progress: dict[str, Any] = {"transferred_bytes": position}
        seconds = time.monotonic() - self._began_at
        speed = (position - self._began_with) / seconds if seconds > 0.5 else 0
        if speed > 0:
            progress["bytes_per_second"] = round(speed)
        if length:
            progress |= {"percent": round(100 * position / length, 1), "total_bytes": length}
            if speed > 0:
                progress["remaining_seconds"] = round((length - position) / speed)
        run.report(progress)

    def _pause(self, run: Run, error: VmportalError, tries: int) -> None:
        run.report({NOTE: _("%(error)s It is tried again.") % {"error": error}})
        run.cancel_requested.wait(min(_LONGEST_PAUSE_SECONDS, _PAUSE_SECONDS * 2**tries))


@contextmanager
def _cut_when_cancelled(run: Run, fetched: Fetched) -> Iterator[None]:
    """A server that sends nothing holds up nobody who cancels."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if _is_over(run):
                fetched.cut()
                return

    threading.Thread(target=watch, name="fetch-cancel", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _is_over(run: Run) -> bool:
    """Somebody cancels it, or another worker has it."""
    return run.cancel_requested.is_set() or run.lost.is_set()


def _asked(url: str, *, offset: int, tag: str) -> Any:
    most_bytes = min(settings.FETCH_MAX_BYTES, MOST_BYTES)
    return checked_fetch(url, allow=settings.FETCH_ALLOW, most_bytes=most_bytes, offset=offset, tag=tag)
