"""A stored secret goes to the machine that it was stored for; for any other it is typed again."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from hypervisors.administration.hypervisors import HypervisorValues, change_hypervisor
from hypervisors.errors import NotPossible
from hypervisors.models import AuditRecord, Hypervisor, HypervisorCredentials
from hypervisors.models.hypervisor_credentials import CREDENTIALS
from hypervisors.operations.hypervisors.connection_tests import TESTS_PER_PERSON
from hypervisors.operations.hypervisors.ssh_keys import generate_private_key
from tests.host_keys import host_key
from tests.hypervisor_forms import HTMX, REFUSING, errors_of, polled, save_untested

pytestmark = pytest.mark.usefixtures("tasks_at_once")

KEY = generate_private_key()
A, B = host_key(1), host_key(2)
TLS = {
    "uri": "qemu+tls://host1/system",
    "tls_ca_certificate": "CA",
    "tls_client_key": "TLSKEY",
    "sasl_password": "s3cr3t",
}
TCP = {"uri": "qemu+tcp://host1/system", "sasl_username": "vmportal", "sasl_password": "s3cr3t"}
SSH = {"uri": "qemu+ssh://root@host1/system", "ssh_private_key": KEY, "ssh_known_hosts": f"host1 {A}"}


@pytest.fixture
def stored(make_hypervisor: Callable[..., Hypervisor]) -> Callable[[dict[str, str]], Hypervisor]:
    def store(values: dict[str, str]) -> Hypervisor:
        hypervisor = make_hypervisor(uri=values["uri"])
        credentials = {name: value for name, value in values.items() if name != "uri"}
        HypervisorCredentials.objects.create(hypervisor=hypervisor, **credentials)
        return hypervisor

    return store


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody's own machine, waiting to be told a password."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0)
        yield server


def fields_of(hypervisor: Hypervisor, values: dict[str, str], **changed: str) -> dict[str, Any]:
    """The form as its page would send it: with what is no secret, without what is."""
    secrets = ("sasl_password", "ssh_private_key", "tls_client_key")
    fields = {name: value for name, value in values.items() if name not in secrets}
    named = {"name": hypervisor.name, "hypervisor_pool": hypervisor.hypervisor_pool_id, "uri_by_hand": "on"}
    return fields | named | changed


def test_testing_another_address_does_not_send_the_stored_password_there(
    operator: Client, stored: Callable[[dict[str, str]], Hypervisor], listener: socket.socket
) -> None:
    row = stored(TCP)
    host, port = listener.getsockname()
    fields = {"name": row.name, "hypervisor_pool": row.hypervisor_pool_id, "sasl_username": "vmportal"}
    fields |= {"transport": "tcp", "host": host, "port": port}
    for door in ("hypervisor_test", "hypervisor_edit"):
        answer = operator.post(reverse(door, args=[row.pk]), fields, headers=HTMX)
        assert answer.status_code == 422
        assert "host1:16509 (tcp)" in errors_of(answer)["sasl_password"]
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    ("values", "changed", "field"),
    [
        (TCP, {"uri": "qemu+tcp://host2/system"}, "sasl_password"),
        (TCP, {"uri": "qemu+tcp://host1:16510/system"}, "sasl_password"),
        (TCP, {"uri": "qemu+tls://host1:16509/system"}, "sasl_password"),
        (TCP, {"sasl_username": "other"}, "sasl_password"),
        (TLS, {"uri": "qemu+tls://host2/system"}, "tls_client_key"),
        (TLS, {"tls_ca_certificate": "MINE"}, "sasl_password"),
        (TLS, {"tls_ca_certificate": ""}, "tls_client_key"),
        (SSH, {"uri": "qemu+ssh://root@host2/system", "ssh_known_hosts": ""}, "ssh_private_key"),
        (SSH, {"uri": "qemu+ssh://eve@host1/system"}, "ssh_private_key"),
        (SSH, {"ssh_known_hosts": f"host1 {B}"}, "ssh_private_key"),
        (SSH, {"ssh_known_hosts": f"host1 {A}\nhost1 {B}"}, "ssh_private_key"),
        (SSH, {"ssh_known_hosts": ""}, "ssh_private_key"),
    ],
)
def test_another_machine_needs_the_secret_typed_again(
    operator: Client,
    stored: Callable[[dict[str, str]], Hypervisor],
    values: dict[str, str],
    changed: dict[str, str],
    field: str,
) -> None:
    row = stored(values)
    for door in ("hypervisor_test", "hypervisor_edit"):
        answer = operator.post(reverse(door, args=[row.pk]), fields_of(row, values, **changed), headers=HTMX)
        assert answer.status_code == 422
        assert "goes nowhere else" in errors_of(answer)[field]
    row.refresh_from_db()
    assert row.uri == values["uri"]


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        (TCP, {}),
        (TCP, {"uri": "QEMU+TCP://HOST1:16509/system?mode=direct"}),
        (TLS, {"tls_ca_certificate": "CA\r\n"}),
        (SSH, {"ssh_known_hosts": A}),
        (SSH | {"ssh_known_hosts": ""}, {"ssh_known_hosts": f"host1 {A}"}),
        (SSH | {"ssh_known_hosts": f"{A}\n{B}"}, {"ssh_known_hosts": B}),
    ],
)
def test_the_same_machine_in_other_words_needs_nothing(
    operator: Client, stored: Callable[[dict[str, str]], Hypervisor], values: dict[str, str], changed: dict[str, str]
) -> None:
    row = stored(values)
    answer = operator.post(reverse("hypervisor_test", args=[row.pk]), fields_of(row, values, **changed), headers=HTMX)
    assert answer.status_code == 200


def test_typed_again_it_goes_where_one_says(operator: Client, stored: Callable[[dict[str, str]], Hypervisor]) -> None:
    row = stored(TCP)
    fields = {"name": row.name, "hypervisor_pool": row.hypervisor_pool_id, "sasl_username": "vmportal", **REFUSING}
    save_untested(operator, reverse("hypervisor_edit", args=[row.pk]), **fields, sasl_password="s3cr3t")
    row.refresh_from_db()
    assert (row.uri, row.credentials.sasl_password) == ("qemu+tcp://127.0.0.1:1/system", "s3cr3t")


def test_a_row_that_changed_meanwhile_keeps_its_secret(
    alice: User, stored: Callable[[dict[str, str]], Hypervisor]
) -> None:
    row = stored(TCP)
    credentials = {name: getattr(row.credentials, name) for name in CREDENTIALS}
    values = HypervisorValues(
        name="h", uri="qemu+tcp://host2/system", hypervisor_pool=row.hypervisor_pool, credentials=credentials
    )
    with pytest.raises(NotPossible, match="host1:16509"):
        change_hypervisor(alice, row.pk, values, host_uuid=None, tested=False)


def test_the_command_asks_for_the_secret_again(stored: Callable[[dict[str, str]], Hypervisor], tmp_path: Any) -> None:
    row = stored(TCP)
    command = ["register_hypervisor", "--pool", row.hypervisor_pool.name, "--name", row.name]
    call_command(*command, "--uri", "qemu+tcp://HOST1/system", verbosity=0)
    with pytest.raises(CommandError, match="--sasl-password-file"):
        call_command(*command, "--uri", "qemu+tcp://host2/system", verbosity=0)
    password = tmp_path / "password"
    password.write_text("s3cr3t\n")
    call_command(*command, "--uri", "qemu+tcp://host2/system", "--sasl-password-file", str(password), verbosity=0)
    row.refresh_from_db()
    assert (row.uri, row.credentials.sasl_password) == ("qemu+tcp://host2/system", "s3cr3t")


def test_the_command_takes_this_hosts_keys_only(hypervisor: Hypervisor, tmp_path: Any) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"host1 {A}\nhost2 {B}\n")
    command = [
        "register_hypervisor",
        "--pool",
        "rack one",
        "--name",
        "ssh1",
        "--ssh-known-hosts-file",
        str(known_hosts),
    ]
    with pytest.raises(CommandError, match="None of these keys"):
        call_command(*command, "--uri", "qemu+ssh://host9/system", verbosity=0)
    call_command(*command, "--uri", "qemu+ssh://host1/system", verbosity=0)
    assert Hypervisor.objects.get(name="ssh1").credentials.ssh_known_hosts == f"host1 {A}"


def test_tests_are_recorded_and_limited_for_each_person(operator: Client, hypervisor: Hypervisor, dora: User) -> None:
    fields = {"name": "n", "hypervisor_pool": hypervisor.hypervisor_pool_id, **REFUSING}
    limit = TESTS_PER_PERSON[0][0]
    answers = [operator.post(reverse("hypervisor_test"), fields, headers=HTMX) for _ in range(2 * limit + 1)]
    texts = [answer.content.decode() for answer in answers]
    # A minute may end in between: then the limit is reached before it or after it.
    refused = [text for text in texts if f"You have tested {limit} connections within a minute" in text]
    assert refused
    assert not any("Save anyway" in text for text in refused)
    assert "The connection is refused" in polled(operator, answers[0])
    records = AuditRecord.objects.filter(action="test a connection", actor_name="alice")
    assert records.filter(outcome="done", after={"uri": "qemu+tcp://127.0.0.1:1/system"}).count() >= limit
    assert records.filter(outcome="refused").exists()
    operator.force_login(dora)
    assert "refused" in polled(operator, operator.post(reverse("hypervisor_test"), fields, headers=HTMX))
