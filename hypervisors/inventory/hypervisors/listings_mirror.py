"""The mirror of what hypervisors list of themselves: each listing replaces the rows of the one before."""

from collections.abc import Collection, Mapping
from typing import Any

from hypervisors.broadcast import Change
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import ThingsListed
from hypervisors.inventory.rows import bring_up_to_date
from hypervisors.models import Hypervisor
from hypervisors.models.host_listings import LISTED

_Key = tuple[int, str]
_Things = tuple[Mapping[str, Any], ...]
# What a row is known by, beside its hypervisor.
_KEYS = {"network_filter": "uuid", "node_device": "name", "secret": "uuid"}


class ListingsMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._written: dict[_Key, _Things] = {}
        self._unsaved: dict[_Key, _Things] = {}

    def clear(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def take_listing(self, listed: ThingsListed) -> None:
        key = (listed.hypervisor_id, listed.what)
        if self._written.get(key) != listed.things:
            self._unsaved[key] = listed.things

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these without a trace in the rows: another watcher has them now, or their rows are gone."""
        for known in (self._written, self._unsaved):
            for key in [key for key in known if key[0] in hypervisor_ids]:
                del known[key]

    def unsaved_hypervisors(self) -> set[int]:
        return {hypervisor_id for hypervisor_id, _what in self._unsaved}

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self, isolation: Isolation = AT_ONCE) -> list[Change]:
        """Write and say what to publish. Call in a transaction; then note_saved(), or after an error clear()."""
        changes = []
        for (hypervisor_id, what), things in self._unsaved.items():
            with isolation.saving(f"What hypervisor {hypervisor_id} lists of {what}"):
                if Hypervisor.objects.filter(pk=hypervisor_id).exists() and _replace(hypervisor_id, what, things):
                    changes.append(_change(hypervisor_id, what))
        return changes

    def note_saved(self) -> None:
        self._written.update(self._unsaved)
        self._unsaved = {}


def _replace(hypervisor_id: int, what: str, things: _Things) -> bool:
    """Whether anything differs now."""
    model, key = LISTED[what], _KEYS[what]
    rows = {str(getattr(row, key)): row for row in model.objects.filter(hypervisor=hypervisor_id)}
    differs = False
    for values in things:
        row = rows.pop(str(values[key]), None)
        if row is None:
            model.objects.create(hypervisor_id=hypervisor_id, **values)
            differs = True
        else:
            differs |= bring_up_to_date(row, values)
    if rows:
        model.objects.filter(pk__in=[row.pk for row in rows.values()]).delete()
    return differs or bool(rows)


def _change(hypervisor_id: int, what: str) -> Change:
    """One for all: whoever shows the list asks for it anew."""
    return Change(what=what, id=str(hypervisor_id), fields={"hypervisor": hypervisor_id})  # type: ignore[arg-type]
