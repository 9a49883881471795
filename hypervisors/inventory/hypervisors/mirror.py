"""The mirror of the hypervisors' own rows: status, facts and load. People's columns are never written here."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import HostRead, StatusSeen
from hypervisors.inventory.sessions.states import SessionState
from hypervisors.models import Hypervisor
from hypervisors.states import HypervisorStatus


class HypervisorMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._unsaved: dict[int, dict[str, Any]] = {}
        self._facts: dict[int, HostRead] = {}
        self._seen_at: dict[int, float] = {}
        self._statuses: dict[int, str] = {}

    def clear(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these without a trace in the rows: another watcher has them now."""
        for known in (self._unsaved, self._facts, self._seen_at, self._statuses):
            for pk in hypervisor_ids:
                known.pop(pk, None)

    def unsaved_hypervisors(self) -> set[int]:
        return set(self._unsaved)

    def note_row(self, hypervisor_id: int, status: str) -> None:
        """What the row says now: an operator may have changed it."""
        self._statuses[hypervisor_id] = status

    def take_status(self, seen: StatusSeen) -> None:
        values: dict[str, Any] = {"status": seen.status, "status_reason": seen.reason}
        if self._statuses.get(seen.hypervisor_id) != seen.status:
            values["status_since"] = timezone.now()
            self._statuses[seen.hypervisor_id] = seen.status
        if seen.status == HypervisorStatus.ONLINE:
            values["seen_at"] = timezone.now()
        self._unsaved.setdefault(seen.hypervisor_id, {}).update(values)

    def take_host(self, read: HostRead) -> None:
        if self._facts.get(read.hypervisor_id) == read:
            return
        self._facts[read.hypervisor_id] = read
        values = asdict(read.facts)
        values["machine_types"] = list(values["machine_types"])
        if values["interface_names"] is not None:
            values["interface_names"] = list(values["interface_names"])
        values["hostname"] = values["hostname"][:255]
        self._unsaved.setdefault(read.hypervisor_id, {}).update(values)

    def take_loads(self, states: Iterable[SessionState]) -> None:
        """When each was last seen, and how loaded it was then."""
        for state in states:
            if state.seen_at is None or self._seen_at.get(state.hypervisor_id) == state.seen_at:
                continue
            self._seen_at[state.hypervisor_id] = state.seen_at
            values = {
                "seen_at": datetime.fromtimestamp(state.seen_at, tz=UTC),
                "cpu_percent": state.cpu_percent,
                "memory_used_kib": state.memory_used_kib,
            }
            self._unsaved.setdefault(state.hypervisor_id, {}).update(values)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self, isolation: Isolation = AT_ONCE) -> list[Change]:
        """Write and say what to publish. Call in a transaction; then note_saved(), or after an error clear()."""
        changes = []
        for pk, values in self._unsaved.items():
            with isolation.saving(f"What is known of hypervisor {pk}"):
                _save(pk, values)
                changes.append(Change(what="hypervisor", id=str(pk), fields=_message_fields(values)))
        return changes

    def note_saved(self) -> None:
        self._unsaved = {}


# Long, and of no use in a page that is open.
_NOT_IN_MESSAGES = {"cpu_xml", "machine_types", "interface_names"}


def _save(pk: int, values: dict[str, Any]) -> None:
    if "host_uuid" in values and values["host_uuid"] is not None:
        # The machine was ours to claim; a row that had it before is a row that moved to another machine.
        Hypervisor.objects.filter(~Q(pk=pk), host_uuid=values["host_uuid"]).update(host_uuid=None)
    Hypervisor.objects.filter(pk=pk).update(**values)


def _message_fields(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in values.items() if name not in _NOT_IN_MESSAGES}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    return value if isinstance(value, str | int | float | bool | list | None) else str(value)
