"""Each thing that people do, or are refused, is a row: who, what, on what, from where, and how it ended."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from hypervisors.models import AuditRecord, Domain, Hypervisor, Operation, StoragePool, Volume
from hypervisors.operations.engine.records import finish
from hypervisors.states import OperationState
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")
ADDRESS = "198.51.100.7"


@pytest.fixture
def browser(db: None) -> Client:
    client = Client(headers={"X-Forwarded-For": ADDRESS})
    client.force_login(User.objects.create_superuser("admin", password="an-administrator-of-all"))
    return client


@pytest.fixture
def volume(hypervisor: Hypervisor) -> Volume:
    storage_pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True
    )
    return Volume.objects.create(storage_pool=storage_pool, name="disk.img", key="/x", path="/x")


def last() -> tuple[str, str, str, str, str]:
    row = AuditRecord.objects.latest("pk")
    return row.actor_name, row.action, f"{row.subject_type} {row.subject_name}", row.address, row.outcome


def post(browser: Client, name: str, *args: Any, **fields: Any) -> int:
    return browser.post(reverse(name, args=args), fields, headers={"HX-Request": "true"}).status_code


class TestDone:
    def test_operations_and_their_cancelling(self, browser: Client, domain: Domain) -> None:
        assert post(browser, "operate_domain", domain.uuid, "start") == 204
        assert last() == ("admin", "start", "domain web1", ADDRESS, "done")
        assert post(browser, "operation_cancel", Operation.objects.get().pk) == 204
        assert last() == ("admin", "cancel start", "domain web1", ADDRESS, "done")

    def test_operations_on_many(self, browser: Client, domain: Domain, make_domain: Callable[..., Domain]) -> None:
        other = make_domain(name="web2")
        assert post(browser, "operate_domains", "start", uuid=[domain.uuid, other.uuid]) == 204
        rows = AuditRecord.objects.filter(action="start").order_by("subject_name")
        assert [(row.subject_name, row.address) for row in rows] == [("web1", ADDRESS), ("web2", ADDRESS)]

    def test_storage(self, browser: Client, volume: Volume) -> None:
        pool = volume.storage_pool
        assert post(browser, "volume_delete", volume.pk) == 204
        assert last() == ("admin", "delete_volume", "volume images/disk.img", ADDRESS, "done")
        assert post(browser, "storage_pool_refresh", pool.pk) == 204
        assert last() == ("admin", "refresh_storage_pool", "storage_pool images", ADDRESS, "done")

    @pytest.mark.parametrize("mode", ["view", "control"])
    def test_consoles(self, mode: str, browser: Client, make_domain: Callable[..., Domain]) -> None:
        running = make_domain(name="screen", state="running")
        assert post(browser, "console_grant", running.uuid, mode=mode) == 200
        assert last() == ("admin", "open a console", "domain screen", ADDRESS, "done")
        assert AuditRecord.objects.latest("pk").after == {"mode": mode}

    def test_maintenance(self, browser: Client, hypervisor: Hypervisor) -> None:
        assert post(browser, "hypervisor_admin_state", hypervisor.pk, state="maintenance", reason="memory") < 400
        actor, action, subject, address, outcome = last()
        assert (actor, subject, address, outcome) == ("admin", "hypervisor host1", ADDRESS, "done")
        assert "maintenance" in action

    def test_connection_tests(self, browser: Client, hypervisor: Hypervisor) -> None:
        assert post(browser, "hypervisor_test", hypervisor.pk, uri_by_hand="on", uri=hypervisor.uri) < 400
        actor, action, _subject, address, _outcome = last()
        assert (actor, address) == ("admin", ADDRESS)
        assert "test" in action

    def test_people(self, browser: Client, charlie: User) -> None:
        expected = {
            "person_role": ({"role": "operator"}, "give a role"),
            "person_activate": ({"active": ""}, "deactivate a person"),
            "person_reset_password": ({}, "reset a person's password"),
            "person_reset_second_factor": ({}, "remove a person's second factor"),
        }
        for name, (fields, action) in expected.items():
            post(browser, name, charlie.pk, **fields)
            assert last() == ("admin", action, "person charlie", ADDRESS, "done")

    @pytest.mark.parametrize("side", ["person", "group"])
    def test_groups(self, side: str, charlie: User) -> None:
        group = Group.objects.create(name="night shift")
        for method, action in (("add", "put into a group"), ("remove", "take out of a group")):
            if side == "person":
                getattr(charlie.groups, method)(group)
            else:
                getattr(group.user_set, method)(charlie)
            assert last() == ("", action, "person charlie", "", "done")
            assert AuditRecord.objects.latest("pk").after == {"group": "night shift"}


class TestRefusedAndFailed:
    def test_what_one_may_not_do(self, bob: User, domain: Domain) -> None:
        browser = Client(headers={"X-Forwarded-For": ADDRESS})
        browser.force_login(bob)
        assert post(browser, "operate_domain", domain.uuid, "start") == 403
        assert last() == ("bob", "start", "domain web1", ADDRESS, "refused")
        AuditRecord.objects.all()._raw_delete("default")
        assert post(browser, "operate_domains", "start", uuid=domain.uuid) == 200
        assert last() == ("bob", "start", "domain web1", ADDRESS, "refused")

    def test_an_operation_that_failed(self, alice: User, domain: Domain) -> None:
        operation = make_operation(domain=domain, kind="start", state="running", requested_by=alice)
        assert finish(operation, OperationState.FAILED, "no memory", {})
        assert last() == ("alice", "start", "domain web1", "", "failed")
        assert "no memory" in AuditRecord.objects.latest("pk").detail

    def test_an_account_that_is_switched_off(self, charlie: User) -> None:
        User.objects.filter(pk=charlie.pk).update(is_active=False)
        browser = Client(headers={"X-Forwarded-For": ADDRESS})
        browser.post(reverse("account_login"), {"login": "charlie", "password": "charlie-is-a-stranger"})
        actor, action, subject, address, outcome = last()
        assert (actor, action, subject, address) == ("", "sign in", "person charlie", ADDRESS)
        assert outcome in ("refused", "failed")
