"""Notes each definition that differs from the last one that was seen, and whose doing it seems to be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.utils import timezone

from hypervisors.models import Domain, DomainSnapshot, Operation, OperationLock, XmlVersion
from hypervisors.models.xml_versions import digest, packed
from hypervisors.states import OperationState

# Rows per statement: SQLite takes 32,766 variables.
_BATCH = 500
# An operation ends a moment before the watcher reads what it has done.
_ENDED_AGO = timedelta(seconds=3)
_LATELY = timedelta(minutes=2)
# In an operation's progress: the digest of the definition that it has made.
MADE_SHA256 = "made_sha256"
# What is asked of machines that leaves their definition as it is.
_LEAVE_IT_ALONE = frozenset(
    {"start", "shut_down", "force_off", "pause", "resume", "reset", "reboot", "save", "discard_saved"}
)


def note_versions(column: str, definitions: Mapping[int, str]) -> None:
    """`definitions`: the XML by the key in the column ("domain_id"). Empty XML is passed over.

    Call in the transaction that writes the definitions.
    """
    told = [(key, digest(xml), xml) for key, xml in definitions.items() if xml]
    for start in range(0, len(told), _BATCH):
        _note(column, told[start : start + _BATCH])


def _note(column: str, told: list[tuple[int, str, str]]) -> None:
    keys = [key for key, _sha256, _xml in told]
    known = dict(XmlVersion.objects.newest_of(column, keys).values_list(column, "sha256"))
    new = [(key, sha256, xml) for key, sha256, xml in told if known.get(key) != sha256]
    if not new:
        return
    now = timezone.now()
    doing = _under_way(column, {key: sha256 for key, sha256, _xml in new}, now)
    XmlVersion.objects.bulk_create(
        [_row(column, key, sha256, xml, doing.get(key), now, is_first=key not in known) for key, sha256, xml in new],
        batch_size=_BATCH,
    )


def _row(
    column: str, key: int, sha256: str, xml: str, operation: Operation | None, now: datetime, *, is_first: bool
) -> XmlVersion:
    person = operation.requested_by if operation is not None else None
    return XmlVersion(
        **{column: key},
        sha256=sha256,
        xml_zlib=packed(xml),
        seen_at=now,
        operation=operation,
        operation_kind=operation.kind if operation is not None else "",
        changed_by=person.get_username() if person is not None else "",
        is_first=is_first and operation is None,
    )


def _under_way(column: str, made: Mapping[int, str], now: datetime) -> dict[int, Operation]:
    """What has, or had a moment ago, each of these for itself, and changes definitions. `made`: digests by key."""
    names = _lock_keys(column, list(made))
    if not names:
        return {}
    found: dict[int, Operation] = {}
    for one in _ended(names, now):
        # Some say what they have made: that is theirs, and nothing else is.
        says, is_new = one.progress.get(MADE_SHA256), one.ended_at is not None and one.ended_at >= now - _ENDED_AGO
        for key in names[f"{one.subject_type}:{one.subject_key}"]:
            if says == made[key] or (says is None and is_new):
                found[key] = one
    locks = OperationLock.objects.filter(key__in=list(names)).select_related("operation__requested_by")
    for lock in locks:
        operation = lock.operation
        if operation.kind not in _LEAVE_IT_ALONE and operation.state == OperationState.RUNNING:
            found |= dict.fromkeys(names[lock.key], operation)
    return found


def _ended(names: Mapping[str, list[int]], now: datetime) -> Iterable[Operation]:
    """Operations on these subjects that ended lately, oldest first."""
    subjects = [name.partition(":") for name in names]
    rows = Operation.objects.filter(
        subject_type=subjects[0][0],
        subject_key__in=[key for _type, _colon, key in subjects],
        started_at__isnull=False,
        ended_at__gte=now - _LATELY,
    )
    return rows.exclude(kind__in=_LEAVE_IT_ALONE).select_related("requested_by").order_by("ended_at")


def _lock_keys(column: str, keys: list[int]) -> dict[str, list[int]]:
    """The subjects' locks, and whose they are."""
    if column == "domain_id":
        uuids = Domain.objects.filter(pk__in=keys).order_by().values_list("uuid", "pk")
        return {f"domain:{uuid}": [pk] for uuid, pk in uuids}
    if column == "snapshot_id":
        found: dict[str, list[int]] = defaultdict(list)
        for uuid, pk in DomainSnapshot.objects.filter(pk__in=keys).order_by().values_list("domain__uuid", "pk"):
            found[f"domain:{uuid}"].append(pk)
        return dict(found)
    name = column.removesuffix("_id")
    return {f"{name}:{key}": [key] for key in keys}
