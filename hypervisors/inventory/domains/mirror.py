"""The mirror of all domains: who has seen which, which hypervisor a domain belongs to, and what of it must be saved.

Truth rules: a domain is known by its UUID within its hypervisor pool; where another pool's domain has that UUID, by one
that is made of both (inventory/domains/identities.py). While two hypervisors of a pool have it (a migration, or a
leftover definition), it belongs to the one where it runs; to an online one before one that is away; to the one that has
it already before another. When nobody has it any more it becomes a tombstone.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.inventory.domains import records as domain_records
from hypervisors.inventory.domains.copies import is_moving, save_copies
from hypervisors.inventory.domains.definitions import definition_of, fingerprint_of, listed_values
from hypervisors.inventory.domains.identities import Identities
from hypervisors.inventory.domains.known_copies import KnownCopies
from hypervisors.inventory.domains.observed import (
    RUNNING_STATES,
    ObservedDomain,
    keyed,
    observation_of,
    observed_before,
    observed_copy,
    owner_of,
)
from hypervisors.inventory.domains.records import FIELDS, Definition, DomainRecord, fingerprint
from hypervisors.inventory.domains.snapshots import UnsavedSnapshots
from hypervisors.inventory.domains.troubles import double_run_trouble, state_trouble
from hypervisors.inventory.isolation import AT_ONCE, Isolation
from hypervisors.inventory.observations import (
    DomainRead,
    DomainsAnswering,
    DomainsListed,
    DomainStateSeen,
    ObservationsWithdrawn,
)
from hypervisors.states import ACTIVE_DOMAIN_STATES

# A domain that a migration takes away may be gone here before we see it there.
_LEAVING_GRACE_SECONDS = 5.0
# Definitions of one turn: an event waits for no more than that (some 0.2 ms each).
_PARSED_AT_ONCE = 100


class DomainMirror:
    """Used by the writer's thread alone."""

    def __init__(self, identities: Identities | None = None) -> None:
        self.identities = identities or Identities()
        self._records: dict[UUID, DomainRecord] = {}
        self._observed: dict[UUID, dict[int, ObservedDomain]] = {}
        self._seen_on: dict[int, set[UUID]] = defaultdict(set)
        self._online: set[int] = set()
        self._changed: dict[UUID, set[str]] = {}
        self._definitions: dict[UUID, Definition] = {}
        self._snapshots = UnsavedSnapshots()
        self._gone_at: dict[UUID, float] = {}
        self._unread: set[tuple[int, UUID]] = set()
        self._copies = KnownCopies(self._observed, self._online)
        self._hypervisor_names: Mapping[int, str] = {}
        # The last domain whose stored XML was looked at by `parse_stored`.
        self._parsed_up_to = 0

    def clear(self) -> None:
        """Forget everything; nothing is written."""
        self.identities.clear()
        self.__init__(self.identities)  # type: ignore[misc]

    def load(self, hypervisor_ids: Collection[int], *, with_orphans: bool = False) -> None:
        """Add the rows of these hypervisors; each is taken for seen on its own until that is listed.

        Orphans are domains whose hypervisor's row was removed while nobody watched it.
        """
        self._parsed_up_to = 0
        for record in domain_records.load_records(hypervisor_ids, with_orphans=with_orphans):
            self._records[record.uuid] = record
            self.identities.note(record)
            if record.vanished_at is None and record.hypervisor_id is not None:
                self._observed.setdefault(record.uuid, {})[record.hypervisor_id] = observed_before(record)
                self._seen_on[record.hypervisor_id].add(record.uuid)
            elif record.vanished_at is None:
                self._observed[record.uuid] = {}
                self._settle(record.uuid)
        for uuid, copies in self._copies.load(hypervisor_ids, self._records.keys()).items():
            for hypervisor_id, copy in copies.items():
                self._observed[uuid].setdefault(hypervisor_id, observed_copy(copy))
                self._seen_on[hypervisor_id].add(uuid)

    def note_names(self, names: Mapping[int, str]) -> None:
        """What the hypervisors are called, for words to people."""
        self._hypervisor_names = names

    def set_online(self, hypervisor_id: int, *, online: bool) -> None:
        if online != (hypervisor_id in self._online):
            (self._online.add if online else self._online.discard)(hypervisor_id)
            for uuid in list(self._seen_on[hypervisor_id]):
                if len(self._observed[uuid]) > 1:
                    self._settle(uuid)

    def take_withdrawal(self, withdrawn: ObservationsWithdrawn) -> None:
        self.forget_hypervisor(withdrawn.hypervisor_id)

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        """Its row was removed, or is another's machine.

        Who removed it wrote tombstones: those that another hypervisor has too are no such thing.
        """
        for uuid in self._seen_on.pop(hypervisor_id, set()):
            self._lose(hypervisor_id, uuid)
            if self._observed.get(uuid):
                self._changed.setdefault(uuid, set()).update({"hypervisor_id", "vanished_at"})
        self._online.discard(hypervisor_id)

    def drop(self, hypervisor_ids: Collection[int]) -> None:
        """Forget these hypervisors and their domains without a trace in the rows: another watcher has them now."""
        for hypervisor_id in hypervisor_ids:
            self._online.discard(hypervisor_id)
            self.identities.forget_hypervisor(hypervisor_id)
            for uuid in self._seen_on.pop(hypervisor_id, set()):
                self._observed.get(uuid, {}).pop(hypervisor_id, None)
        gone: list[UUID] = [uuid for uuid, record in self._records.items() if record.hypervisor_id in hypervisor_ids]
        for uuid in gone:
            self.identities.forget(self._records.pop(uuid))
            for known in (self._changed, self._definitions, self._gone_at):
                known.pop(uuid, None)
            self._copies.forget(uuid)
            self._snapshots.forget(uuid)
            if self._observed.get(uuid):
                # A hypervisor that stays has it too.
                self._settle(uuid)
            else:
                self._observed.pop(uuid, None)
        self._unread = {(owner, uuid) for owner, uuid in self._unread if owner not in hypervisor_ids}

    def unsaved_hypervisors(self) -> set[int]:
        """Those whose domains would be saved now."""
        unsaved = self._changed.keys() | self._definitions.keys() | self._copies.changed | self._snapshots.uuids()
        records = (self._records[uuid] for uuid in unsaved)
        return {record.hypervisor_id for record in records if record.hypervisor_id is not None}

    def take_listing(self, listed: DomainsListed) -> None:
        keys = self.identities.keys(listed.hypervisor_id, [facts.uuid for facts in listed.domains], self._records)
        lost = self._seen_on[listed.hypervisor_id] - set(keys)
        for key, facts in zip(keys, listed.domains, strict=True):
            self._see(listed.hypervisor_id, keyed(facts, key), started_at=listed.started_at)
        for uuid in lost:
            self._lose(listed.hypervisor_id, uuid)

    def take_reading(self, read: DomainRead) -> None:
        (key,) = self.identities.keys(read.hypervisor_id, [read.uuid], self._records)
        if read.facts is not None:
            self._see(read.hypervisor_id, keyed(read.facts, key), started_at=read.started_at)
        else:
            self._lose(read.hypervisor_id, key)

    def take_state(self, seen: DomainStateSeen) -> None:
        uuid = self.identities.known(seen.hypervisor_id, seen.uuid)
        observation = self._observed.get(uuid, {}).get(seen.hypervisor_id)
        if observation is None:
            return
        if seen.state is None:
            self._observed[uuid][seen.hypervisor_id] = replace(observation, leaving=True)
            return
        self._observed[uuid][seen.hypervisor_id] = replace(
            observation,
            state=seen.state,
            state_reason=seen.state_reason,
            state_told_at=seen.seen_at,
            leaving=observation.leaving and seen.state not in RUNNING_STATES,
            disk_errors=observation.disk_errors if seen.state == observation.state else (),
        )
        self._settle(uuid)

    def take_answering(self, seen: DomainsAnswering) -> None:
        for uuid, answering in seen.answering.items():
            record = self._records.get(self.identities.known(seen.hypervisor_id, uuid))
            if record is not None and record.hypervisor_id == seen.hypervisor_id:
                self._set(record, {"answering": answering})

    def parse_stored(self) -> bool:
        """Parse some stored XML anew that an older parser has read; False when there is none left."""
        stored = domain_records.outdated_definitions(after=self._parsed_up_to, limit=_PARSED_AT_ONCE)
        for xml in stored:
            self._parsed_up_to = xml.domain_id
            record = self._records.get(xml.uuid)
            # What was read of libvirt meanwhile is newer.
            if record is None or xml.uuid in self._definitions:
                continue
            definition = definition_of(record, xml.live_xml, xml.inactive_xml)
            self._take_fingerprint(record, fingerprint(definition.live_sha256, definition.inactive_sha256))
            self._keep(record, definition)
        return bool(stored)

    def make_tombstones(self) -> None:
        """Turn those into tombstones that are gone for good."""
        now = time.monotonic()
        for uuid in [uuid for uuid, due in self._gone_at.items() if due <= now]:
            del self._gone_at[uuid]
            record = self._records.get(uuid)
            if record is not None and not self._observed.get(uuid):
                self._set(record, {"vanished_at": timezone.now(), "answering": True, "trouble": ""})

    def raise_alarms(self) -> None:
        """For those that have been seen to run on several hypervisors for long enough."""
        for uuid in self._copies.due():
            record = self._records.get(uuid)
            if record is None or not record.pk or is_moving(record.pk):
                self._copies.wait_again(uuid)
            else:
                self._copies.alarm(uuid)
                self._set_trouble(record)

    def unsaved_count(self) -> int:
        return len(self._changed) + len(self._definitions)

    def has_unsaved(self) -> bool:
        changed = self._changed or self._definitions or self._copies.changed or self._snapshots.uuids()
        return bool(changed or self._unread)

    def take_unread(self) -> set[tuple[int, UUID]]:
        """(hypervisor, domain) of those whose XML is not known, to be read again."""
        unread, self._unread = self._unread, set()
        return unread

    def save(self, hypervisor_names: Mapping[int, str], isolation: Isolation = AT_ONCE) -> list[Change]:
        """Write what changed and say what to publish.

        Call in a transaction; then note_saved(), or after an error clear() and load().
        """
        # A definition that changed without a listed field (a disk was attached) still is news to an open page.
        also = (self._definitions.keys() | self._copies.changed | self._snapshots.uuids()) - self._changed.keys()
        changed = self._changed | {uuid: set() for uuid in also}
        new = {uuid for uuid in changed if not self._records[uuid].pk}
        names = dict(hypervisor_names)
        changes = []
        for batch in [[uuid] for uuid in changed] if isolation.each or not changed else [list(changed)]:
            with isolation.saving(f"Virtual machine {self._label(batch)}"):
                self._save_batch({uuid: changed[uuid] for uuid in batch}, new)
                changes += [
                    self._change(
                        uuid, changed[uuid], is_new=uuid in new, names=names, redefined=uuid in self._definitions
                    )
                    for uuid in batch
                ]
        return changes

    def note_saved(self) -> None:
        self._changed, self._definitions = {}, {}
        self._copies.changed.clear()
        self._snapshots.clear()

    def _label(self, batch: list[UUID]) -> str:
        return ", ".join(f"“{self._records[uuid].name}” ({uuid})" for uuid in batch[:1])

    def _save_batch(self, changed: dict[UUID, set[str]], new: set[UUID]) -> None:
        try:
            rows = {uuid: fields for uuid, fields in changed.items() if fields or uuid in new}
            domain_records.save_rows(self._records, rows, has_new=bool(new))
            domain_records.save_definitions(
                (self._records[uuid], self._definitions[uuid]) for uuid in changed if uuid in self._definitions
            )
            save_copies(
                (self._records[uuid].pk, self._copies.of(uuid)) for uuid in changed if uuid in self._copies.changed
            )
            self._snapshots.save(self._records[uuid] for uuid in changed)
        except BaseException:
            # What was inserted is undone.
            for uuid in new & changed.keys():
                self._records[uuid].pk = 0
            raise

    def _change(
        self, uuid: UUID, fields: Iterable[str], *, is_new: bool, names: dict[int, str], redefined: bool
    ) -> Change:
        record = self._records[uuid]
        message = domain_records.message_fields(record, FIELDS if is_new else fields, names)
        if redefined and not is_new:
            message["redefined"] = True
        if uuid in self._copies.changed:
            message["copies"] = len(self._copies.of(uuid))
        if uuid in self._snapshots.uuids():
            message["snapshots"] = self._snapshots.count(uuid)
        return Change(what="domain", id=str(uuid), op="add" if is_new else "update", fields=message)

    def _see(self, hypervisor_id: int, facts: DomainFacts, *, started_at: float) -> None:
        observed = self._observed.setdefault(facts.uuid, {})
        before = observed.get(hypervisor_id)
        observation = observation_of(facts, before, started_at=started_at)
        record = self._records.get(facts.uuid)
        if observation == before and record is not None and record.xml_fingerprint == observation.xml_fingerprint:
            return
        observed[hypervisor_id] = observation
        self._seen_on[hypervisor_id].add(facts.uuid)
        self._settle(facts.uuid, facts=facts, facts_of=hypervisor_id)

    def _lose(self, hypervisor_id: int, uuid: UUID) -> None:
        lost = self._observed.get(uuid, {}).pop(hypervisor_id, None)
        self._seen_on[hypervisor_id].discard(uuid)
        if lost is None:
            return
        self._copies.lose(uuid)
        if not self._observed[uuid]:
            grace = _LEAVING_GRACE_SECONDS if lost.leaving or lost.state_reason == "migrated" else 0.0
            self._gone_at[uuid] = time.monotonic() + grace
        self._settle(uuid)

    def _settle(self, uuid: UUID, *, facts: DomainFacts | None = None, facts_of: int | None = None) -> None:
        """Decide where the domain belongs and bring its record up to date."""
        record = self._records.get(uuid)
        observed = self._observed.get(uuid)
        if not observed:
            if record is not None and record.vanished_at is None:
                self._gone_at.setdefault(uuid, time.monotonic())
            self._copies.note(uuid, None)
            return
        self._gone_at.pop(uuid, None)
        if record is None:
            shared = self.identities.shared_uuid(uuid)
            record = DomainRecord(uuid=uuid, hypervisor_id=None, state_since=timezone.now(), shared_uuid=shared)
            self._records[uuid] = record
        owner = owner_of(observed, self._online, former=record.hypervisor_id)
        observation, has_moved = observed[owner], record.hypervisor_id != owner
        self._set(
            record,
            {
                "hypervisor_id": owner,
                "name": observation.name,
                "state": observation.state,
                "state_reason": observation.state_reason,
                "persistent": observation.persistent,
                "autostart": observation.autostart,
                "has_managed_save": observation.has_managed_save,
                "has_snapshots": observation.has_snapshots,
                "has_checkpoints": observation.has_checkpoints,
                "vanished_at": None,
            },
        )
        self._copies.note(uuid, owner)
        self._set_trouble(record)
        if has_moved or observation.state not in ACTIVE_DOMAIN_STATES:
            self._set(record, {"answering": True})
        if facts is not None and owner == facts_of:
            self._define(record, facts)
            self._snapshots.note(record, facts)
        elif observation.xml_fingerprint != record.xml_fingerprint:
            self._unread.add((owner, record.shared_uuid or uuid))

    def _set_trouble(self, record: DomainRecord) -> None:
        alarms = self._copies.alarming(record.uuid)
        observation = self._observed.get(record.uuid, {}).get(record.hypervisor_id or 0)
        trouble = ""
        if alarms:
            hosts = [self._hypervisor_names.get(pk, str(pk)) for pk in (record.hypervisor_id or 0, *alarms)]
            trouble = double_run_trouble(record.name, hosts)
        elif observation is not None:
            trouble = state_trouble(observation.state, observation.state_reason, observation.disk_errors)
        self._set(record, {"trouble": trouble})

    def _define(self, record: DomainRecord, facts: DomainFacts) -> None:
        found = fingerprint_of(facts)
        if found == record.xml_fingerprint and record.pk:
            return
        record.xml_fingerprint = found
        self._keep(record, definition_of(record, facts.live_xml, facts.inactive_xml))

    def _take_fingerprint(self, record: DomainRecord, found: int) -> None:
        """Of XML that was stored without its digests."""
        for hypervisor_id, observation in self._observed.get(record.uuid, {}).items():
            if observation.xml_fingerprint == record.xml_fingerprint:
                self._observed[record.uuid][hypervisor_id] = replace(observation, xml_fingerprint=found)
        record.xml_fingerprint = found

    def _keep(self, record: DomainRecord, definition: Definition) -> None:
        self._definitions[record.uuid] = definition
        self._set(record, listed_values(definition))

    def _set(self, record: DomainRecord, values: Mapping[str, object]) -> None:
        changed = {name for name, value in values.items() if getattr(record, name) != value}
        if not changed:
            if not record.pk:
                self._changed.setdefault(record.uuid, set())
            return
        for name in changed:
            setattr(record, name, values[name])
        if "state" in changed:
            record.state_since = timezone.now()
            changed.add("state_since")
        self._changed.setdefault(record.uuid, set()).update(changed)
