"""What probes prove, and when vmportal looks by itself."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.storage.sharing import SharingView
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.inventory.observations import StoragePoolRead, StoragePoolsListed
from hypervisors.inventory.storage.mirror import StorageMirror
from hypervisors.models import Hypervisor, Operation, SharedStorage, StoragePool
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.storage.sharing_proofs import conclude, note_findings
from hypervisors.operations.storage.sharing_upkeep import due_shared_storages, request_due_proofs
from hypervisors.states import HypervisorStatus

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

Make = Callable[..., list[StoragePool]]


@pytest.fixture
def make_sharers(make_hypervisor: Callable[..., Hypervisor]) -> Make:
    """Storage pools of so many hosts that look like the same storage."""

    def make(count: int, *, pool_type: str = "dir", source: str = "") -> list[StoragePool]:
        hosts = [make_hypervisor() for _ in range(count)]
        shared = SharedStorage.objects.create(
            hypervisor_pool=hosts[0].hypervisor_pool, name="images", pool_type=pool_type, identity="path /images"
        )
        return [
            StoragePool.objects.create(
                hypervisor=host,
                shared_storage=shared,
                uuid=UUID(int=number),
                name="images",
                pool_type=pool_type,
                source=source,
                active=True,
                autostart=True,
                target_path="/images",
            )
            for number, host in enumerate(hosts, start=1)
        ]

    return make


def view(*probes: str, **changed_at: str) -> SharingView:
    return SharingView(probes=frozenset(probes), changed_at=changed_at)


def found(
    rows: list[StoragePool],
    views: list[SharingView | HypervisorError],
    *,
    writers: list[int],
    refused: dict[int, str] | None = None,
) -> list[str]:
    """For each storage pool "same", "another", "?" where that is not known, or "unasked"."""
    findings = conclude(
        rows,
        {row.pk: seen for row, seen in zip(rows, views, strict=True)},
        {rows[position].pk: f"p{position}" for position in writers},
        {rows[position].pk: text for position, text in (refused or {}).items()},
    )

    def word(row: StoragePool) -> str:
        finding = findings[row.pk]
        if not finding.is_known:
            return "unasked"
        return "same" if finding.is_proved else "another" if finding.is_another else "?"

    return [word(row) for row in rows]


def test_who_sees_the_others_probes_has_the_same_storage_and_who_does_not_another(make_sharers: Make) -> None:
    rows = make_sharers(3)
    views = [view("p0", "p1"), view("p0", "p1"), view("p2")]
    assert found(rows, views, writers=[0, 1, 2]) == ["same", "same", "another"]


def test_one_that_is_seen_by_one_alone_is_seen(make_sharers: Make) -> None:
    rows = make_sharers(3)
    # The third may not write, and sees the second's only.
    assert found(rows, [view("p0", "p1"), view("p1"), view("p1")], writers=[0, 1], refused={2: "Read-only."}) == [
        "same",
        "same",
        "same",
    ]


def test_folders_of_the_same_name_are_another_storage_each(make_sharers: Make) -> None:
    rows = make_sharers(2)
    assert found(rows, [view("p0"), view("p1")], writers=[0, 1]) == ["another", "another"]


def test_where_nothing_can_be_written_a_file_changed_at_the_same_nanosecond_tells(make_sharers: Make) -> None:
    rows = make_sharers(3)
    views = [view(iso="17.123456789"), view(iso="17.123456789"), view(iso="17.999999999")]
    refused = dict.fromkeys(range(3), "Read-only file system.")
    assert found(rows, views, writers=[], refused=refused) == ["same", "same", "?"]


def test_a_host_that_does_not_answer_is_not_called_another(make_sharers: Make) -> None:
    rows = make_sharers(3)
    views = [view("p0", "p1"), view("p0", "p1"), HypervisorError("host3 did not answer.")]
    assert found(rows, views, writers=[0, 1, 2]) == ["same", "same", "unasked"]


@pytest.mark.parametrize(("source", "expected"), [("mon1:images", "same"), ("localhost:images", "?")])
def test_storage_on_the_network_is_known_by_its_source(source: str, expected: str, make_sharers: Make) -> None:
    rows = make_sharers(2, pool_type="rbd", source=source)
    assert found(rows, [view(), view()], writers=[]) == [expected, expected]


def test_what_is_found_stands_in_the_rows(make_sharers: Make) -> None:
    rows = make_sharers(3)
    shared = SharedStorage.objects.get()
    probes = {row.pk: f"p{position}" for position, row in enumerate(rows)}
    views = {rows[0].pk: view("p0", "p1"), rows[1].pk: view("p0", "p1"), rows[2].pk: view("p2")}
    note_findings(shared, rows, conclude(rows, views, probes, {}))
    first, second, third = StoragePool.objects.order_by("pk")
    assert first.is_proved_same_as(second)
    assert not first.is_proved_same_as(third)
    assert third.is_another
    assert "another storage" in third.unproved_reason
    shared.refresh_from_db()
    assert shared.is_proved
    # What is another storage has its own locks, and is not refreshed with the others.
    assert volume_lock_key(first, "a") == volume_lock_key(second, "a") != volume_lock_key(third, "a")
    assert set(StoragePool.objects.same_storage_as(first)) == {first, second}
    assert set(StoragePool.objects.same_storage_as(third)) == {third}
    # Seen again later, it is seen since then all the same; gone for good, it is not.
    since = first.proved_since
    note_findings(shared, rows, conclude(rows, views, probes, {}))
    assert StoragePool.objects.get(pk=first.pk).proved_since == since
    views = {row.pk: view(probes[row.pk]) for row in rows}
    note_findings(shared, rows, conclude(rows, views, probes, {}))
    shared.refresh_from_db()
    assert not shared.is_proved
    assert not StoragePool.objects.exclude(proved_since=None).exists()


def test_what_was_never_looked_at_is_due_and_filed_once_by_nobody(make_sharers: Make) -> None:
    make_sharers(2)
    assert request_due_proofs() == 1
    assert request_due_proofs() == 0
    operation = Operation.objects.get()
    assert (operation.kind, operation.requested_by, operation.subject_name) == ("prove_sharing", None, "images")


def test_it_is_due_again_when_a_host_came_back_and_not_while_nothing_happened(make_sharers: Make) -> None:
    rows = make_sharers(2)
    now = timezone.now()
    Hypervisor.objects.update(status_since=now - timedelta(hours=2))
    StoragePool.objects.update(looked_at=now - timedelta(hours=1))
    assert due_shared_storages() == []
    Hypervisor.objects.filter(pk=rows[0].hypervisor_id).update(status_since=now)
    assert len(due_shared_storages()) == 1
    Hypervisor.objects.filter(pk=rows[0].hypervisor_id).update(status=HypervisorStatus.OFFLINE)
    assert due_shared_storages() == []


def test_it_takes_two_hosts_that_can_be_asked(make_sharers: Make, alice: User) -> None:
    rows = make_sharers(2)
    Hypervisor.objects.filter(pk=rows[1].hypervisor_id).update(status=HypervisorStatus.OFFLINE)
    assert request_due_proofs() == 0
    with pytest.raises(NotPossible, match="two hosts that are online"):
        request_operation(user=alice, kind="prove_sharing", subject=rows[0])


@pytest.mark.parametrize("what", ["stopped", "elsewhere", "gone"])
def test_what_stops_moves_or_goes_is_not_proved_any_more(what: str, make_sharers: Make) -> None:
    rows = make_sharers(2)
    StoragePool.objects.update(proved_at=timezone.now(), proved_since=timezone.now(), looked_at=timezone.now())
    mirror = StorageMirror()
    mirror.note_hypervisor_pools({row.hypervisor_id: row.hypervisor.hypervisor_pool_id for row in rows})
    for row in rows:
        changes = row is rows[0]
        facts = StoragePoolFacts(
            uuid=row.uuid,
            name="images",
            pool_type="dir",
            active=not (changes and what == "stopped"),
            autostart=True,
            target_path="/elsewhere" if changes and what == "elsewhere" else "/images",
            source="",
            capacity_bytes=1,
            allocation_bytes=1,
            available_bytes=1,
        )
        listed = () if changes and what == "gone" else (row.uuid,)
        mirror.take_listing(StoragePoolsListed(hypervisor_id=row.hypervisor_id, uuids=listed))
        if listed:
            mirror.take_reading(StoragePoolRead(hypervisor_id=row.hypervisor_id, facts=facts))
    SharedStorage.objects.update(identity="path /images of images")
    mirror.save()
    first, second = StoragePool.objects.order_by("pk")
    assert (first.is_proved, first.looked_at, second.is_proved) == (False, None, True)
