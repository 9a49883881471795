"""Snapshots of domains as rows: written when what libvirt tells of them differs from what was written last."""

from collections.abc import Iterable, KeysView
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils import timezone

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.gateway.domains.snapshots import SnapshotFacts
from hypervisors.inventory.domains.records import DomainRecord
from hypervisors.inventory.xml_versions import note_versions
from hypervisors.models import DomainSnapshot, SnapshotNote

# What PostgreSQL's and Python's times reach, in seconds since 1970.
_LAST_SECOND = 32_503_680_000
# Younger notes may be of a snapshot that has not been read yet.
_NOTE_GRACE = timedelta(hours=1)
_FIELDS = (
    "parent_name",
    "kind",
    "has_memory",
    "memory_path",
    "state",
    "description",
    "created_at",
    "is_current",
    "disks",
    "xml",
    "problem",
)


def snapshots_fingerprint(facts: DomainFacts) -> int:
    """Differs when they do; of this process only."""
    return hash(facts.snapshots)


class UnsavedSnapshots:
    """What has been told of domains' snapshots and is not written yet. Used by the mirror of domains."""

    def __init__(self) -> None:
        self._told: dict[UUID, tuple[SnapshotFacts, ...]] = {}

    def uuids(self) -> KeysView[UUID]:
        return self._told.keys()

    def count(self, uuid: UUID) -> int:
        return len(self._told.get(uuid, ()))

    def note(self, record: DomainRecord, facts: DomainFacts) -> None:
        found = snapshots_fingerprint(facts)
        if found == record.snapshots_fingerprint:
            return
        record.snapshots_fingerprint = found
        self._told[record.uuid] = facts.snapshots

    def forget(self, uuid: UUID) -> None:
        self._told.pop(uuid, None)

    def clear(self) -> None:
        self._told.clear()

    def save(self, records: Iterable[DomainRecord]) -> None:
        """Have the rows of these (saved) domains be what was told. Call in a transaction."""
        for record in records:
            if record.uuid in self._told:
                save_snapshots(record.pk, self._told[record.uuid])


def save_snapshots(domain_id: int, snapshots: Iterable[SnapshotFacts]) -> None:
    rows = {facts.parsed.name[:255]: _row(domain_id, facts) for facts in snapshots}
    DomainSnapshot.objects.filter(domain=domain_id).exclude(name__in=rows).delete()
    DomainSnapshot.objects.bulk_create(
        rows.values(), update_conflicts=True, unique_fields=["domain", "name"], update_fields=_FIELDS, batch_size=100
    )
    keys = dict(DomainSnapshot.objects.filter(domain=domain_id).values_list("name", "pk"))
    note_versions("snapshot_id", {keys[name]: row.xml for name, row in rows.items() if name in keys})
    notes = SnapshotNote.objects.filter(domain=domain_id, noted_at__lt=timezone.now() - _NOTE_GRACE)
    notes.exclude(name__in=rows).delete()


def _row(domain_id: int, facts: SnapshotFacts) -> DomainSnapshot:
    parsed = facts.parsed
    return DomainSnapshot(
        domain_id=domain_id,
        name=parsed.name[:255],
        parent_name=parsed.parent_name[:255],
        kind=parsed.kind,
        has_memory=parsed.has_memory,
        memory_path=parsed.memory_path,
        state=parsed.state[:40],
        description=parsed.description,
        created_at=snapshot_time(parsed.created_at),
        is_current=facts.is_current,
        disks=[asdict(disk) for disk in parsed.disks],
        xml=facts.xml,
        problem=facts.problem,
    )


def snapshot_time(epoch: int) -> datetime | None:
    """Of libvirt's seconds; None where it does not say, or what cannot be."""
    return datetime.fromtimestamp(epoch, tz=UTC) if 0 < epoch < _LAST_SECOND else None
