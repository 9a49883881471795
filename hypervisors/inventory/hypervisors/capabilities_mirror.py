"""The mirror of what hypervisors can give new guests: a row for each, written when something differs."""

from collections.abc import Collection

from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.gateway.hypervisors.capabilities import CapabilitiesFacts
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import CapabilitiesRead
from hypervisors.libvirtxml.host_capabilities import host_capabilities_to_json
from hypervisors.models import Hypervisor, HypervisorCapabilities


class CapabilitiesMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        # Hashes: the values are long, and hosts are many.
        self._written: dict[int, int] = {}
        self._unsaved: dict[int, CapabilitiesFacts] = {}

    def clear(self) -> None:
        """Forget what was written: everything is told again."""
        self.__init__()  # type: ignore[misc]

    def take_reading(self, read: CapabilitiesRead) -> None:
        if self._written.get(read.hypervisor_id) != hash(read.facts):
            self._unsaved[read.hypervisor_id] = read.facts

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these without a trace in the rows: another watcher has them now, or their rows are gone."""
        for pk in hypervisor_ids:
            self._written.pop(pk, None)
            self._unsaved.pop(pk, None)

    def unsaved_hypervisors(self) -> set[int]:
        return set(self._unsaved)

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self, isolation: Isolation = AT_ONCE) -> list[Change]:
        """Nothing to publish: no open page shows it. Call in a transaction; then note_saved(), or clear()."""
        for pk, facts in self._unsaved.items():
            with isolation.saving(f"What hypervisor {pk} can give guests"):
                _save(pk, facts)
        return []

    def note_saved(self) -> None:
        self._written.update((pk, hash(facts)) for pk, facts in self._unsaved.items())
        self._unsaved = {}


def _save(hypervisor_id: int, facts: CapabilitiesFacts) -> None:
    if not Hypervisor.objects.filter(pk=hypervisor_id).exists():
        return
    HypervisorCapabilities.objects.update_or_create(
        hypervisor_id=hypervisor_id,
        defaults={
            "capabilities_xml": facts.xml,
            "domain_capabilities": host_capabilities_to_json(facts.capabilities),
            "read_at": timezone.now(),
        },
    )
