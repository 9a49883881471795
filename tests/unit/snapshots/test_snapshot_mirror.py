"""Snapshots become rows as they are told, and what only we know of them outlives that."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.gateway.domains.snapshots import SnapshotFacts
from hypervisors.inventory.domains.mirror import DomainMirror
from hypervisors.inventory.domains.snapshots import snapshot_time
from hypervisors.inventory.observations import DomainsListed
from hypervisors.libvirtxml.domain_snapshots import ParsedSnapshot
from hypervisors.models import Domain, DomainSnapshot, Hypervisor, SnapshotNote
from hypervisors.models.snapshots import notes_of
from hypervisors.states import DomainState

pytestmark = pytest.mark.django_db
A = UUID(int=10)


def _facts(*snapshots: SnapshotFacts) -> DomainFacts:
    return DomainFacts(
        uuid=A,
        name="web1",
        state=DomainState.RUNNING,
        state_reason="",
        persistent=True,
        autostart=False,
        has_managed_save=False,
        live_xml="<domain><name>web1</name></domain>",
        inactive_xml="<domain><name>web1</name></domain>",
        has_snapshots=bool(snapshots),
        snapshots=snapshots,
    )


def _snapshot(name: str, parent: str = "", **fields: Any) -> SnapshotFacts:
    parsed = ParsedSnapshot(name=name, parent_name=parent, state="running", created_at=1795726113)
    return replace(SnapshotFacts(parsed=parsed), **fields)


class Scene:
    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor = hypervisor
        self.mirror = DomainMirror()
        self.mirror.load([hypervisor.pk])

    def tells(self, *snapshots: SnapshotFacts) -> list[dict[str, Any]]:
        listed = DomainsListed(hypervisor_id=self.hypervisor.pk, domains=(_facts(*snapshots),), started_at=0.0)
        self.mirror.take_listing(listed)
        changes = self.mirror.save({self.hypervisor.pk: "host"}) if self.mirror.has_unsaved() else []
        self.mirror.note_saved()
        return [dict(change.fields) for change in changes]


@pytest.fixture
def scene(hypervisor: Hypervisor) -> Scene:
    return Scene(hypervisor)


def _names() -> list[tuple[str, str, bool]]:
    rows = DomainSnapshot.objects.order_by("name")
    return list(rows.values_list("name", "parent_name", "is_current"))


def test_snapshots_become_rows_that_follow_what_is_told(scene: Scene) -> None:
    scene.tells(_snapshot("a"), _snapshot("b", "a", is_current=True))
    assert _names() == [("a", "", False), ("b", "a", True)]
    kept = DomainSnapshot.objects.get(name="a").pk
    (change,) = scene.tells(_snapshot("a", is_current=True), _snapshot("c", "a"))
    assert change["snapshots"] == 2
    assert _names() == [("a", "", True), ("c", "a", False)]
    assert DomainSnapshot.objects.get(name="a").pk == kept
    (change,) = scene.tells()
    assert change["has_snapshots"] is False
    assert _names() == []


def test_what_is_told_again_is_not_written_again(
    scene: Scene, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    scene.tells(_snapshot("a"))
    with django_assert_num_queries(0):
        assert scene.tells(_snapshot("a")) == []


def test_a_watcher_that_starts_writes_what_changed_meanwhile(scene: Scene) -> None:
    scene.tells(_snapshot("a"), _snapshot("b", "a"))
    later = Scene(scene.hypervisor)
    later.tells(_snapshot("a"))
    assert _names() == [("a", "", False)]


def test_one_that_cannot_be_read_harms_no_other(scene: Scene) -> None:
    bad = SnapshotFacts(parsed=ParsedSnapshot(name="bad"), problem="It is broken.")
    scene.tells(bad, _snapshot("good"))
    assert [name for name, _parent, _current in _names()] == ["bad", "good"]
    assert DomainSnapshot.objects.get(name="bad").problem == "It is broken."


def test_a_note_counts_for_the_snapshot_of_its_time_only(scene: Scene, alice: User) -> None:
    scene.tells(_snapshot("a"), _snapshot("b"))
    domain, at = Domain.objects.get(uuid=A), snapshot_time(1795726113)
    SnapshotNote.objects.create(domain=domain, name="a", created_at=at, taken_by=alice, picture=b"png")
    SnapshotNote.objects.create(domain=domain, name="b", created_at=timezone.now(), taken_by=alice)
    notes = notes_of(list(domain.snapshots.all()))
    assert {name: (note.taken_by, note.picture_bytes) for name, note in notes.items()} == {"a": (alice, 3)}


def test_old_notes_of_what_is_gone_go_too(scene: Scene) -> None:
    scene.tells(_snapshot("a"), _snapshot("b"))
    domain = Domain.objects.get(uuid=A)
    for name, age in (("a", timedelta(days=1)), ("gone", timedelta(days=1)), ("young", timedelta(0))):
        SnapshotNote.objects.create(domain=domain, name=name, created_at=timezone.now(), noted_at=timezone.now() - age)
    scene.tells(_snapshot("a"))
    assert set(SnapshotNote.objects.values_list("name", flat=True)) == {"a", "young"}


@pytest.mark.parametrize(("epoch", "is_known"), [(0, False), (-5, False), (10**18, False), (1795726113, True)])
def test_times_that_cannot_be_are_not_known(epoch: int, is_known: bool) -> None:
    assert (snapshot_time(epoch) is not None) == is_known
