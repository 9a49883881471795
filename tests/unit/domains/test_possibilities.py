"""Why something cannot be done: each reason in the operator's words, from rows alone."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.operations.engine.registry import types_for
from hypervisors.operations.engine.requests import possible_kinds, request_operation, why_not
from hypervisors.states import AdminState, DomainState, HypervisorStatus, OperationState
from tests.rows import make_operation

pytestmark = pytest.mark.django_db

HARDWARE = {"add_device", "change_device", "remove_device", "change_section", "change_media", "define_xml"}
POSSIBLE = {
    DomainState.SHUTOFF: {
        *("start", "rename", "set_autostart", "describe", "migrate", "delete_domain", "export_domain"),
        *("clone_domain", "make_template", "create_snapshot"),
        *HARDWARE,
        *("move_disk",),
    },
    DomainState.RUNNING: {
        *("shut_down", "shut_down_and_start", "reboot", "force_off", "reset", "pause", "save"),
        *("set_autostart", "describe", "migrate", "delete_domain", "clone_domain", "create_snapshot"),
        *(*HARDWARE, "revert_pending"),
        *("move_disk", "commit_disk", "pull_disk"),
    },
    DomainState.PAUSED: {
        *("force_off", "reset", "resume", "save"),
        *("set_autostart", "describe", "migrate", "delete_domain", "clone_domain", "create_snapshot"),
        *(*HARDWARE, "revert_pending"),
        *("move_disk", "commit_disk", "pull_disk"),
    },
    DomainState.PMSUSPENDED: {
        *("force_off", "reset", "resume", "set_autostart", "describe", "delete_domain"),
        *(*HARDWARE, "revert_pending"),
    },
    DomainState.CRASHED: {"force_off", "reset", "set_autostart", "describe", "delete_domain", "define_xml"},
}


def assert_all_begin(reasons: dict[str, str], text: str) -> None:
    """Every kind has a reason, and it begins so."""
    assert reasons.keys() == {found.kind for found in types_for("domain")}
    assert {kind: reason for kind, reason in reasons.items() if not reason.startswith(text)} == {}


@pytest.mark.parametrize("state", POSSIBLE)
def test_each_state_allows_what_it_allows(state: DomainState, make_domain: Callable[..., Domain]) -> None:
    reasons = possible_kinds(make_domain(state=state))
    assert reasons.keys() == {found.kind for found in types_for("domain")}
    assert {kind for kind, reason in reasons.items() if not reason} == POSSIBLE[state]


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("start", {"state": "running"}, "It is running."),
        ("shut_down", {"state": "shutoff"}, "It is shut off."),
        ("rename", {"state": "paused"}, "It is paused; resume it and shut it down first."),
        ("rename", {"state": "running"}, "It is running; shut it down first."),
        ("shut_down", {"state": "paused"}, "It is paused; resume it first."),
        ("pause", {"state": "paused"}, "It is paused already."),
        ("rename", {"persistent": False}, "It is transient"),
        ("set_autostart", {"persistent": False}, "It is transient"),
        ("rename", {"has_managed_save": True}, "It has a saved state"),
        ("discard_saved", {}, "It has no saved state."),
        ("pause", {"state": "running", "answering": False}, "Its QEMU process does not answer"),
        ("start", {"vanished_at": timezone.now()}, "No host has it any more"),
        ("start", {"hypervisor": None}, "Its host was removed"),
    ],
)
def test_the_reason_is_said(
    kind: str, fields: dict[str, object], reason: str, make_domain: Callable[..., Domain]
) -> None:
    assert reason in why_not(make_domain(**fields), kind)


def test_a_machine_that_does_not_answer_can_be_forced_off(make_domain: Callable[..., Domain]) -> None:
    assert why_not(make_domain(state=DomainState.RUNNING, answering=False), "force_off") == ""


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (HypervisorStatus.STALE, "host1 has not answered since "),
        (HypervisorStatus.OFFLINE, "host1 is offline; it was last seen at "),
    ],
)
def test_a_host_that_is_away_is_named(
    status: HypervisorStatus, reason: str, domain: Domain, hypervisor: Hypervisor
) -> None:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(status=status)
    reasons = possible_kinds(Domain.objects.select_related("hypervisor").get(pk=domain.pk))
    assert_all_begin(reasons, reason)


def test_a_disabled_host_is_named(domain: Domain, hypervisor: Hypervisor) -> None:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(admin_state=AdminState.DISABLED)
    reasons = possible_kinds(Domain.objects.select_related("hypervisor").get(pk=domain.pk))
    assert_all_begin(reasons, "host1 is disabled")


def test_a_moment_of_another_day_is_told_with_its_date(domain: Domain, hypervisor: Hypervisor) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    Hypervisor.objects.filter(pk=hypervisor.pk).update(status=HypervisorStatus.STALE, seen_at=long_ago)
    domain.refresh_from_db()
    assert timezone.localtime(long_ago).strftime("since %Y-%m-%d %H:%M") in why_not(domain, "start")


def test_an_unfinished_operation_is_the_reason_for_everything_else(domain: Domain, alice: User) -> None:
    make_operation(
        kind="save",
        domain=domain,
        subject_name=domain.name,
        hypervisor=domain.hypervisor,
        requested_by=alice,
        state=OperationState.RUNNING,
    )
    reasons = possible_kinds(domain)
    assert_all_begin(reasons, "“Save”, asked for by alice at ")
    assert "cancel it" in reasons["start"]


def test_the_reasons_of_all_kinds_take_two_queries(
    domain: Domain, django_assert_num_queries: Callable[[int], object]
) -> None:
    row = Domain.objects.select_related("hypervisor").get(pk=domain.pk)
    with django_assert_num_queries(2):  # type: ignore[attr-defined]
        possible_kinds(row)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "needs a name"),
        ("   ", "needs a name"),
        (None, "needs a name"),
        ("a/b", "cannot contain “/”"),
        ("..", "not a possible name"),
        (" padded", "begin or end with a space"),
        ("two\nlines", "control characters or line breaks"),
        ("bell\a", "control characters or line breaks"),
        ("half \ud83d", "control characters or line breaks"),
        ("x" * 241, "takes 241 bytes; 240 fit"),
        ("😀" * 61, "takes 244 bytes; 240 fit"),
        ("web1", "called “web1” already"),
        ("db1", "The name “db1” is taken; names are unique in a pool"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    name: object,
    reason: str,
    domain: Domain,
    alice: User,
    make_domain: Callable[..., Domain],
    make_hypervisor: Callable[..., Hypervisor],
) -> None:
    make_domain(name="db1", hypervisor=make_hypervisor())
    with pytest.raises(NotPossible, match=reason):
        request_operation(user=alice, subject=domain, kind="rename", parameters={"name": name})
    assert not Operation.objects.exists()


def test_a_tombstones_name_is_free(domain: Domain, alice: User, make_domain: Callable[..., Domain]) -> None:
    make_domain(name="db1", vanished_at=timezone.now())
    assert request_operation(user=alice, subject=domain, kind="rename", parameters={"name": "db1"})


@pytest.mark.parametrize(
    "texts", [{"title": "two\nlines"}, {"title": "t" * 256}, {"description": "bell \a"}, {"description": 7}]
)
def test_a_text_that_xml_cannot_carry_is_refused(texts: dict[str, object], domain: Domain, alice: User) -> None:
    with pytest.raises(NotPossible):
        request_operation(user=alice, subject=domain, kind="describe", parameters=texts)


def test_describing_keeps_what_is_not_given(alice: User, make_domain: Callable[..., Domain]) -> None:
    described = make_domain(title="Web", description="kept")
    operation = request_operation(user=alice, subject=described, kind="describe", parameters={"title": "New"})
    assert operation.parameters == {"title": "New", "description": "kept"}
