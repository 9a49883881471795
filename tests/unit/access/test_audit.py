"""The audit: what it holds, that it cannot be changed, and its page."""

import json
import logging
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hypervisors.access import audit
from hypervisors.access.origin import request_from
from hypervisors.administration import people
from hypervisors.models import AuditRecord, Domain
from hypervisors.operations.engine.requests import request_operation
from hypervisors.web.people.audit import changes
from tests.roles import bind

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="root-is-root-is-root")


@pytest.fixture
def administrator(client: Client, root: User) -> Client:
    client.force_login(root)
    AuditRecord.objects.all().delete()
    return client


def test_a_record_says_who_what_and_from_where(alice: User) -> None:
    with request_from("192.0.2.7"):
        audit.record(alice, "start", subject_type="domain", subject_key="k", subject_name="web1", after={"a": 1})
    record = AuditRecord.objects.get()
    assert (record.actor, record.actor_name, record.address) == (alice, "alice", "192.0.2.7")
    assert (record.action, record.subject_name, record.after, record.outcome) == ("start", "web1", {"a": 1}, "done")


def test_it_outlives_the_person(alice: User) -> None:
    audit.record(alice, "start")
    alice.delete()
    record = AuditRecord.objects.get()
    assert (record.actor, record.actor_name) == (None, "alice")


def test_a_record_is_never_changed_nor_deleted(alice: User) -> None:
    audit.record(alice, "start")
    record = AuditRecord.objects.get()
    record.action = "nothing"
    for change in (record.save, record.delete):
        with pytest.raises(TypeError):
            change()
    assert AuditRecord.objects.get().action == "start"


@pytest.mark.parametrize("text", ["a\0b", "x" * 20_000, "line\nforged", "€"])
def test_whatever_text_comes_it_is_stored(text: str, alice: User) -> None:
    audit.record(alice, text, subject_type=text, subject_key=text, subject_name=text, detail=text, after={text: text})
    assert AuditRecord.objects.count() == 1


def test_what_cannot_be_stored_stands_in_the_log_and_hurts_nobody(
    alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction.atomic(), caplog.at_level(logging.INFO, "vmportal.audit"):
        with connection.execute_wrapper(_refuse_audit):
            audit.record(alice, "start", subject_name="web1")
        User.objects.create_user("still possible")
    assert not AuditRecord.objects.exists()
    assert 'alice: start {"outcome": "done", "subject": "web1"}' in caplog.text


def _refuse_audit(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
    return execute(sql.replace("hypervisors_auditrecord", "no_such_table"), parameters, many, context)


def test_each_record_is_a_line_in_the_log_that_a_name_cannot_forge(
    alice: User, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with caplog.at_level(logging.INFO, "vmportal.audit"), django_capture_on_commit_callbacks(execute=True):
        audit.record(alice, "remove a host", subject_name="x\nroot: give a role")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "vmportal.audit"]
    assert line == 'alice: remove a host {"outcome": "done", "subject": "x\\nroot: give a role"}'


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_undone_leaves_no_record_but_a_refusal_stays(redis_client: Any) -> None:
    alice = User.objects.create_user("alice")
    with request_from("192.0.2.7"):
        with transaction.atomic():
            audit.record(alice, "done")
            audit.record(alice, "refused", outcome="refused")
            transaction.set_rollback(True)
        audit.store_waiting()
    assert [record.action for record in AuditRecord.objects.all()] == ["refused"]


class TestAccounts:
    """What people do to their own accounts."""

    def actions(self) -> list[tuple[str, str, str, str]]:
        return list(AuditRecord.objects.order_by("pk").values_list("actor_name", "action", "subject_name", "outcome"))

    def sign_in(self, client: Client, password: str, name: str = "alice") -> Any:
        data = {"login": name, "password": password}
        return client.post(reverse("account_login"), data, headers={"X-Forwarded-For": "192.0.2.9"})

    def test_signing_in_and_out_is_recorded_with_the_address(self, client: Client, alice: User) -> None:
        self.sign_in(client, "alice-is-an-operator")
        client.post(reverse("account_logout"))
        assert self.actions() == [("alice", "sign in", "alice", "done"), ("alice", "sign out", "alice", "done")]
        assert AuditRecord.objects.first() is not None
        assert set(AuditRecord.objects.filter(action="sign in").values_list("address", flat=True)) == {"192.0.2.9"}

    @pytest.mark.parametrize("name", ["alice", "nobody-of-this-name"])
    def test_a_failed_sign_in_is_recorded_without_the_password(self, name: str, client: Client, alice: User) -> None:
        self.sign_in(client, "a-wrong-password", name)
        assert self.actions() == [("", "sign in", name, "failed")]
        record = AuditRecord.objects.get()
        assert record.subject_key == (str(alice.pk) if name == "alice" else "")
        assert "a-wrong-password" not in json.dumps([record.detail, record.before, record.after])

    def test_a_new_password_is_recorded_without_it(self, client: Client, alice: User) -> None:
        client.force_login(alice)
        new = "another-good-passphrase"
        data = {"oldpassword": "alice-is-an-operator", "password1": new, "password2": new}
        client.post(reverse("account_change_password"), data)
        assert ("alice", "change one's password", "alice", "done") in self.actions()


def test_a_role_that_is_given_shows_from_what_to_what(administrator: Client, charlie: User, domain: Domain) -> None:
    administrator.post(reverse("person_role", args=[charlie.pk]), {"role": "viewer"})
    administrator.post(reverse("person_role", args=[charlie.pk]), {"role": "operator"})
    record = AuditRecord.objects.latest("pk")
    assert (record.actor_name, record.action, record.subject_name) == ("root", "give a role", "charlie")
    (on, roles) = changes(record)
    assert (roles["before"], roles["after"], on["after"], on["is_same"]) == ("Viewer", "Operator", "everything", True)


def test_amounts_have_their_units() -> None:
    record = AuditRecord(after={"capacity_bytes": 3 << 30, "memory_kib": 1 << 20, "count": 2, "reserved": False})
    assert [(entry["name"], entry["after"]) for entry in changes(record)] == [
        ("capacity", "3 GiB"),
        ("count", "2"),
        ("memory", "1 GiB"),
        ("reserved", "no"),
    ]


def test_an_operation_is_linked(administrator: Client, domain: Domain, root: User) -> None:
    operation = request_operation(user=root, kind="start", subject=domain)
    page = administrator.get(reverse("audit")).content.decode()
    assert f'href="/operations/?only={operation.pk}"' in page


def test_secrets_of_people_are_not_in_it(root: User) -> None:
    password = people.add_person(root, User(username="dora"), role=None)
    assert password not in json.dumps(list(AuditRecord.objects.values("before", "after", "detail")))


class TestPage:
    """`/audit/`."""

    @pytest.fixture(autouse=True)
    def _records(self, administrator: Client, root: User, alice: User) -> None:
        old = timezone.now() - timedelta(days=40)
        for number in range(60):
            AuditRecord.objects.create(
                actor=alice, actor_name="alice", action="start", subject_name=f"vm{number}", at=old
            )
        audit.record(root, "remove a host", subject_type="hypervisor", subject_name="<host1>", before={"uri": "a://b"})
        audit.record(alice, "migrate", subject_name="web1", outcome="refused", detail="needs domain.migrate")
        audit.record(None, "sign in", subject_name="mallory", outcome="failed")

    def text(self, client: Client, query: str = "") -> str:
        answer = client.get(f"{reverse('audit')}{query}")
        assert answer.status_code == 200
        return str(answer.content.decode())

    def test_newest_first_paged_and_escaped(self, administrator: Client) -> None:
        text = self.text(administrator)
        assert "63 records" in text
        assert text.index("mallory") < text.index("web1") < text.index("&lt;host1&gt;") < text.index("vm59")
        assert "vm0<" not in text
        assert "vm0<" in self.text(administrator, "?page=2")

    def test_operations_are_called_as_on_their_buttons(self, administrator: Client, alice: User) -> None:
        audit.record(alice, "create_volume", subject_name="disk1")
        audit.record(alice, "cancel set_autostart", subject_name="web1")
        text = self.text(administrator)
        for label in ("Create volume", "Cancel: "):
            assert f"{label}" in text
        assert '<option value="create_volume">' in text
        assert "et_autostart</" not in text
        assert "reate_volume</" not in text

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("?q=HOST1", 1),
            ("?q=domain.migrate", 1),
            ("?q=vm5", 11),
            ("?actor=alice", 61),
            ("?actor=ALICE&outcome=refused", 1),
            ("?action=start", 60),
            ("?outcome=failed", 1),
            ("?until=2020-01-01", 0),
            (f"?since={timezone.now():%Y-%m-%d}", 3),
            ("?outcome=nonsense&since=nonsense&page=nonsense", 63),
        ],
    )
    def test_filters(self, query: str, count: int, administrator: Client) -> None:
        text = self.text(administrator, query)
        found = re.search(r'vp-list-total">(\d+) record', text)
        assert found is not None
        assert int(found[1]) == count

    def test_a_filter_asks_for_the_list_alone(self, administrator: Client) -> None:
        answer = administrator.get(f"{reverse('audit')}?q=mallory", headers={"HX-Request": "true"})
        assert "<html" not in answer.content.decode()
        assert answer.headers["HX-Replace-Url"] == "/audit/?q=mallory"

    def test_the_number_of_queries_does_not_grow(self, administrator: Client, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(6):  # session, user, rights, count, records, actions
            self.text(administrator)

    def test_only_administrators_know_of_it(self, administrator: Client, alice: User, charlie: User) -> None:
        assert reverse("audit") in administrator.get(reverse("profile")).content.decode()
        bind(charlie, "vm-user")
        for user in (alice, charlie):
            client = Client()
            client.force_login(user)
            assert client.get(reverse("audit")).status_code == 404
            assert reverse("audit") not in client.get(reverse("profile")).content.decode()
        assert administrator.post(reverse("audit")).status_code == 405
        assert Client().get(reverse("audit")).status_code == 302
