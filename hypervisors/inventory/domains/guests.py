"""The mirror of what guests say of themselves. What differs little from what is written is not written anew at once."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypervisors.broadcast import Change
from hypervisors.inventory.addresses import save_guest_addresses
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import GuestRead
from hypervisors.models import Domain, GuestFacts

# What says nothing new is written again after so long, to say that it still holds.
_AGAIN_SECONDS = 300.0
# File systems that grow by less are as they were.
_USED_STEPS = 100
_MOST_PROBLEM = 300

_Key = tuple[int, UUID]


class GuestMirror:
    """Used by the writer's thread alone."""

    def __init__(self) -> None:
        self._written: dict[_Key, tuple[str, float]] = {}
        self._unsaved: dict[_Key, GuestRead] = {}

    def clear(self) -> None:
        self._written, self._unsaved = {}, {}

    def take_reading(self, read: GuestRead) -> None:
        key = (read.hypervisor_id, read.uuid)
        summary, written_at = self._written.get(key, ("", 0.0))
        if summary != _summary(read) or read.read_at - written_at > _AGAIN_SECONDS:
            self._unsaved[key] = read

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        self._written = {key: value for key, value in self._written.items() if key[0] != hypervisor_id}
        self._unsaved = {key: value for key, value in self._unsaved.items() if key[0] != hypervisor_id}

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these hypervisors without a trace in the rows: another watcher has them now."""
        for pk in hypervisor_ids:
            self.forget_hypervisor(pk)

    def unsaved_hypervisors(self) -> set[int]:
        return {hypervisor_id for hypervisor_id, _uuid in self._unsaved}

    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def save(self, isolation: Isolation = AT_ONCE) -> list[Change]:
        """Write and say what to publish. Call in a transaction; then note_saved(), or after an error clear()."""
        changes: list[Change] = []
        for (hypervisor_id, uuid), read in self._unsaved.items():
            domain = _find_domain(hypervisor_id, uuid)
            if domain is None:
                continue
            with isolation.saving(f"What the guest of {domain.name} says"):
                _write(domain, read)
                changes.append(Change(what="domain", id=str(domain.uuid), fields={"guest_read_at": int(read.read_at)}))
        return changes

    def note_saved(self) -> None:
        for key, read in self._unsaved.items():
            self._written[key] = (_summary(read), read.read_at)
        self._unsaved = {}


def _write(domain: Domain, read: GuestRead) -> None:
    at = datetime.fromtimestamp(read.read_at, tz=UTC)
    row = GuestFacts.objects.filter(domain=domain).first() or GuestFacts(domain=domain)
    row.read_at, row.problem = at, read.problem[:_MOST_PROBLEM]
    says = read.facts is not None and not (read.has_answered and _says_nothing(read.facts))
    if read.facts is not None and says:
        row.facts = dict(read.facts) if read.has_answered else {**row.facts, "addresses": read.facts["addresses"]}
    if read.has_answered and says:
        row.answered_at = at
    row.save()
    if says:
        save_guest_addresses(domain.pk, row.addresses)


def _says_nothing(facts: Mapping[str, Any]) -> bool:
    """An agent whose file systems are frozen answers, and tells nothing: what it said before still holds."""
    return not any(facts.get(name) for name in ("host_name", "os_name", "kernel", "addresses", "file_systems"))


def _find_domain(hypervisor_id: int, uuid: UUID) -> Domain | None:
    """Its row while it is here."""
    here = Domain.objects.present().filter(hypervisor=hypervisor_id)
    return here.filter(shared_uuid=uuid).first() or here.filter(uuid=uuid, shared_uuid=None).first()


def _summary(read: GuestRead) -> str:
    facts = read.facts
    if facts is None:
        return read.problem
    systems: Any = facts.get("file_systems", ())
    rounded = [{**system, "used_bytes": _share(system)} for system in systems]
    return json.dumps({**facts, "file_systems": rounded}, sort_keys=True, default=list)


def _share(system: Mapping[str, Any]) -> int:
    total = system["total_bytes"]
    return _USED_STEPS * system["used_bytes"] // total if total else 0
