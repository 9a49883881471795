"""SSH keys in a guest: what a hostile line is shown as, what the machine's page lists, and to whom."""

import base64
from collections.abc import Callable
from typing import Any

import libvirt
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.cloudinit.ssh_keys import read_ssh_key
from hypervisors.errors import NotPossible, OperationRefused
from hypervisors.gateway.domains.guest_agent import asked_of_agent
from hypervisors.models import Domain, DomainDefinition, GuestFacts, GuestSshKeys, Operation
from hypervisors.models.guest_ssh_keys import remember_guest_ssh_keys
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import DomainState
from tests.roles import bind

pytestmark = pytest.mark.usefixtures("redis_client")
BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIDpX235ytvSD2WGdcRID3mWlplnMDx455TgVBNFbzCrK"
KEY = f"ssh-ed25519 {BLOB} anna@desk"
# ssh-keygen -lf says so.
FINGERPRINT = "SHA256:+84sHksqWHClsmfyF7UcabIK6uKI67sZxtSXxUcroN4"
CONNECTED = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>"


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """It runs, and its agent is connected."""
    domain = make_domain(name="web1", state=DomainState.RUNNING)
    DomainDefinition.objects.update_or_create(
        domain=domain, defaults={"live_xml": f"<domain><devices>{CONNECTED}</devices></domain>"}
    )
    return domain


def test_a_key_has_type_fingerprint_and_comment() -> None:
    key = read_ssh_key(KEY)
    assert (key.type, key.fingerprint, key.comment, key.options) == ("ssh-ed25519", FINGERPRINT, "anna@desk", "")


def test_options_with_blanks_stand_before_the_key() -> None:
    key = read_ssh_key(f'from="192.0.2.1",command="echo ssh-rsa hello" {KEY} of anna')
    assert (key.type, key.comment) == ("ssh-ed25519", "anna@desk of anna")
    assert key.options == 'from="192.0.2.1",command="echo ssh-rsa hello"'


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", f"ssh-rsa {BLOB}", "ssh-ed25519 AAAA x", "<b>x</b>", f"{BLOB} {BLOB}"]
)
def test_what_is_no_key_has_no_fingerprint(line: str) -> None:
    assert read_ssh_key(line).fingerprint == ""


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda blob: f"x {base64.b64encode(blob).decode()}"))
def test_any_line_can_be_shown(line: str) -> None:
    assert read_ssh_key(line).line == line


def test_the_page_lists_keys_with_what_is_needed_to_remove_them(operator: Client, machine: Domain) -> None:
    hostile = f"ssh-ed25519 {BLOB} <b>x</b>\u202e"
    remember_guest_ssh_keys(machine.pk, user="anna", keys=[KEY, hostile, "<i>no key</i>"])
    page = operator.get(f"/vms/{machine.uuid}/").content.decode()
    assert page.count(FINGERPRINT) >= 2
    for text in ("anna@desk", "&lt;b&gt;x&lt;/b&gt;", "not a key", "&lt;i&gt;no key&lt;/i&gt;"):
        assert text in page, text
    assert "<b>x</b>" not in page
    assert "<i>no key</i>" not in page
    assert f'name="key" value="{KEY}"' in page
    assert 'data-confirm-name="anna@desk"' in page


def test_an_account_without_keys_says_so(operator: Client, machine: Domain) -> None:
    remember_guest_ssh_keys(machine.pk, user="root", keys=[])
    assert "No key lets anybody in." in operator.get(f"/vms/{machine.uuid}/").content.decode()


def test_who_may_only_look_learns_of_no_keys(client: Client, charlie: User, machine: Domain) -> None:
    remember_guest_ssh_keys(machine.pk, user="anna", keys=[KEY])
    bind(charlie, "viewer", machine)
    client.force_login(charlie)
    assert FINGERPRINT not in client.get(f"/vms/{machine.uuid}/").content.decode()
    for kind in ("list_guest_ssh_keys", "remove_guest_ssh_key"):
        answer = client.post(f"/vms/{machine.uuid}/operations/{kind}/", {"user": "anna", "key": KEY})
        assert answer.status_code == 403, kind


def test_the_dialog_proposes_who_is_signed_in(operator: Client, machine: Domain) -> None:
    url = f"/vms/{machine.uuid}/forms/list_guest_ssh_keys/"
    assert 'value="root"' in operator.get(url).content.decode()
    GuestFacts.objects.create(domain=machine, facts={"users": ["root", "anna"]}, read_at=timezone.now())
    assert 'value="anna"' in operator.get(url).content.decode()
    assert 'value="bert"' in operator.get(f"{url}?user=bert").content.decode()


def test_a_button_asks_for_the_removal_of_the_very_line(operator: Client, machine: Domain) -> None:
    line = f"no-pty {KEY}"
    url = f"/vms/{machine.uuid}/operations/remove_guest_ssh_key/"
    answer = operator.post(url, {"user": "anna", "key": line}, headers={"HX-Request": "true"})
    assert answer.status_code == 204, answer.content
    assert Operation.objects.get().parameters == {"user": "anna", "key": line}


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("list_guest_ssh_keys", {"user": ""}),
        ("list_guest_ssh_keys", {"user": "anna\nroot"}),
        ("remove_guest_ssh_key", {"user": "anna", "key": "two\nlines"}),
        ("remove_guest_ssh_key", {"user": "anna", "key": "x" * 8001}),
        ("remove_guest_ssh_key", {"user": "anna"}),
        ("add_guest_ssh_key", {"user": "anna", "key": f"no-pty {KEY}"}),
    ],
)
def test_what_no_agent_is_to_be_asked_is_refused(
    alice: User, machine: Domain, kind: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(NotPossible):
        request_operation(user=alice, kind=kind, subject=machine, parameters=parameters)


def test_of_many_accounts_those_that_were_read_last_are_kept(machine: Domain) -> None:
    for number in range(12):
        remember_guest_ssh_keys(machine.pk, user=f"u{number:02}", keys=[KEY])
    assert list(GuestSshKeys.objects.values_list("user", flat=True)) == [f"u{number:02}" for number in range(4, 12)]


@pytest.mark.parametrize(
    "said",
    [
        "internal error: unable to execute QEMU agent command 'guest-ssh-get-authorized-keys': "
        "The command guest-ssh-get-authorized-keys has not been found",
        "internal error: unable to execute QEMU agent command 'guest-ssh-get-authorized-keys': "
        "Command guest-ssh-get-authorized-keys has been disabled",
    ],
)
def test_an_agent_that_does_not_know_the_command_is_said_in_words(said: str) -> None:
    with pytest.raises(OperationRefused, match="does not know how, or is not allowed to"), asked_of_agent("read"):
        raise libvirt.libvirtError(said)


def test_what_a_hostile_agent_says_of_its_failure_is_one_short_line() -> None:
    with pytest.raises(OperationRefused) as caught, asked_of_agent("read"):
        raise libvirt.libvirtError("\x1b[2J\n" + "x" * 10_000)
    assert len(str(caught.value)) <= 300
    assert str(caught.value).isprintable()
