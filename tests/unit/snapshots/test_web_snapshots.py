"""The tab of snapshots and its dialogs: what is shown, what is asked for, and who may."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import (
    AuditRecord,
    Domain,
    DomainSnapshot,
    Operation,
    SnapshotNote,
    SnapshotSchedule,
)
from hypervisors.states import DomainState
from tests.roles import bind
from tests.rows import define, domain_xml

pytestmark = pytest.mark.usefixtures("redis_client")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def snapshots(domain: Domain) -> list[DomainSnapshot]:
    """one, and two taken from it, which is the present one."""
    Domain.objects.filter(pk=domain.pk).update(has_snapshots=True)
    define(domain, inactive_xml=domain_xml("/images/a.qcow2"))
    values: dict[str, Any] = {"domain": domain, "kind": "internal", "created_at": timezone.now()}
    return [
        DomainSnapshot.objects.create(name="one", description="<b>first</b>", **values),
        DomainSnapshot.objects.create(name="two", parent_name="one", is_current=True, **values),
    ]


def _tab(client: Client, domain: Domain, query: str = "") -> str:
    return client.get(f"/vms/{domain.uuid}/snapshots/{query}").content.decode()


def test_the_tree_says_where_one_is(operator: Client, domain: Domain, snapshots: list[DomainSnapshot]) -> None:
    text = _tab(operator, domain)
    assert text.index(">one<") < text.index(">two<") < text.index("You are here")
    assert 'id="snapshot-title"><bdi>two</bdi>' in text
    text = _tab(operator, domain, f"?snapshot={snapshots[0].pk}")
    assert 'id="snapshot-title"><bdi>one</bdi>' in text
    assert "&lt;b&gt;first" in text


def test_its_xml_is_shown_to_who_sees_hosts(
    operator: Client, client: Client, charlie: User, domain: Domain, snapshots: list[DomainSnapshot]
) -> None:
    DomainSnapshot.objects.filter(name="two").update(xml="<domainsnapshot><name>two</name></domainsnapshot>")
    url = f"/snapshots/{snapshots[1].pk}/xml/"
    assert url in _tab(operator, domain)
    assert "&lt;domainsnapshot&gt;" in operator.get(url).content.decode()
    bind(charlie, "vm-user", domain)
    client.force_login(charlie)
    text = _tab(client, domain)
    assert 'id="snapshot-title"><bdi>two</bdi>' in text
    assert url not in text
    assert client.get(url).status_code == 404


def test_without_any_it_says_what_they_are_for(operator: Client, domain: Domain) -> None:
    text = _tab(operator, domain)
    assert "No snapshots" in text
    # Its disks are not known: none can be taken, and the button says so.
    assert "It has no disk that could be kept." in text


@pytest.mark.parametrize("query", ["?snapshot=0", "?snapshot=x", "?snapshot=99999999999999999999"])
def test_one_that_is_not_there_is_passed_over(
    operator: Client, domain: Domain, snapshots: list[DomainSnapshot], query: str
) -> None:
    assert 'id="snapshot-title"><bdi>two</bdi>' in _tab(operator, domain, query)


def test_dialogs_ask_for_operations(operator: Client, domain: Domain, snapshots: list[DomainSnapshot]) -> None:
    one = snapshots[0]
    text = operator.get(f"/vms/{domain.uuid}/snapshots/take/", headers=HTMX).content.decode()
    assert 'value="internal"' in text
    given = {"name": "three", "mode": "internal", "description": ""}
    assert operator.post(f"/vms/{domain.uuid}/snapshots/take/", given, headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters["name"] == "three"
    # It holds the machine now.
    for action in ("revert", "delete", "describe"):
        response = operator.post(f"/snapshots/{one.pk}/{action}/", {"description": "x"}, headers=HTMX)
        assert response.status_code == 200
        assert "Take a snapshot" in response.content.decode()
    assert Operation.objects.count() == 1


@pytest.mark.parametrize(
    ("action", "given", "expected"),
    [
        ("revert", {"state": "running", "force": "1"}, {"name": "one", "state": "running", "force": True}),
        ("delete", {"children": "1"}, {"name": "one", "names": ["two", "one"]}),
        ("delete", {}, {"name": "one", "names": ["one"]}),
        ("describe", {"description": "new"}, {"name": "one", "description": "new"}),
    ],
)
def test_what_is_done_with_one(
    operator: Client, snapshots: list[DomainSnapshot], action: str, given: dict[str, str], expected: dict[str, Any]
) -> None:
    text = operator.get(f"/snapshots/{snapshots[0].pk}/{action}/", headers=HTMX).content.decode()
    assert "<bdi>one</bdi>" in text
    assert operator.post(f"/snapshots/{snapshots[0].pk}/{action}/", given, headers=HTMX).status_code == 204
    operation = Operation.objects.get()
    assert operation.kind == f"{action}_snapshot"
    assert expected.items() <= operation.parameters.items()
    assert operation.parameters["created"] == int(snapshots[0].created_at.timestamp())


def test_faults_come_back_in_the_dialog(operator: Client, domain: Domain, snapshots: list[DomainSnapshot]) -> None:
    given = {"name": "one", "mode": "internal"}
    response = operator.post(f"/vms/{domain.uuid}/snapshots/take/", given, headers=HTMX)
    assert "There is a snapshot called “one” already." in response.content.decode()
    response = operator.post(f"/vms/{domain.uuid}/snapshots/take/", {"name": "x", "mode": "odd"}, headers=HTMX)
    assert response.status_code == 200
    assert not Operation.objects.exists()


def test_the_general_door_takes_none_of_them(operator: Client, domain: Domain) -> None:
    for kind in ("create_snapshot", "revert_snapshot", "delete_snapshot", "describe_snapshot"):
        assert operator.post(f"/vms/{domain.uuid}/operations/{kind}/", {"name": "x"}).status_code == 404


def test_a_vm_user_may_neither_take_nor_see_the_tab_but_an_operator_of_the_machine_may(
    client: Client, domain: Domain, charlie: User
) -> None:
    bind(charlie, "vm-user", domain)
    client.force_login(charlie)
    assert "/snapshots/" not in client.get(f"/vms/{domain.uuid}/").content.decode()
    assert client.get(f"/vms/{domain.uuid}/snapshots/take/").status_code == 403
    assert AuditRecord.objects.filter(outcome="refused", action="create_snapshot").exists()


def test_a_picture_is_given_of_the_snapshot_of_its_time_only(
    operator: Client, domain: Domain, snapshots: list[DomainSnapshot]
) -> None:
    one, two = snapshots
    SnapshotNote.objects.create(domain=domain, name="one", created_at=one.created_at, picture=b"\x89PNG one")
    SnapshotNote.objects.create(domain=domain, name="two", created_at="2020-01-01T00:00Z", picture=b"\x89PNG other")
    response = operator.get(f"/snapshots/{one.pk}/picture/")
    assert (response.content, response["Content-Type"]) == (b"\x89PNG one", "image/png")
    assert operator.get(f"/snapshots/{two.pk}/picture/").status_code == 204


# --- schedules


SCHEDULE = {"stem": "auto", "frequency": "daily", "at_time": "03:00", "keep": "5", "mode": "internal", "enabled": "on"}


def test_a_schedule_is_added_changed_and_removed(operator: Client, alice: User, domain: Domain) -> None:
    assert operator.post(f"/vms/{domain.uuid}/snapshots/schedule/", SCHEDULE, headers=HTMX).status_code == 204
    schedule = SnapshotSchedule.objects.get()
    assert (schedule.prefix, schedule.keep, schedule.created_by) == ("auto", 5, alice)
    assert schedule.next_run_at > timezone.now()
    assert "every day at 03:00" in _tab(operator, domain)
    changed = SCHEDULE | {"frequency": "hours", "every_hours": "6"}
    assert operator.post(f"/snapshot-schedules/{schedule.pk}/", changed, headers=HTMX).status_code == 204
    assert "every 6 hours" in _tab(operator, domain)
    assert operator.get(f"/snapshot-schedules/{schedule.pk}/", headers=HTMX).status_code == 200
    assert operator.post(f"/snapshot-schedules/{schedule.pk}/remove/", headers=HTMX).status_code == 204
    assert not SnapshotSchedule.objects.exists()
    actions = AuditRecord.objects.filter(action__contains="snapshot schedule").values_list("action", flat=True)
    assert [action.split()[0] for action in actions.order_by("pk")] == ["add", "change", "remove"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"frequency": "hours"}, "Say after how many hours."),
        ({"at_time": ""}, "Say at what time."),
        ({"at_time": "3 o'clock"}, "Say it like 03:00"),
        ({"stem": "a/b"}, "A name cannot contain"),
        ({"keep": "0"}, "greater than or equal to 1"),
        ({"frequency": "yearly"}, "valid choice"),
    ],
)
def test_faults_of_a_schedule_come_back(operator: Client, domain: Domain, given: dict[str, str], why: str) -> None:
    response = operator.post(f"/vms/{domain.uuid}/snapshots/schedule/", SCHEDULE | given, headers=HTMX)
    assert why in response.content.decode()
    assert not SnapshotSchedule.objects.exists()


def test_two_schedules_of_one_prefix_are_refused(operator: Client, domain: Domain) -> None:
    operator.post(f"/vms/{domain.uuid}/snapshots/schedule/", SCHEDULE, headers=HTMX)
    response = operator.post(f"/vms/{domain.uuid}/snapshots/schedule/", SCHEDULE, headers=HTMX)
    assert "already" in response.content.decode()
    assert SnapshotSchedule.objects.count() == 1


def test_a_schedule_that_fails_is_said_on_every_page_of_the_machine(operator: Client, domain: Domain) -> None:
    operator.post(f"/vms/{domain.uuid}/snapshots/schedule/", SCHEDULE, headers=HTMX)
    SnapshotSchedule.objects.update(problem="The disk is full.")
    assert "The disk is full." in operator.get(f"/vms/{domain.uuid}/").content.decode()
    SnapshotSchedule.objects.update(enabled=False)
    assert "The disk is full." not in operator.get(f"/vms/{domain.uuid}/").content.decode()


def test_a_machine_that_is_off_is_told_what_state_it_has_afterwards(
    operator: Client, domain: Domain, snapshots: list[DomainSnapshot]
) -> None:
    text = operator.get(f"/snapshots/{snapshots[0].pk}/revert/", headers=HTMX).content.decode()
    assert "what it does now" not in text
    Domain.objects.filter(pk=domain.pk).update(state=DomainState.RUNNING)
    text = operator.get(f"/snapshots/{snapshots[0].pk}/revert/", headers=HTMX).content.decode()
    assert "what it does now" in text


def test_one_that_is_partly_merged_says_so(operator: Client, domain: Domain, snapshots: list[DomainSnapshot]) -> None:
    note = SnapshotNote.objects.create(domain=domain, name="two", created_at=snapshots[1].created_at)
    assert "no whole moment" not in _tab(operator, domain)
    SnapshotNote.objects.filter(pk=note.pk).update(merge_began_at=timezone.now())
    assert "no whole moment" in _tab(operator, domain)


def test_a_schedule_whose_owner_may_not_any_more_says_so_and_is_taken_over_by_one_click(
    operator: Client, alice: User, domain: Domain, snapshots: list[DomainSnapshot]
) -> None:
    schedule = SnapshotSchedule.objects.create(
        domain=domain, owner_name="<i>erin", prefix="auto", mode="internal", next_run_at=timezone.now()
    )
    assert "Take it over" not in _tab(operator, domain)
    SnapshotSchedule.objects.update(without_right_since=timezone.now())
    text = _tab(operator, domain)
    assert "“&lt;i&gt;erin”, by whose right it ran, has no account any more." in text
    assert "takes none" in operator.get(f"/vms/{domain.uuid}/").content.decode()
    operator.post(f"/snapshot-schedules/{schedule.pk}/take-over/")
    schedule.refresh_from_db()
    assert (schedule.created_by, schedule.without_right_since) == (alice, None)
    assert "Take it over" not in _tab(operator, domain)
    record = AuditRecord.objects.get(action="take over snapshot schedule")
    assert (record.before["owner_name"], record.after["owner_name"]) == ("<i>erin", "alice")
