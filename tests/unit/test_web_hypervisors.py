"""The doors of hosts: lists and pages, adding, changing, disabling, removing; who may, and what bad input comes to."""

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hypervisors.models import Domain, DomainGrant, Hypervisor, HypervisorPool, Network, Operation, StoragePool
from hypervisors.models.usage import UsageSample, hypervisor_key, record_usage
from hypervisors.operations.ssh_keys import generate_private_key, public_key_of
from hypervisors.states import HypervisorStatus, OperationKind, OperationState
from vmportal.celery import app

HOSTILE_NAMES = ["quo\"te'd", "100% %s", "<b>bold</b>", "🐧 tux", "x" * 100]
# Nothing listens on this port.
REFUSING = {"transport": "tcp", "host": "127.0.0.1", "port": "1"}


@pytest.fixture(autouse=True)
def tasks_at_once(redis_client: Any) -> Iterator[None]:
    """Celery runs tasks in the caller."""
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def operator(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def save_untested(client: Client, url: str, **fields: Any) -> Any:
    """Send the form; its test fails; save all the same."""
    first = client.post(url, fields, headers={"HX-Request": "true"})
    if b'name="save_anyway"' not in first.content and b"hx-get" in first.content:
        polled = first.content.decode().split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
        first = client.get(polled)
    test_id = first.content.decode().split('name="test" value="')[1].split('"')[0]
    return client.post(url, {**fields, "test": test_id, "save_anyway": "1"}, headers={"HX-Request": "true"})


DOORS: list[tuple[str, str]] = [
    ("get", "hypervisors"),
    ("get", "hypervisor"),
    ("get", "hypervisor_domains"),
    ("get", "hypervisor_storage_pools"),
    ("get", "hypervisor_networks"),
    ("get", "hypervisor_usage"),
    ("get", "hypervisor_add"),
    ("get", "hypervisor_edit"),
    ("get", "hypervisor_remove"),
    ("post", "hypervisor_enable"),
    ("post", "hypervisor_test"),
    ("post", "hypervisor_key_pair"),
    ("get", "hypervisor_pool"),
    ("get", "hypervisor_pool_add"),
    ("get", "hypervisor_pool_edit"),
    ("get", "hypervisor_pool_remove"),
]
WITHOUT_ID = {"hypervisors", "hypervisor_add", "hypervisor_test", "hypervisor_key_pair", "hypervisor_pool_add"}


def door(name: str, pk: int) -> str:
    return reverse(name, args=[] if name in WITHOUT_ID else [pk])


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_strangers_meet_404_and_nobody_the_login(
    method: str, name: str, client: Client, bob: User, hypervisor: Hypervisor
) -> None:
    pk = hypervisor.hypervisor_pool_id if "hypervisor_pool" in name else hypervisor.pk
    answer = getattr(client, method)(door(name, pk))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))
    client.force_login(bob)
    assert getattr(client, method)(door(name, pk)).status_code == 404


@pytest.mark.parametrize(("method", "name"), [one for one in DOORS if one[1] not in WITHOUT_ID])
def test_an_unknown_id_is_404(method: str, name: str, operator: Client) -> None:
    assert getattr(operator, method)(door(name, 987654)).status_code == 404


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_the_wrong_method_is_refused(method: str, name: str, operator: Client, hypervisor: Hypervisor) -> None:
    pk = hypervisor.hypervisor_pool_id if "hypervisor_pool" in name else hypervisor.pk
    assert operator.put(door(name, pk)).status_code == 405
    if method == "post":
        assert operator.get(door(name, pk)).status_code == 405


@pytest.mark.parametrize(("method", "name"), [one for one in DOORS if one[0] == "get"])
def test_every_page_opens(method: str, name: str, operator: Client, hypervisor: Hypervisor) -> None:
    pk = hypervisor.hypervisor_pool_id if "hypervisor_pool" in name else hypervisor.pk
    assert operator.get(door(name, pk)).status_code == 200


def test_the_first_host_is_invited(operator: Client, db: None) -> None:
    assert "Add your first hypervisor" in operator.get(reverse("hypervisors")).content.decode()


def test_the_overview_counts_and_says_why_a_host_is_offline(
    operator: Client, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> None:
    online = make_hypervisor(name="alpha", cpu_percent=12.5, cpu_count=8, memory_kib=16 << 20, memory_used_kib=4 << 20)
    make_hypervisor(name="beta", status=HypervisorStatus.OFFLINE, status_reason="nothing listens on port 16509")
    make_domain(hypervisor=online, state="running")
    make_domain(hypervisor=online)
    make_domain(hypervisor=online, vanished_at=timezone.now())
    page = operator.get(reverse("hypervisors")).content.decode()
    # The third is the fixture of make_domain.
    assert "2 of 3 online" in page
    assert ">1 of 2<" in page
    assert "nothing listens on port 16509" in page
    assert "4 GiB" in page


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
        headers={"HX-Request": "true"},
    )
    assert answer.status_code == 422
    assert errors_of(answer).keys() == {"name"}
    assert not Hypervisor.objects.exists()


def errors_of(answer: Any) -> dict[str, str]:
    """The error at each field, from the fragment that htmx swaps in."""
    found = {}
    for part in answer.content.decode().split('id="error-')[1:]:
        name, rest = part.split('"', 1)
        text = rest.split(">", 1)[1].split("</div>")[0]
        if text:
            found[name] = text
    return found


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
        answer = operator.post(reverse(door_name), fields, headers={"HX-Request": "true"})
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
        headers={"HX-Request": "true"},
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


def test_a_failed_test_saves_nothing_until_told_to(operator: Client, caplog: pytest.LogCaptureFixture) -> None:
    fields = {"name": "host1", "new_pool": "rack two", **REFUSING}
    asked = operator.post(reverse("hypervisor_add"), fields, headers={"HX-Request": "true"})
    assert asked.status_code == 200
    assert not Hypervisor.objects.exists()
    assert not HypervisorPool.objects.exists()
    with caplog.at_level(logging.INFO, "vmportal.audit"):
        save_untested(operator, reverse("hypervisor_add"), **fields)
    row = Hypervisor.objects.get()
    assert row.hypervisor_pool.name == "rack two"
    assert row.uri == "qemu+tcp://127.0.0.1:1/system"
    assert "alice: added a hypervisor" in caplog.text


def test_save_anyway_without_a_failed_test_tests_first(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, **REFUSING, "save_anyway": "1", "test": "invented"}
    answer = operator.post(reverse("hypervisor_add"), fields, headers={"HX-Request": "true"})
    assert b'id="test-outcome"' in answer.content
    assert not Hypervisor.objects.exists()


def test_a_test_is_only_good_for_what_was_tested(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, **REFUSING}
    first = operator.post(reverse("hypervisor_test"), fields, headers={"HX-Request": "true"})
    test_id = first.content.decode().split("/tests/")[1].split("/")[0]
    changed = {**fields, "port": "2", "test": test_id, "save_anyway": "1"}
    operator.post(reverse("hypervisor_add"), changed, headers={"HX-Request": "true"})
    assert not Hypervisor.objects.exists()


def test_a_test_is_nobody_elses(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    first = operator.post(reverse("hypervisor_test"), {"name": "h", **REFUSING}, headers={"HX-Request": "true"})
    test_id = first.content.decode().split("/tests/")[1].split("/")[0]
    url = reverse("hypervisor_test_result", args=[test_id])
    assert "refused" in operator.get(url).content.decode()
    operator.force_login(User.objects.create_user("dave", is_staff=True))
    assert "refused" not in operator.get(url).content.decode()


def test_a_second_name_or_uri_is_refused(operator: Client, hypervisor: Hypervisor) -> None:
    pool = hypervisor.hypervisor_pool_id
    fields = {"name": hypervisor.name, "hypervisor_pool": pool, "uri": hypervisor.uri, "uri_by_hand": "on"}
    answer = operator.post(reverse("hypervisor_add"), fields, headers={"HX-Request": "true"})
    assert errors_of(answer).keys() == {"name", "uri"}
    assert hypervisor.name in errors_of(answer)["uri"]


SECRETS = {"sasl_password": "s3cr3t-pass", "tls_client_key": "-----BEGIN PRIVATE KEY-----\nTLSSECRET\n-----END"}


def test_secrets_are_encrypted_and_never_shown(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    url = reverse("hypervisor_add")
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "tls", "host": "127.0.0.1", "port": "1"}
    fields |= {"sasl_username": "vmportal", **SECRETS}
    save_untested(operator, url, **fields)
    row = Hypervisor.objects.get(name="h")
    assert row.sasl_password == SECRETS["sasl_password"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT sasl_password, tls_client_key FROM hypervisors_hypervisor WHERE id = %s", [row.pk])
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
    assert (row.name, row.sasl_password, row.revision) == ("renamed", "first", 1)
    save_untested(operator, edit, **fields, sasl_password="second")
    row.refresh_from_db()
    assert (row.sasl_password, row.revision) == ("second", 2)
    save_untested(operator, edit, **fields, sasl_password_remove="on")
    row.refresh_from_db()
    assert (row.sasl_password, row.revision) == ("", 3)


def test_another_transport_drops_the_credentials_it_has_no_use_for(operator: Client, hypervisor: Hypervisor) -> None:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(ssh_private_key="old", sasl_password="old")
    fields = {"name": "h", "hypervisor_pool": hypervisor.hypervisor_pool_id, **REFUSING}
    save_untested(operator, reverse("hypervisor_edit", args=[hypervisor.pk]), **fields)
    hypervisor.refresh_from_db()
    assert (hypervisor.ssh_private_key, hypervisor.sasl_password) == ("", "old")


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
    assert public_key_of(row.ssh_private_key).startswith(public_key)
    page = operator.get(reverse("hypervisor_edit", args=[row.pk])).content.decode()
    assert public_key in page
    assert "PRIVATE KEY-----\n" not in page


def test_a_generated_key_is_nobody_elses(operator: Client, hypervisor_pool: HypervisorPool) -> None:
    fragment = operator.post(reverse("hypervisor_key_pair")).content.decode()
    token = fragment.split('name="ssh_generated_key" value="')[1].split('"')[0]
    operator.force_login(User.objects.create_user("dave", is_staff=True))
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "ssh", "host": "h1"}
    answer = operator.post(
        reverse("hypervisor_add"), {**fields, "ssh_generated_key": token}, headers={"HX-Request": "true"}
    )
    assert "ssh_private_key" in errors_of(answer)


def test_keys_with_a_passphrase_are_told_apart() -> None:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_ssh_private_key(generate_private_key().encode(), None)
    protected = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret"))  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="passphrase"):
        public_key_of(protected.decode())


def test_disabling_leaves_it_alone_and_enabling_follows_it_again(operator: Client, hypervisor: Hypervisor) -> None:
    url = reverse("hypervisor_enable", args=[hypervisor.pk])
    operator.post(url)
    hypervisor.refresh_from_db()
    assert hypervisor.status == HypervisorStatus.DISABLED
    assert "alice" in hypervisor.status_reason
    assert "leaves this host alone" in operator.get(hypervisor.get_absolute_url()).content.decode()
    operator.post(url, {"enabled": "1"})
    hypervisor.refresh_from_db()
    assert hypervisor.status == HypervisorStatus.CONNECTING


def test_removing_keeps_machines_grants_and_history(
    operator: Client, hypervisor: Hypervisor, domain: Domain, bob: User
) -> None:
    Operation.objects.create(
        kind=OperationKind.START, domain=domain, domain_name="web1", hypervisor=hypervisor, state="succeeded"
    )
    url = reverse("hypervisor_remove", args=[hypervisor.pk])
    page = operator.get(url).content.decode()
    assert hypervisor.name in page
    assert "web1" in page
    assert Hypervisor.objects.exists()
    assert operator.post(url).status_code == 302
    domain.refresh_from_db()
    assert domain.vanished_at is not None
    assert domain.hypervisor is None
    assert DomainGrant.objects.filter(domain=domain, user=bob).exists()
    assert Operation.objects.filter(domain=domain).exists()
    assert not Hypervisor.objects.exists()


@pytest.mark.parametrize("role", ["hypervisor", "target_hypervisor", "domain"])
def test_removing_is_refused_while_an_operation_is_on_it(
    role: str, operator: Client, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> None:
    here, there = make_hypervisor(), make_hypervisor()
    domain = make_domain(hypervisor=here if role == "domain" else there, name="busy-vm")
    Operation.objects.create(
        kind=OperationKind.MIGRATE,
        domain=domain,
        domain_name="busy-vm",
        state=OperationState.RUNNING,
        **({} if role == "domain" else {role: here}),
    )
    answer = operator.post(reverse("hypervisor_remove", args=[here.pk]))
    assert answer.status_code == 422
    assert "busy-vm" in answer.content.decode()
    assert Hypervisor.objects.filter(pk=here.pk).exists()


def test_the_page_says_plainly_when_there_is_no_kvm(operator: Client, make_hypervisor: Any) -> None:
    emulating, accelerated = make_hypervisor(kvm_available=False), make_hypervisor(kvm_available=True)
    assert "Plain emulation (no KVM)" in operator.get(emulating.get_absolute_url()).content.decode()
    assert "KVM is available" in operator.get(accelerated.get_absolute_url()).content.decode()


def test_tabs_show_storage_pools_and_networks_escaped(operator: Client, hypervisor: Hypervisor) -> None:
    StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=uuid.uuid4(),
        name="<i>images",
        pool_type="dir",
        active=True,
        autostart=False,
        target_path="/srv/images",
        capacity_bytes=10 << 30,
        allocation_bytes=4 << 30,
        available_bytes=6 << 30,
    )
    Network.objects.create(
        hypervisor=hypervisor, uuid=uuid.uuid4(), name="default", active=True, autostart=True, forward_mode="nat"
    )
    storage = operator.get(reverse("hypervisor_storage_pools", args=[hypervisor.pk])).content.decode()
    assert "&lt;i&gt;images" in storage
    assert "6 GiB" in storage
    assert "nat" in operator.get(reverse("hypervisor_networks", args=[hypervisor.pk])).content.decode()


def test_the_usage_of_the_last_hour_is_json(operator: Client, hypervisor: Hypervisor) -> None:
    now = int(timezone.now().timestamp())
    record_usage({hypervisor_key(hypervisor.pk): UsageSample(epoch=now - 10, cpu_percent=25.0, memory_kib=1000.0)})
    answer = json.loads(operator.get(reverse("hypervisor_usage", args=[hypervisor.pk])).content)
    assert answer == {"at": [now - 10], "cpu": [25.0], "memory": [1000], "memory_kib": None}


def test_the_overview_costs_the_same_for_many_hosts(
    operator: Client, make_hypervisor: Callable[..., Hypervisor], django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        make_hypervisor()
    with django_assert_max_num_queries(7):
        operator.get(reverse("hypervisors"))


def test_the_form_of_a_host_shows_its_own_pool_and_address(operator: Client, make_hypervisor: Any) -> None:
    HypervisorPool.objects.create(name="a pool before all others")
    row = make_hypervisor(uri="qemu+ssh://vm@host9:2222/system")
    page = operator.get(reverse("hypervisor_edit", args=[row.pk])).content.decode()
    assert f'<option value="{row.hypervisor_pool_id}" selected>' in page
    for value in ("host9", "2222", "vm", row.uri):
        assert f'value="{value}"' in page
