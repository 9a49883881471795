"""The truth rules: which hypervisor a domain belongs to, and when it is gone."""

import hashlib
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from hypervisors.broadcast import Change
from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.inventory.domains import mirror as domains
from hypervisors.inventory.domains.mirror import DomainMirror
from hypervisors.inventory.observations import DomainRead, DomainsAnswering, DomainsListed, DomainStateSeen
from hypervisors.libvirtxml.domains import PARSER_VERSION
from hypervisors.models import Domain, DomainCopy, DomainDefinition, Hypervisor, HypervisorPool
from hypervisors.states import DomainState, OperationState
from tests.rows import make_operation

pytestmark = pytest.mark.django_db

A, B = UUID(int=10), UUID(int=11)
NAMES = {1: "one", 2: "two"}


def _facts(uuid: UUID = A, state: DomainState = DomainState.RUNNING, **fields: object) -> DomainFacts:
    facts = DomainFacts(
        uuid=uuid,
        name="web1",
        state=state,
        state_reason="",
        persistent=True,
        autostart=False,
        has_managed_save=False,
        live_xml="<domain><name>web1</name><vcpu>2</vcpu></domain>",
        inactive_xml="<domain><name>web1</name><vcpu>2</vcpu></domain>",
    )
    return replace(facts, **fields)  # type: ignore[arg-type]


class Scene:
    """A mirror over two online hypervisors with the ids 1 and 2."""

    def __init__(self) -> None:
        self.mirror = DomainMirror()
        self.mirror.note_names(NAMES)
        self.mirror.load(Hypervisor.objects.values_list("pk", flat=True), with_orphans=True)
        for number in NAMES:
            self.mirror.set_online(number, online=True)

    def lists(self, hypervisor: int, *facts: DomainFacts) -> list[Change]:
        self.mirror.take_listing(DomainsListed(hypervisor_id=hypervisor, domains=facts, started_at=time.monotonic()))
        return self.save()

    def reads(self, hypervisor: int, uuid: UUID, facts: DomainFacts | None) -> list[Change]:
        read = DomainRead(hypervisor_id=hypervisor, uuid=uuid, facts=facts, started_at=time.monotonic())
        self.mirror.take_reading(read)
        return self.save()

    def hears(self, hypervisor: int, state: DomainState | None, reason: str = "") -> list[Change]:
        seen = DomainStateSeen(
            hypervisor_id=hypervisor, uuid=A, state=state, state_reason=reason, seen_at=time.monotonic()
        )
        self.mirror.take_state(seen)
        return self.save()

    def save(self) -> list[Change]:
        self.mirror.make_tombstones()
        self.mirror.raise_alarms()
        changes = self.mirror.save(NAMES)
        self.mirror.note_saved()
        return changes


@pytest.fixture
def scene(hypervisor: Hypervisor) -> Scene:
    row, _ = Hypervisor.objects.get_or_create(
        pk=1, defaults={"name": "one", "hypervisor_pool": hypervisor.hypervisor_pool, "uri": "qemu:///system"}
    )
    Hypervisor.objects.get_or_create(
        pk=2, defaults={"name": "two", "hypervisor_pool": row.hypervisor_pool, "uri": "qemu+tcp://two/system"}
    )
    return Scene()


def _row(uuid: UUID = A) -> Domain:
    return Domain.objects.get(uuid=uuid)


def test_what_did_not_change_costs_no_query(scene: Scene, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    assert [change.op for change in scene.lists(1, _facts(), _facts(B))] == ["add", "add"]
    with django_assert_num_queries(0):
        assert scene.lists(1, _facts(), _facts(B)) == []


def test_a_message_carries_the_changed_fields_only(scene: Scene) -> None:
    scene.lists(1, _facts())
    (change,) = scene.hears(1, DomainState.PAUSED, "by user")
    assert (change.what, change.id, change.op) == ("domain", str(A), "update")
    assert change.fields.keys() == {"state", "state_reason", "state_since"}


def test_a_lone_event_is_one_statement(scene: Scene, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    scene.lists(1, _facts())
    with django_assert_num_queries(1):
        scene.hears(1, DomainState.PAUSED)


def test_a_reading_begun_before_an_event_does_not_turn_the_state_back(scene: Scene) -> None:
    scene.lists(1, _facts())
    begun = time.monotonic()
    scene.hears(1, DomainState.PAUSED, "by user")
    scene.mirror.take_reading(DomainRead(hypervisor_id=1, uuid=A, facts=_facts(), started_at=begun))
    scene.save()
    assert _row().state == DomainState.PAUSED
    scene.reads(1, A, _facts())
    assert _row().state == DomainState.RUNNING


def test_a_migration_moves_the_row_when_the_target_runs_and_it_never_vanishes(scene: Scene) -> None:
    scene.lists(1, _facts())
    scene.lists(2)
    changes = scene.reads(2, A, _facts(state=DomainState.PAUSED, persistent=False, inactive_xml=""))
    assert changes == []
    changes += scene.hears(1, None, "migration")
    changes += scene.hears(2, DomainState.RUNNING, "migrated")
    assert _row().hypervisor_id == 2
    changes += scene.hears(1, None, "migrated")
    changes += scene.reads(1, A, _facts(state=DomainState.SHUTOFF, state_reason="migrated", live_xml=""))
    changes += scene.reads(1, A, None)
    row = _row()
    assert (row.hypervisor_id, row.state, row.vanished_at) == (2, DomainState.RUNNING, None)
    assert not any(change.fields.get("vanished") or change.fields.get("state") for change in changes)
    assert scene.mirror.take_unread() == {(2, A)}, "its XML on the target is read again"


def test_a_leaving_domain_gets_time_to_arrive(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lists(1, _facts())
    scene.hears(1, None, "migrated")
    assert scene.reads(1, A, None) == []
    assert _row().vanished_at is None
    monkeypatch.setattr(domains, "_LEAVING_GRACE_SECONDS", 0.0)
    later = time.monotonic() + 6
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert [change.fields["vanished"] for change in scene.save()] == [True]


def test_an_undefined_domain_is_a_tombstone_at_once_and_comes_back_as_itself(scene: Scene) -> None:
    scene.lists(1, _facts())
    before = _row()
    assert [change.fields for change in scene.reads(1, A, None)] == [{"vanished": True}]
    assert _row().hypervisor_id == 1, "a tombstone remembers where it was"
    (change,) = scene.lists(2, _facts(name="web2"))
    assert (change.fields["vanished"], change.fields["hypervisor_name"]) == (False, "two")
    assert (_row().pk, _row().name) == (before.pk, "web2")


def test_a_leftover_definition_elsewhere_does_not_draw_a_domain_away(scene: Scene) -> None:
    scene.lists(1, _facts())
    scene.lists(2, _facts(state=DomainState.SHUTOFF, live_xml=""))
    assert (_row().hypervisor_id, _row().state) == (1, DomainState.RUNNING)
    scene.hears(1, DomainState.SHUTOFF, "shut down")
    assert (_row().hypervisor_id, _row().state) == (1, DomainState.SHUTOFF)
    scene.reads(1, A, None)
    assert (_row().hypervisor_id, _row().vanished_at) == (2, None)


def test_a_domain_restarted_elsewhere_while_its_host_is_away_moves(scene: Scene) -> None:
    scene.lists(1, _facts())
    scene.mirror.set_online(1, online=False)
    scene.lists(2, _facts())
    assert _row().hypervisor_id == 2


def test_a_domain_that_did_not_answer_is_believed_again_where_it_moved(scene: Scene) -> None:
    scene.lists(1, _facts())
    scene.mirror.take_answering(DomainsAnswering(hypervisor_id=2, answering={A: False}))
    assert scene.save() == [], "another host's word does not count"
    scene.mirror.take_answering(DomainsAnswering(hypervisor_id=1, answering={A: False}))
    assert [change.fields for change in scene.save()] == [{"answering": False}]
    scene.hears(1, None, "migration")
    scene.lists(2, _facts())
    assert (_row().hypervisor_id, _row().answering) == (2, True)


def test_rows_of_a_host_that_was_not_heard_yet_stay_as_they_are(scene: Scene) -> None:
    scene.lists(1, _facts(), _facts(B))
    again = Scene()
    assert again.lists(2) == []
    assert [change.id for change in again.lists(1, _facts())] == [str(B)]
    assert Domain.objects.present().count() == 1


def test_rows_of_a_removed_hypervisor_become_tombstones(scene: Scene) -> None:
    scene.lists(1, _facts())
    scene.mirror.forget_hypervisor(1)
    assert [change.fields for change in scene.save()] == [{"vanished": True}]


def test_what_another_hypervisor_has_too_outlives_the_removal_of_its_own(scene: Scene) -> None:
    scene.lists(1, _facts())
    scene.lists(2, _facts(state=DomainState.SHUTOFF))
    assert Domain.objects.get().hypervisor_id == 1
    # As the service that removes a hypervisor writes it, before the watcher hears of it.
    Domain.objects.update(vanished_at=timezone.now(), hypervisor=None)
    scene.mirror.forget_hypervisor(1)
    scene.save()
    row = Domain.objects.get()
    assert (row.hypervisor_id, row.vanished_at, row.state) == (2, None, DomainState.SHUTOFF)


def test_xml_that_cannot_be_read_still_makes_a_row(scene: Scene) -> None:
    scene.lists(1, _facts(live_xml="<domain", inactive_xml="<domain"))
    row = _row()
    assert (row.name, row.state, row.definition.parsed["name"]) == ("web1", DomainState.RUNNING, "web1")


def test_overlong_texts_are_cut_to_their_columns(scene: Scene) -> None:
    xml = f"<domain><name>{'n' * 400}</name><title>{'t' * 400}</title></domain>"
    scene.lists(1, _facts(name="n" * 400, live_xml=xml))
    assert (_row().name, _row().title) == ("n" * 255, "t" * 255)
    assert scene.lists(1, _facts(name="n" * 400, live_xml=xml)) == []


LIVE = "<domain id='1'><name>web1</name><vcpu>4</vcpu><memory unit='MiB'>512</memory></domain>"
INACTIVE = "<domain><name>web1</name><vcpu>8</vcpu></domain>"


def test_stored_xml_is_parsed_anew_by_a_newer_parser_without_libvirt(
    scene: Scene, django_assert_num_queries: Any
) -> None:
    scene.lists(1, _facts(), _facts(B))
    DomainDefinition.objects.filter(domain__uuid=A).update(
        live_xml=LIVE, inactive_xml=INACTIVE, live_parsed={}, live_sha256="", inactive_sha256="", parser_version=0
    )
    mirror = Scene().mirror
    assert mirror.parse_stored()
    (change,) = mirror.save(NAMES)
    mirror.note_saved()
    assert (change.id, change.fields["vcpu_count"], change.fields["redefined"]) == (str(A), 4, True)
    stored = DomainDefinition.objects.get(domain__uuid=A)
    assert (stored.live_parsed["vcpu_count"], stored.inactive_parsed["vcpu_count"]) == (4, 8)
    assert stored.parsed["memory_kib"] == 512 * 1024
    assert stored.live_sha256 == hashlib.sha256(LIVE.encode()).hexdigest()
    assert stored.parser_version == PARSER_VERSION
    with django_assert_num_queries(1):
        assert not mirror.parse_stored(), "there is none left"
    # The XML that libvirt tells is the stored one: nothing to write.
    same = replace(_facts(), live_xml=LIVE, inactive_xml=INACTIVE)
    mirror.take_listing(DomainsListed(hypervisor_id=1, domains=(same, _facts(B)), started_at=time.monotonic()))
    assert [change for change in mirror.save(NAMES) if "redefined" in change.fields] == []


def test_both_parses_are_kept(scene: Scene) -> None:
    scene.lists(1, replace(_facts(), live_xml=LIVE, inactive_xml=INACTIVE))
    stored = DomainDefinition.objects.get()
    assert (stored.live_parsed["vcpu_count"], stored.inactive_parsed["vcpu_count"]) == (4, 8)
    scene.lists(1, replace(_facts(), live_xml="", inactive_xml=INACTIVE, state=DomainState.SHUTOFF))
    stored = DomainDefinition.objects.get()
    assert (stored.live_parsed, stored.live_sha256, stored.parsed["vcpu_count"]) == ({}, "", 8)


def _copies() -> list[tuple[int, str, str, bool]]:
    rows = DomainCopy.objects.order_by("hypervisor")
    return [(row.hypervisor_id, row.name, row.state, row.runs_too_since is not None) for row in rows]


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + seconds)


def test_the_same_machine_running_on_two_hosts_is_an_alarm_that_names_both(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.lists(1, _facts())
    (change,) = scene.lists(2, _facts(name="twin"))
    assert (change.fields, _copies()) == ({"copies": 1}, [(2, "twin", "running", False)])
    assert _row().trouble == "", "a migration that switches over looks like that for a moment"
    _later(monkeypatch, 2.5)
    (change,) = scene.save()
    assert change.fields["trouble"].startswith("ALARM: web1 runs on one and on two at the same time.")
    assert (_row().trouble, _copies()) == (change.fields["trouble"], [(2, "twin", "running", True)])
    again = Scene()
    assert again.lists(1, _facts()) == []
    assert again.lists(2, _facts(name="twin")) == []
    assert _copies() == [(2, "twin", "running", True)]
    again.hears(2, DomainState.SHUTOFF, "forced off")
    assert (_row().trouble, _copies()) == ("", [(2, "twin", "shutoff", False)])
    again.reads(2, A, None)
    assert _copies() == []


def test_a_definition_that_is_left_over_is_kept_apart_and_is_no_alarm(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.lists(1, _facts())
    scene.lists(2, _facts(name="web1-old", state=DomainState.SHUTOFF, live_xml=""))
    _later(monkeypatch, 9)
    scene.save()
    assert (_row().name, _row().trouble, _copies()) == ("web1", "", [(2, "web1-old", "shutoff", False)])


def test_a_migration_is_neither_a_copy_nor_an_alarm(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lists(1, _facts())
    scene.reads(2, A, _facts(state=DomainState.PAUSED, persistent=False, inactive_xml=""))
    assert _copies() == []
    scene.hears(1, None, "migration")
    scene.hears(2, DomainState.RUNNING, "migrated")
    _later(monkeypatch, 9)
    scene.save()
    assert (_row().hypervisor_id, _row().trouble, _copies()) == (2, "", [])


def test_no_alarm_is_raised_while_a_move_of_ours_is_under_way(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lists(1, _facts())
    move = make_operation(domain=_row(), kind="migrate", state=OperationState.RUNNING, started_at=timezone.now())
    scene.lists(2, _facts())
    _later(monkeypatch, 2.5)
    scene.save()
    assert _row().trouble == ""
    move.delete()
    _later(monkeypatch, 2.5)
    scene.save()
    assert _row().trouble.startswith("ALARM")


def test_what_ran_on_a_host_that_is_away_is_no_alarm(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lists(1, _facts())
    scene.mirror.set_online(1, online=False)
    scene.lists(2, _facts())
    _later(monkeypatch, 9)
    scene.save()
    assert (_row().hypervisor_id, _row().trouble) == (2, "")


@pytest.mark.parametrize(
    ("state", "reason", "errors", "words"),
    [
        (DomainState.PAUSED, "I/O error", ("vdb: no space left",), "(vdb: no space left). Make room on its storage"),
        (DomainState.PAUSED, "I/O error", ("vdb: I/O error",), "(vdb: I/O error). Mend its storage"),
        (DomainState.PAUSED, "I/O error", (), "Paused by an I/O error on one of its disks."),
        (DomainState.CRASHED, "panicked", (), "Its guest has crashed, and is kept as it was."),
        (DomainState.PAUSED, "by user", (), ""),
    ],
)
def test_what_stopped_it_is_said(
    scene: Scene, state: DomainState, reason: str, errors: tuple[str, ...], words: str
) -> None:
    scene.lists(1, _facts(state=state, state_reason=reason, disk_errors=errors))
    assert words in _row().trouble
    assert bool(words) is bool(_row().trouble)
    scene.hears(1, DomainState.RUNNING)
    assert _row().trouble == ""


def _in_two_pools(scene: Scene) -> None:
    elsewhere = HypervisorPool.objects.create(name="elsewhere")
    Hypervisor.objects.filter(pk=2).update(hypervisor_pool=elsewhere)
    pools = dict(Hypervisor.objects.values_list("pk", "hypervisor_pool"))
    scene.mirror.identities.note_hypervisor_pools(pools)


def _pairs() -> list[tuple[int | None, str, UUID, bool]]:
    rows = Domain.objects.present().order_by("hypervisor")
    return [(row.hypervisor_id, row.name, row.libvirt_uuid, row.uuid == A) for row in rows]


def test_two_pools_may_each_own_a_machine_of_the_same_uuid(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_two_pools(scene)
    scene.lists(1, _facts(name="ours"))
    (change,) = scene.lists(2, _facts(name="theirs"))
    both = [(1, "ours", A, True), (2, "theirs", A, False)]
    assert (_pairs(), change.op, change.id == str(A)) == (both, "add", False)
    _later(monkeypatch, 9)
    assert scene.save() == [], "they are no alarm"
    assert not DomainCopy.objects.exists()
    # Events and readings are of the one whose hypervisor tells.
    scene.hears(2, DomainState.PAUSED)
    assert [row.state for row in Domain.objects.order_by("hypervisor")] == ["running", "paused"]
    assert scene.mirror.identities.known(2, A) == Domain.objects.get(hypervisor=2).uuid
    scene.reads(2, A, None)
    assert _pairs() == both[:1]
    scene.reads(2, A, _facts(name="theirs"))
    assert _pairs() == both
    again = Scene()
    _in_two_pools_again(again)
    assert again.lists(1, _facts(name="ours")) == []
    assert again.lists(2, _facts(name="theirs")) == []
    assert _pairs() == both


def _in_two_pools_again(scene: Scene) -> None:
    """As the writer does it: the pools are known before the rows are read."""
    scene.mirror.clear()
    scene.mirror.identities.note_hypervisor_pools(dict(Hypervisor.objects.values_list("pk", "hypervisor_pool")))
    scene.mirror.load(Hypervisor.objects.values_list("pk", flat=True), with_orphans=True)
    for number in NAMES:
        scene.mirror.set_online(number, online=True)


def test_a_uuid_that_another_watchers_pool_has_is_looked_for_in_rows(scene: Scene) -> None:
    _in_two_pools(scene)
    scene.lists(1, _facts(name="ours"))
    other = DomainMirror()
    other.identities.note_hypervisor_pools({2: Hypervisor.objects.get(pk=2).hypervisor_pool_id})
    other.load([2], with_orphans=False)
    other.take_listing(DomainsListed(hypervisor_id=2, domains=(_facts(name="theirs"),), started_at=time.monotonic()))
    other.save(NAMES)
    assert _pairs() == [(1, "ours", A, True), (2, "theirs", A, False)]


def test_a_machine_that_came_from_another_pool_is_itself(scene: Scene) -> None:
    _in_two_pools(scene)
    scene.lists(1, _facts())
    before = _row()
    scene.lists(1)
    scene.lists(2, _facts())
    assert (_row().pk, _row().hypervisor_id, _row().shared_uuid) == (before.pk, 2, None)
