"""The form of a host: adding and changing, its credentials, and what bad input comes to."""

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from hypervisors.models import AuditRecord, Hypervisor, HypervisorCredentials, HypervisorPool
from hypervisors.operations.hypervisors.ssh_keys import generate_private_key, public_key_of
from hypervisors.states import HypervisorStatus
from tests.hypervisor_forms import HTMX, REFUSING, errors_of, save_untested

pytestmark = pytest.mark.usefixtures("tasks_at_once")

HOSTILE_NAMES = ["quo\"te'd", "100% %s", "<b>bold</b>", "🐧 tux", "x" * 100]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_printable_name_is_kept_exactly_and_escaped(name: str, operator: Client, hypervisor_pool: Any) -> None:
    answer = save_untested(
        operator, reverse("hypervisor_add"), name=name, hypervisor_pool=hypervisor_pool.pk, **REFUSING
    )
    row = Hypervisor.objects.get(name=name)
    assert answer["HX-Redirect"] == row.get_absolute_url()
    for url in (row.get_absolute_url(), reverse("hypervisors"), reverse("hypervisor_edit", args=[row.pk])):
        page = operator.get(url).content.decode()
        assert "<b>bold" not in page


@pytest.mark.parametrize("name", ["x" * 200, "", "two\nlines", "bell\x07"])
def test_impossible_names_are_refused_at_their_field(name: str, operator: Client, hypervisor_pool: Any) -> None:
    answer = operator.post(
        reverse("hypervisor_add"),
        {"name": name, "hypervisor_pool": hypervisor_pool.pk, **REFUSING},
        headers=HTMX,
    )
    assert answer.status_code == 422
    assert errors_of(answer).keys() == {"name"}
    assert not Hypervisor.objects.exists()


@pytest.mark.parametrize(
    "uri",
    [
        "nonsense",
        "http://host/",
        "qemu+ssh://host/session",
        "qemu:///system?command=/bin/sh",
        "qemu+ssh://host/system?keyfile=/etc/shadow",
        "qemu+tcp://user:secret@host/system",
        "qemu+tcp://-oProxyCommand=x/system",
        "xen:///system",
        "qemu+tcp:///system",
    ],
)
def test_a_nonsense_uri_is_refused_inline(uri: str, operator: Client, hypervisor_pool: Any) -> None:
    fields = {"name": "n", "hypervisor_pool": hypervisor_pool.pk, "uri": uri, "uri_by_hand": "on"}
    for door_name in ("hypervisor_add", "hypervisor_test"):
        answer = operator.post(reverse(door_name), fields, headers=HTMX)
        assert answer.status_code == 422
        assert errors_of(answer)["uri"]
    assert not Hypervisor.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"transport": "ssh"}, "host"),
        ({"transport": "ssh", "host": "-oProxyCommand=x"}, "host"),
        ({"transport": "ssh", "host": "a b"}, "host"),
        ({"transport": "tcp", "host": "h", "port": "0"}, "port"),
        ({"transport": "tcp", "host": "h", "port": "70000"}, "port"),
        ({"transport": "ssh", "host": "h", "username": "a b"}, "host"),
        ({"host": "h"}, "transport"),
        ({"transport": "ssh", "host": "h", "ssh_private_key": "not a key"}, "ssh_private_key"),
        ({"transport": "ssh", "host": "h", "ssh_known_hosts": "not a key"}, "ssh_known_hosts"),
        ({"transport": "ssh", "host": "h", "migration_uri": "nonsense"}, "migration_uri"),
        ({"transport": "ssh", "host": "h", "ssh_generated_key": "forged"}, "ssh_private_key"),
    ],
)
def test_bad_connection_fields_are_refused_inline(
    fields: dict[str, str], field: str, operator: Client, hypervisor_pool: Any
) -> None:
    answer = operator.post(
        reverse("hypervisor_add"),
        {"name": "n", "hypervisor_pool": hypervisor_pool.pk, **fields},
        headers=HTMX,
    )
    assert answer.status_code == 422
    assert field in errors_of(answer)


def test_an_address_becomes_a_uri(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    save_untested(
        operator,
        reverse("hypervisor_add"),
        name="six",
        hypervisor_pool=hypervisor_pool.pk,
        transport="tcp",
        host="::1",
        port="1",
    )
    assert Hypervisor.objects.get(name="six").uri == "qemu+tcp://[::1]:1/system"


def test_console_addresses_are_kept_in_one_spelling(operator: Client, hypervisor: Hypervisor) -> None:
    edit = reverse("hypervisor_edit", args=[hypervisor.pk])
    fields = {"name": "h", "hypervisor_pool": hypervisor.hypervisor_pool_id, "transport": "tcp", "host": "host1"}
    operator.post(edit, {**fields, "console_addresses": "192.0.2.7, 2001:DB8:0::1  ::ffff:192.0.2.7"})
    hypervisor.refresh_from_db()
    assert (hypervisor.console_addresses, hypervisor.revision) == ("192.0.2.7 2001:db8::1", 1)
    assert "192.0.2.7 2001:db8::1" in operator.get(edit).content.decode()
    assert "192.0.2.7 2001:db8::1" in operator.get(hypervisor.get_absolute_url()).content.decode()
    assert AuditRecord.objects.filter(after__console_addresses="192.0.2.7 2001:db8::1").exists()
    for wrong in ("host2", "127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.1.1", "fe80::1", "ff02::1", "127.1"):
        answer = operator.post(edit, {**fields, "console_addresses": wrong}, headers=HTMX)
        assert errors_of(answer).keys() == {"console_addresses"}, wrong


@pytest.mark.parametrize(
    ("typed", "uri"),
    [
        ({"host": "root@127.0.0.1", "port": "1"}, "qemu+ssh://root@127.0.0.1:1/system"),
        ({"host": "127.0.0.1:1"}, "qemu+ssh://127.0.0.1:1/system"),
        ({"host": " vm@127.0.0.1:1 ", "username": "vm"}, "qemu+ssh://vm@127.0.0.1:1/system"),
        ({"host": "[::1]:1"}, "qemu+ssh://[::1]:1/system"),
        ({"host": "[::1]", "port": "1"}, "qemu+ssh://[::1]:1/system"),
        ({"host": "::1", "port": "1"}, "qemu+ssh://[::1]:1/system"),
        ({"host": "qemu+tcp://127.0.0.1:1/system"}, "qemu+tcp://127.0.0.1:1/system"),
        ({"host": "qemu+ssh://root@127.0.0.1:1/system?mode=direct"}, "qemu+ssh://root@127.0.0.1:1/system?mode=direct"),
    ],
)
def test_what_stands_in_the_hosts_field_is_taken_apart(
    typed: dict[str, str], uri: str, operator: Client, hypervisor_pool: HypervisorPool
) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "ssh", **typed}
    save_untested(operator, reverse("hypervisor_add"), **fields)
    row = Hypervisor.objects.get(name="h")
    assert row.uri == uri
    is_plain = typed["host"] == "::1"
    assert ("taken apart" in operator.get(row.get_absolute_url()).content.decode()) is not is_plain


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"host": "root@h", "username": "vm"}, "names the user root, the field for the user says vm"),
        ({"host": "h:23", "port": "22"}, "names the port 23, the field for the port says 22"),
        ({"host": "h:70000"}, "70000 is not a port"),
        ({"host": "http://h/"}, "not a hypervisor"),
        ({"host": "qemu+ssh://h/system?command=/bin/id"}, "run a command"),
        ({"host": "a@b@h"}, "not a host name|cannot have|not a user name"),
    ],
)
def test_what_cannot_be_taken_apart_says_why(
    typed: dict[str, str], said: str, operator: Client, hypervisor_pool: HypervisorPool
) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "ssh", **typed}
    answer = operator.post(reverse("hypervisor_add"), fields, headers=HTMX)
    assert answer.status_code == 422
    assert re.search(said, errors_of(answer)["host"])


def test_a_failed_test_saves_nothing_until_told_to(operator: Client) -> None:
    fields = {"name": "host1", "new_pool": "rack two", **REFUSING}
    asked = operator.post(reverse("hypervisor_add"), fields, headers=HTMX)
    assert asked.status_code == 200
    assert not Hypervisor.objects.exists()
    assert not HypervisorPool.objects.exists()
    save_untested(operator, reverse("hypervisor_add"), **fields)
    row = Hypervisor.objects.get()
    assert row.hypervisor_pool.name == "rack two"
    assert row.uri == "qemu+tcp://127.0.0.1:1/system"
    record = AuditRecord.objects.get(subject_type="hypervisor", subject_key=str(row.pk))
    assert (record.actor_name, record.subject_name) == ("alice", "host1")


def test_save_anyway_without_a_failed_test_tests_first(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, **REFUSING, "save_anyway": "1", "test": "invented"}
    answer = operator.post(reverse("hypervisor_add"), fields, headers=HTMX)
    assert b'id="test-outcome"' in answer.content
    assert not Hypervisor.objects.exists()


def test_a_test_is_only_good_for_what_was_tested(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, **REFUSING}
    first = operator.post(reverse("hypervisor_test"), fields, headers=HTMX)
    test_id = first.content.decode().split("/tests/")[1].split("/")[0]
    changed = {**fields, "port": "2", "test": test_id, "save_anyway": "1"}
    operator.post(reverse("hypervisor_add"), changed, headers=HTMX)
    assert not Hypervisor.objects.exists()


def test_a_test_is_nobody_elses(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    first = operator.post(reverse("hypervisor_test"), {"name": "h", **REFUSING}, headers=HTMX)
    test_id = first.content.decode().split("/tests/")[1].split("/")[0]
    url = reverse("hypervisor_test_result", args=[test_id])
    assert "refused" in operator.get(url).content.decode()
    operator.force_login(User.objects.create_user("dave", is_staff=True))
    assert "refused" not in operator.get(url).content.decode()


def test_a_second_name_or_uri_is_refused(operator: Client, hypervisor: Hypervisor) -> None:
    pool = hypervisor.hypervisor_pool_id
    fields = {"name": hypervisor.name, "hypervisor_pool": pool, "uri": hypervisor.uri, "uri_by_hand": "on"}
    answer = operator.post(reverse("hypervisor_add"), fields, headers=HTMX)
    assert errors_of(answer).keys() == {"name", "uri"}
    assert hypervisor.name in errors_of(answer)["uri"]


_STORED_SECRETS = "SELECT sasl_password, tls_client_key FROM hypervisors_hypervisorcredentials WHERE hypervisor_id = %s"
SECRETS = {"sasl_password": "s3cr3t-pass", "tls_client_key": "-----BEGIN PRIVATE KEY-----\nTLSSECRET\n-----END"}


def test_secrets_are_encrypted_and_never_shown(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    url = reverse("hypervisor_add")
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "tls", "host": "127.0.0.1", "port": "1"}
    fields |= {"sasl_username": "vmportal", **SECRETS}
    save_untested(operator, url, **fields)
    row = Hypervisor.objects.get(name="h")
    assert row.credentials.sasl_password == SECRETS["sasl_password"]
    with connection.cursor() as cursor:
        cursor.execute(_STORED_SECRETS, [row.pk])
        stored = "".join(cursor.fetchone())
    assert "s3cr3t" not in stored
    assert "TLSSECRET" not in stored
    for page_url in (row.get_absolute_url(), reverse("hypervisor_edit", args=[row.pk]), reverse("hypervisors")):
        page = operator.get(page_url).content.decode()
        assert "s3cr3t" not in page
        assert "TLSSECRET" not in page
    # Nor what was just typed, when the form is refused and shown whole.
    refused = operator.post(url, {**fields, "name": ""})
    assert refused.status_code == 422
    assert "s3cr3t" not in refused.content.decode()
    assert "TLSSECRET" not in refused.content.decode()


def test_secrets_are_kept_replaced_and_removed(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, **REFUSING, "sasl_username": "vmportal"}
    save_untested(operator, reverse("hypervisor_add"), **fields, sasl_password="first")
    row = Hypervisor.objects.get()
    edit = reverse("hypervisor_edit", args=[row.pk])
    # Only renamed: nothing to test, nothing to reconnect for.
    operator.post(edit, {**fields, "name": "renamed"})
    row.refresh_from_db()
    assert (row.name, row.credentials.sasl_password, row.revision) == ("renamed", "first", 1)
    save_untested(operator, edit, **fields, sasl_password="second")
    row.refresh_from_db()
    assert (row.credentials.sasl_password, row.revision) == ("second", 2)
    save_untested(operator, edit, **fields, sasl_password_remove="on")
    row.refresh_from_db()
    assert (row.credentials.sasl_password, row.revision) == ("", 3)


def test_another_transport_drops_the_credentials_it_has_no_use_for(operator: Client, hypervisor: Hypervisor) -> None:
    HypervisorCredentials.objects.create(hypervisor=hypervisor, ssh_private_key="old", sasl_password="old")
    fields = {"name": "h", "hypervisor_pool": hypervisor.hypervisor_pool_id, **REFUSING, "sasl_password": "new"}
    save_untested(operator, reverse("hypervisor_edit", args=[hypervisor.pk]), **fields)
    stored = HypervisorCredentials.objects.get(hypervisor=hypervisor)
    assert (stored.ssh_private_key, stored.sasl_password) == ("", "new")


def test_saving_leaves_the_watchers_columns_alone(operator: Client, hypervisor: Hypervisor) -> None:
    edit = reverse("hypervisor_edit", args=[hypervisor.pk])
    assert operator.get(edit).status_code == 200
    Hypervisor.objects.filter(pk=hypervisor.pk).update(status=HypervisorStatus.STALE, cpu_percent=77.0)
    save_untested(operator, edit, name="h", hypervisor_pool=hypervisor.hypervisor_pool_id, **REFUSING)
    hypervisor.refresh_from_db()
    assert (hypervisor.status, hypervisor.cpu_percent) == (HypervisorStatus.STALE, 77.0)


def test_another_address_forgets_which_machine_it_was(
    operator: Client, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    row = make_hypervisor(host_uuid=uuid.uuid4())
    fields = {"name": "h", "hypervisor_pool": row.hypervisor_pool_id, **REFUSING}
    save_untested(operator, reverse("hypervisor_edit", args=[row.pk]), **fields)
    row.refresh_from_db()
    assert row.host_uuid is None


def test_a_generated_key_stays_here_and_is_saved(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fragment = operator.post(reverse("hypervisor_key_pair")).content.decode()
    assert "PRIVATE" not in fragment
    token = fragment.split('name="ssh_generated_key" value="')[1].split('"')[0]
    public_key = "ssh-ed25519 " + fragment.split("ssh-ed25519 ")[1].split(" vmportal")[0]
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "ssh", "host": "127.0.0.1", "port": "1"}
    save_untested(operator, reverse("hypervisor_add"), **fields, ssh_generated_key=token)
    row = Hypervisor.objects.get()
    assert public_key_of(row.credentials.ssh_private_key).startswith(public_key)
    page = operator.get(reverse("hypervisor_edit", args=[row.pk])).content.decode()
    assert public_key in page
    assert "PRIVATE KEY-----\n" not in page


def test_a_generated_key_is_nobody_elses(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fragment = operator.post(reverse("hypervisor_key_pair")).content.decode()
    token = fragment.split('name="ssh_generated_key" value="')[1].split('"')[0]
    operator.force_login(User.objects.create_user("dave", is_staff=True))
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "ssh", "host": "h1"}
    answer = operator.post(reverse("hypervisor_add"), {**fields, "ssh_generated_key": token}, headers=HTMX)
    assert "ssh_private_key" in errors_of(answer)


def test_keys_with_a_passphrase_are_told_apart() -> None:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_ssh_private_key(generate_private_key().encode(), None)
    protected = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="passphrase"):
        public_key_of(protected.decode())


def test_the_form_of_a_host_shows_its_own_pool_and_address(operator: Client, make_hypervisor: Any) -> None:
    HypervisorPool.objects.create(name="a pool before all others")
    row = make_hypervisor(uri="qemu+ssh://vm@host9:2222/system")
    page = operator.get(reverse("hypervisor_edit", args=[row.pk])).content.decode()
    assert f'<option value="{row.hypervisor_pool_id}" selected>' in page
    for value in ("host9", "2222", "vm", row.uri):
        assert f'value="{value}"' in page
