"""Asking for operations through the pages: one machine, many, forms, migration targets, cancelling."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.states import DomainState, OperationState
from hypervisors.web.domains import operations as domain_operations
from tests.roles import bind
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def operate(client: Client, domain: Domain, kind: str, **fields: object) -> int:
    return client.post(f"/vms/{domain.uuid}/operations/{kind}/", fields, headers=HTMX).status_code


def asked() -> list[tuple[str, str]]:
    return list(Operation.objects.exclude(kind="bulk").order_by("requested_at").values_list("kind", "subject_name"))


def test_a_click_files_the_operation(as_alice: Client, alice: User, domain: Domain) -> None:
    response = as_alice.post(f"/vms/{domain.uuid}/operations/start/", headers=HTMX)
    assert response.status_code == 204
    assert json.loads(response.headers["HX-Trigger"])["vp:toast"]["title"] == "web1: Start"
    operation = Operation.objects.get()
    assert (operation.kind, operation.requested_by, operation.state) == ("start", alice, OperationState.QUEUED)


def test_without_javascript_the_click_leads_back_to_the_page(as_alice: Client, domain: Domain) -> None:
    response = as_alice.post(f"/vms/{domain.uuid}/operations/start/")
    assert response.headers["Location"] == f"/vms/{domain.uuid}/"
    assert "web1: Start" in as_alice.get(f"/vms/{domain.uuid}/").content.decode()


def test_the_wrong_method_person_kind_or_machine(
    client: Client, alice: User, bob: User, charlie: User, domain: Domain
) -> None:
    client.force_login(bob)
    response = client.post(f"/vms/{domain.uuid}/operations/start/", headers=HTMX)
    assert (response.status_code, response.headers["Content-Type"]) == (403, "text/plain; charset=utf-8")
    client.force_login(charlie)
    assert operate(client, domain, "start") == 404
    client.force_login(alice)
    assert client.get(f"/vms/{domain.uuid}/operations/start/").status_code == 405
    assert operate(client, domain, "explode") == 404
    assert operate(client, domain, "migrate") == 404
    assert client.post(f"/vms/{uuid4()}/operations/start/").status_code == 404
    assert asked() == []


def test_one_who_may_operate_may_start_it(client: Client, charlie: User, domain: Domain) -> None:
    bind(charlie, "vm-user", domain)
    client.force_login(charlie)
    assert operate(client, domain, "start") == 204


def test_a_second_click_is_refused_with_the_reason(as_alice: Client, domain: Domain) -> None:
    assert operate(as_alice, domain, "start") == 204
    response = as_alice.post(f"/vms/{domain.uuid}/operations/start/", headers=HTMX)
    assert response.status_code == 409
    assert "asked for by alice" in response.content.decode()
    assert len(asked()) == 1


def test_what_its_state_forbids_is_refused_with_the_reason(as_alice: Client, domain: Domain) -> None:
    response = as_alice.post(f"/vms/{domain.uuid}/operations/pause/", headers=HTMX)
    assert (response.status_code, response.content.decode()) == (422, "web1: It is shut off.")


def test_cross_site_requests_are_refused(alice: User, domain: Domain) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert operate(client, domain, "start") == 403
    assert asked() == []


def test_autostart_is_switched(as_alice: Client, domain: Domain) -> None:
    assert operate(as_alice, domain, "set_autostart", enabled="1") == 204
    assert Operation.objects.get().parameters == {"enabled": True}


def test_rename_shows_faults_in_the_form_and_then_files_it(
    as_alice: Client, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="taken")
    form = as_alice.get(f"/vms/{domain.uuid}/forms/rename/", headers=HTMX).content.decode()
    assert 'value="web1"' in form
    assert "<html" not in form
    for name, fault in (("", "required"), ("a/b", "/"), ("web1", "already"), ("taken", "taken"), ("x" * 300, "255")):
        answer = as_alice.post(f"/vms/{domain.uuid}/operations/rename/", {"name": name}, headers=HTMX)
        assert answer.status_code == 200
        assert 'class="invalid-feedback vp-field-error"' in answer.content.decode(), name
        assert fault in answer.content.decode()
    assert asked() == []
    name = 'it\'s "new" % <b>😀'
    assert operate(as_alice, domain, "rename", name=name) == 204
    assert Operation.objects.get().parameters == {"name": name}


def test_a_form_shows_why_the_operation_is_refused(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    running = make_domain(name="runs", state=DomainState.RUNNING)
    answer = as_alice.post(f"/vms/{running.uuid}/operations/rename/", {"name": "walks"}, headers=HTMX)
    assert answer.status_code == 200
    assert "runs: It is running; shut it down first." in answer.content.decode()


def test_title_and_description_are_edited_together(as_alice: Client, domain: Domain) -> None:
    assert operate(as_alice, domain, "describe", title="Shop", description="line\r\nline") == 204
    assert Operation.objects.get().parameters == {"title": "Shop", "description": "line\nline"}


def test_forms_exist_for_what_needs_one_only(client: Client, as_alice: Client, charlie: User, domain: Domain) -> None:
    assert as_alice.get(f"/vms/{domain.uuid}/forms/start/").status_code == 404
    assert as_alice.get(f"/vms/{domain.uuid}/forms/describe/").status_code == 200
    assert as_alice.post(f"/vms/{domain.uuid}/forms/describe/").status_code == 405
    client.force_login(charlie)
    assert client.get(f"/vms/{domain.uuid}/forms/describe/").status_code == 404


def test_the_migration_dialog_greys_out_with_reasons_and_files_the_choice(
    as_alice: Client, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    machine = make_domain(name="runs", state=DomainState.RUNNING)
    good, away = make_hypervisor(memory_kib=2**24), make_hypervisor(status="offline")
    url = f"/vms/{machine.uuid}/migrate/"
    dialog = as_alice.get(url, headers=HTMX).content.decode()
    assert f'value="{good.pk}" required checked>' in dialog
    assert f'value="{away.pk}" required disabled' in dialog
    assert "is offline" in dialog
    for target, fault in ((away.pk, "is offline"), (machine.hypervisor_id, "on this host already"), ("", "Choose")):
        answer = as_alice.post(url, {"target": target}, headers=HTMX)
        assert (answer.status_code, asked()) == (200, [])
        assert fault in answer.content.decode()
    assert as_alice.post(url, {"target": good.pk}, headers=HTMX).status_code == 204
    operation = Operation.objects.get()
    assert (operation.kind, operation.target_hypervisor) == ("migrate", good)


def test_migration_is_for_those_who_may(client: Client, bob: User, charlie: User, domain: Domain) -> None:
    url = f"/vms/{domain.uuid}/migrate/"
    for user, status in ((bob, 403), (charlie, 404)):
        client.force_login(user)
        assert client.get(url).status_code == status
        assert client.post(url).status_code == status
    assert client.put(url).status_code == 405


def test_many_are_asked_at_once_and_the_refused_are_named(
    as_alice: Client, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    running = make_domain(name="runs", state=DomainState.RUNNING)
    third = make_domain(name="third")
    uuids = [str(machine.uuid) for machine in (domain, running, third)] + ["nonsense", str(uuid4())]
    answer = as_alice.post("/vms/operations/start/", {"uuid": uuids}, headers=HTMX)
    assert answer.status_code == 200
    assert {name for _, name in asked()} == {"web1", "third"}
    assert "<b>runs</b> <span>host1</span></span><span>It is running.</span>" in answer.content.decode()


def test_many_without_refusals_need_no_dialog(as_alice: Client, domain: Domain) -> None:
    answer = as_alice.post("/vms/operations/start/", {"uuid": [str(domain.uuid)]}, headers=HTMX)
    assert answer.status_code == 204
    assert "Start: 1 machine" in answer.headers["HX-Trigger"]


def test_all_that_match_are_those_of_the_lists_query(
    as_alice: Client, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="web2")
    make_domain(name="db1")
    chosen = {"all": "1", "count": "2"}
    assert as_alice.post("/vms/operations/start/?q=web", chosen, headers=HTMX).status_code == 204
    assert {name for _, name in asked()} == {"web1", "web2"}


def test_nothing_is_asked_when_others_match_than_the_person_was_told_of(
    as_alice: Client, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="web2")
    for chosen in ({"all": "1", "count": "1"}, {"all": "1"}):
        answer = as_alice.post("/vms/operations/start/?q=web", chosen, headers=HTMX)
        assert answer.status_code == 409
        assert "2 machines match now" in answer.content.decode()
    assert asked() == []


def test_too_many_at_once_are_refused_with_both_numbers(
    as_alice: Client, domain: Domain, make_domain: Callable[..., Domain], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_domain(name="web2")
    monkeypatch.setattr(domain_operations, "MOST_AT_ONCE", 1)
    answer = as_alice.post("/vms/operations/start/", {"all": "1", "count": "2"}, headers=HTMX)
    assert answer.status_code == 422
    assert "These are 2 machines; at most 1" in answer.content.decode()
    assert asked() == []


def test_many_are_asked_only_of_machines_one_may_operate(
    client: Client, bob: User, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    secret = make_domain(name="secret")
    client.force_login(bob)
    answer = client.post("/vms/operations/start/", {"uuid": [str(domain.uuid), str(secret.uuid)]}, headers=HTMX)
    assert "You may look at this machine, but not operate it." in answer.content.decode()
    assert "secret" not in answer.content.decode()
    assert asked() == []
    assert client.get("/vms/operations/start/").status_code == 405
    assert client.post("/vms/operations/rename/").status_code == 404
    client.force_login(charlie)
    assert "No machine was chosen" in client.post("/vms/operations/start/", {"all": "1", "count": "0"}).content.decode()


def test_operations_are_listed_for_those_who_see_the_machine(
    client: Client, alice: User, bob: User, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    client.force_login(alice)
    secret = make_domain(name="secret")
    assert operate(client, domain, "start") == operate(client, secret, "start") == 204
    for user, seen in ((alice, {"web1", "secret"}), (bob, {"web1"}), (charlie, set())):
        client.force_login(user)
        tasks = json.loads(client.get("/tasks/").content)["tasks"]
        assert {task["subject_name"] for task in tasks} == seen
        assert {o.subject_name for o in client.get("/operations/").context["page"]} == seen
    assert client.get(f"/operations/?vm={secret.uuid}").status_code == 404
    assert client.post("/operations/").status_code == client.post("/tasks/").status_code == 405


def test_the_history_is_filtered(client: Client, alice: User, bob: User, domain: Domain) -> None:
    for user, state in ((alice, "failed"), (bob, "succeeded"), (bob, "interrupted"), (alice, "running")):
        make_operation(domain=domain, subject_name=f"{user} {state}", kind="start", state=state, requested_by=user)
    client.force_login(alice)

    def shown(show: str) -> set[str]:
        page = client.get("/operations/", {"show": show, "vm": str(domain.uuid)}, headers=HTMX)
        return {operation.subject_name for operation in page.context["page"]}

    assert shown("mine") == {"alice failed", "alice running"}
    assert shown("failed") == {"alice failed", "bob interrupted"}
    assert shown("running") == {"alice running"}
    assert len(shown("")) == len(shown("nonsense")) == 4


def test_cancelling_is_for_those_who_may_operate(
    client: Client, alice: User, bob: User, charlie: User, domain: Domain
) -> None:
    client.force_login(alice)
    operate(client, domain, "start")
    url = f"/operations/{Operation.objects.get().pk}/cancel/"
    for user, status in ((bob, 403), (charlie, 404)):
        client.force_login(user)
        assert client.post(url, headers=HTMX).status_code == status
    client.force_login(alice)
    assert client.get(url).status_code == 405
    assert client.post(f"/operations/{uuid4()}/cancel/").status_code == 404
    assert Operation.objects.get().state == OperationState.QUEUED
    assert client.post(url, headers=HTMX).status_code == 204
    assert Operation.objects.get().state == OperationState.CANCELLED
    answer = client.post(url, headers=HTMX)
    assert answer.status_code == 422
    assert "over already" in answer.content.decode()
