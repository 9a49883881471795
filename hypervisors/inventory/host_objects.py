"""The mirror of what a host has beside its domains: a hypervisor's rows are made to match its latest listing.

A row outlives what it mirrors: what is not listed any more becomes a tombstone. What is listed is matched with a row by
its UUID, else by its name: defined again after it was undefined, it may have another UUID and is still the same.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.models import Network, StoragePool


class _Facts(Protocol):
    @property
    def uuid(self) -> Any: ...


Row = TypeVar("Row", Network, StoragePool)
Facts = TypeVar("Facts", bound=_Facts)


class HostObjectMirror(Generic[Row, Facts]):
    """Used by the writer's thread alone.

    `columns` gives the row's values of one object's facts, its UUID among them.
    """

    def __init__(
        self,
        model: type[Row],
        columns: Callable[[Facts], dict[str, Any]],
        *,
        what: Literal["network", "storage_pool"],
    ) -> None:
        self._model: type[Row] = model
        self._columns = columns
        self._what = what
        self.clear()

    def clear(self) -> None:
        """Forget what was written: everything is told again."""
        self._written: dict[int, tuple[Facts, ...]] = {}
        self._unsaved: dict[int, tuple[Facts, ...]] = {}

    def take_listing(self, hypervisor_id: int, facts: tuple[Facts, ...]) -> None:
        if self._written.get(hypervisor_id) != facts:
            self._unsaved[hypervisor_id] = facts

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._written.pop(hypervisor_id, None)
        self._unsaved.pop(hypervisor_id, None)

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these hypervisors without a trace in the rows: another watcher has them now."""
        for pk in hypervisor_ids:
            self._written.pop(pk, None)
            self._unsaved.pop(pk, None)

    def unsaved_hypervisors(self) -> set[int]:
        return set(self._unsaved)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self) -> list[Change]:
        """Write and say what to publish. Call in a transaction; after an error, clear()."""
        unsaved, self._unsaved = self._unsaved, {}
        for hypervisor_id, listed in unsaved.items():
            self._replace(hypervisor_id, [self._columns(facts) for facts in listed])
        self._written.update(unsaved)
        return [
            Change(what=self._what, id=str(hypervisor_id), fields={"hypervisor": hypervisor_id})
            for hypervisor_id in unsaved
        ]

    def _replace(self, hypervisor_id: int, listed: list[dict[str, Any]]) -> None:
        rows = list(self._model._default_manager.filter(hypervisor=hypervisor_id))
        now = timezone.now()
        for values, row in matched(listed, rows):
            if row is None:
                self._model._default_manager.create(hypervisor_id=hypervisor_id, **values)
            else:
                rows.remove(row)
                bring_up_to_date(row, values | {"vanished_at": None})
        for row in rows:
            if row.vanished_at is None:
                bring_up_to_date(row, {"vanished_at": now})


def matched(listed: list[dict[str, Any]], rows: list[Row]) -> list[tuple[dict[str, Any], Row | None]]:
    """Each listed object with its row: the one of its UUID, else one of its name whose UUID is not listed."""
    by_uuid = {row.uuid: row for row in rows}
    uuids = {values["uuid"] for values in listed}
    # One that was there a moment ago before one that is long gone.
    left = sorted((row for row in rows if row.uuid not in uuids), key=lambda row: _gone_since(row))
    by_name = {row.name: row for row in left}
    return [(values, by_uuid.get(values["uuid"]) or by_name.pop(values["name"], None)) for values in listed]


def _gone_since(row: Network | StoragePool) -> tuple[bool, datetime]:
    return (row.vanished_at is None, row.vanished_at or row.first_seen_at)


def bring_up_to_date(row: Network | StoragePool, values: dict[str, Any]) -> bool:
    """Write what differs; False when nothing does."""
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.save(update_fields=list(changed))
    return bool(changed)
