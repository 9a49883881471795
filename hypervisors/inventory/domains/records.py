"""The rows of domains as the writer holds them in memory, and how they get into the database and into messages."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from hypervisors.inventory.addresses import save_card_addresses
from hypervisors.inventory.storage.quarantine import judge_named
from hypervisors.inventory.storage.references import save_references
from hypervisors.inventory.xml_versions import note_versions
from hypervisors.libvirtxml.domains import PARSER_VERSION
from hypervisors.models import Domain, DomainDefinition
from hypervisors.models.natural_names import natural_text
from hypervisors.states import DomainState

# What the writer may change in a row.
FIELDS = (
    "shared_uuid",
    "hypervisor_id",
    "name",
    "title",
    "description",
    "state",
    "state_reason",
    "state_since",
    "persistent",
    "autostart",
    "has_managed_save",
    "has_snapshots",
    "has_checkpoints",
    "trouble",
    "answering",
    "vcpu_count",
    "memory_kib",
    "os_name",
    "is_template",
    "vanished_at",
)
# DomainRecord.snapshots_fingerprint of one that has none.
NO_SNAPSHOTS = hash(())
# Rows per statement: SQLite takes 32,766 variables.
_BATCH = 500


@dataclass(kw_only=True, slots=True)
class DomainRecord:
    """One row; `xml_fingerprint` is of the two XMLs in its definition."""

    uuid: UUID
    hypervisor_id: int | None
    state_since: datetime
    name: str = ""
    title: str = ""
    description: str = ""
    state: DomainState = DomainState.NOSTATE
    state_reason: str = ""
    persistent: bool = True
    autostart: bool = False
    has_managed_save: bool = False
    has_snapshots: bool = False
    has_checkpoints: bool = False
    trouble: str = ""
    answering: bool = True
    vcpu_count: int = 1
    memory_kib: int = 0
    os_name: str = ""
    is_template: bool = False
    vanished_at: datetime | None = None
    # 0 until it is inserted.
    pk: int = 0
    # libvirt's UUID where that is another than `uuid`.
    shared_uuid: UUID | None = None
    xml_fingerprint: int = 0
    # Of what was told of its snapshots, see inventory/domains/snapshots.py. 0: not known.
    snapshots_fingerprint: int = NO_SNAPSHOTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What goes into a DomainDefinition."""

    live_xml: str
    inactive_xml: str
    live_parsed: dict[str, Any]
    inactive_parsed: dict[str, Any]
    live_sha256: str
    inactive_sha256: str


def sha256(xml: str) -> str:
    """In hexadecimal; empty for no XML."""
    return hashlib.sha256(xml.encode()).hexdigest() if xml else ""


def fingerprint(live_sha256: str, inactive_sha256: str) -> int:
    """Differs when the XMLs do; of this process only."""
    return hash((live_sha256, inactive_sha256))


def load_records(hypervisor_ids: Collection[int], *, with_orphans: bool) -> Iterator[DomainRecord]:
    """The rows on these hypervisors, without any XML; orphans have lost their hypervisor's row."""
    where = Q(hypervisor__in=hypervisor_ids)
    if with_orphans:
        where |= Q(hypervisor=None, vanished_at=None)
    rows = Domain.objects.filter(where)
    fingerprints = {
        pk: fingerprint(live, inactive)
        for pk, live, inactive in DomainDefinition.objects.filter(domain__in=rows.order_by().values("pk"))
        .values_list("domain_id", "live_sha256", "inactive_sha256")
        .iterator(chunk_size=_BATCH)
    }
    for row in rows.values("pk", "uuid", *FIELDS).iterator(chunk_size=_BATCH):
        row["state"] = DomainState(row["state"])
        row["snapshots_fingerprint"] = 0 if row["has_snapshots"] else NO_SNAPSHOTS
        yield DomainRecord(**row, xml_fingerprint=fingerprints.get(row["pk"], 0))


def taken_elsewhere(uuids: Collection[UUID], hypervisor_pool_id: int) -> set[UUID]:
    """Those by which a present domain of another hypervisor pool is known."""
    elsewhere = Domain.objects.present().exclude(hypervisor__hypervisor_pool=hypervisor_pool_id)
    elsewhere = elsewhere.exclude(hypervisor=None).order_by()
    found: set[UUID] = set()
    asked = list(uuids)
    for start in range(0, len(asked), _BATCH):
        some = asked[start : start + _BATCH]
        found.update(elsewhere.filter(uuid__in=some).values_list("uuid", flat=True))
    return found


def save_rows(records: Mapping[UUID, DomainRecord], changed: Mapping[UUID, Iterable[str]], *, has_new: bool) -> None:
    """Write the changed columns of a few known ones; of many, and where one is new, the rows whole."""
    if len(changed) <= 3 and not has_new:
        gone = [uuid for uuid, columns in changed.items() if not save_one(records[uuid], columns)]
        changed = dict.fromkeys(gone, FIELDS)
    if changed:
        save_many(records[uuid] for uuid in changed)


def save_one(record: DomainRecord, columns: Iterable[str]) -> bool:
    """Update a known row; False when it is no longer there."""
    values = {name: getattr(record, name) for name in columns}
    if "name" in values:
        values["natural_name"] = natural_text(record.name)
    return Domain.objects.filter(pk=record.pk).update(**values) == 1


def save_many(records: Iterable[DomainRecord]) -> None:
    """Insert or update rows whole, and note their keys."""
    records = list(records)
    rows = Domain.objects.bulk_create(
        [Domain(uuid=record.uuid, **{name: getattr(record, name) for name in FIELDS}) for record in records],
        update_conflicts=True,
        unique_fields=["uuid"],
        update_fields=[*FIELDS, "natural_name"],
        batch_size=_BATCH,
    )
    for record, row in zip(records, rows, strict=True):
        record.pk = row.pk


def save_definitions(definitions: Iterable[tuple[DomainRecord, Definition]]) -> None:
    """Insert or update the definitions of saved records, and what of storage they name."""
    definitions = list(definitions)
    rows = [
        DomainDefinition(
            domain_id=record.pk,
            parser_version=PARSER_VERSION,
            **{name: getattr(definition, name) for name in _DEFINITION_FIELDS},
        )
        for record, definition in definitions
    ]
    DomainDefinition.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["domain"],
        update_fields=[*_DEFINITION_FIELDS, "parser_version"],
        batch_size=_BATCH,
    )
    save_card_addresses((record.pk, one.live_parsed, one.inactive_parsed) for record, one in definitions)
    note_versions("domain_id", {record.pk: one.inactive_xml for record, one in definitions})
    named_raw = save_references((record.pk, one.live_xml, one.inactive_xml) for record, one in definitions)
    judge_named(named_raw)


_DEFINITION_FIELDS = tuple(field.name for field in fields(Definition))


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredXml:
    """A definition that another version of the parser has read."""

    domain_id: int
    uuid: UUID
    live_xml: str
    inactive_xml: str


def outdated_definitions(*, after: int, limit: int) -> list[StoredXml]:
    """Some with a higher `domain_id`, in its order."""
    outdated = DomainDefinition.objects.exclude(parser_version=PARSER_VERSION).filter(domain_id__gt=after)
    rows = outdated.order_by("domain_id").values("domain_id", "live_xml", "inactive_xml", uuid=F("domain__uuid"))
    return [StoredXml(**row) for row in rows[:limit]]


def message_fields(record: DomainRecord, columns: Iterable[str], hypervisor_names: dict[int, str]) -> dict[str, Any]:
    """The columns as JSON values, as broadcast.Change carries them."""
    message: dict[str, Any] = {}
    for name in columns:
        value = getattr(record, name)
        if name == "shared_uuid":
            continue
        if name == "hypervisor_id":
            message["hypervisor"] = value
            message["hypervisor_name"] = hypervisor_names.get(value, "")
        elif name == "vanished_at":
            message["vanished"] = value is not None
        elif name == "state_since":
            message["state_since"] = value.timestamp()
        else:
            message[name] = value
    return message
