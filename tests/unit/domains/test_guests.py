"""What a guest says of itself: hostile answers, what is kept of it, and what the machine's page says and offers."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.errors import NotPossible
from hypervisors.gateway.domains.guest_agent import facts_of
from hypervisors.inventory.domains.guests import GuestMirror
from hypervisors.inventory.observations import GuestRead
from hypervisors.models import AuditRecord, Domain, DomainDefinition, GuestFacts, Operation
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import DomainState
from tests.roles import bind
from tests.rows import define

pytestmark = pytest.mark.usefixtures("redis_client")
MAC = "52:54:00:00:00:01"
CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'{}/></channel>"
CONNECTED = " state='connected'"
SAID: dict[str, Any] = {
    "hostname": "shop",
    "os.pretty-name": "Debian GNU/Linux 12",
    "os.id": "debian",
    "os.kernel-release": "6.1.0",
    "timezone.name": "CET",
    "user.count": 2,
    "user.0.name": "anna",
    "user.1.name": "anna",
    "fs.count": 1,
    "fs.0.mountpoint": "/",
    "fs.0.fstype": "ext4",
    "fs.0.total-bytes": 1000,
    "fs.0.used-bytes": 250,
    "fs.0.disk.count": 1,
    "fs.0.disk.0.alias": "vda",
}


def read_of(domain: Domain, said: dict[str, Any], *, at: float) -> GuestRead:
    assert domain.hypervisor_id is not None
    facts = asdict(facts_of(said, {MAC: ("192.0.2.7",)}))
    values: dict[str, Any] = {"facts": facts, "has_answered": True, "problem": "", "read_at": at}
    return GuestRead(hypervisor_id=domain.hypervisor_id, uuid=domain.uuid, **values)


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """It runs, and its agent is connected."""
    parsed = {"interfaces": [{"mac": MAC, "kind": "network", "source": "default", "link_up": True}]}
    domain = make_domain(name="web1", state=DomainState.RUNNING, parsed=parsed)
    live = f"<domain><devices>{CHANNEL.format(CONNECTED)}</devices></domain>"
    DomainDefinition.objects.filter(domain=domain).update(live_xml=live)
    return domain


def test_a_flat_answer_becomes_facts() -> None:
    facts = facts_of(SAID, {MAC: ("192.0.2.7",)})
    assert (facts.host_name, facts.os_name, facts.users) == ("shop", "Debian GNU/Linux 12", ("anna",))
    system = facts.file_systems[0]
    assert (system.mount, system.total_bytes, system.used_bytes, system.disks) == ("/", 1000, 250, ("vda",))


def test_a_hostile_answer_is_cut_and_stripped() -> None:
    hostile = {"hostname": "\x1b[2J\x00" + "a" * 10_000, "user.count": 10**9, "fs.count": -5, "os.id": 7}
    hostile |= {f"user.{number}.name": f"u\u202e{number}" for number in range(100)}
    facts = facts_of(hostile, {})
    assert len(facts.host_name) <= 200
    assert facts.host_name.isprintable()
    assert len(facts.users) == 32
    assert all(user.isprintable() for user in facts.users)
    assert (facts.file_systems, facts.os_id) == ((), "")


@given(st.dictionaries(st.sampled_from(sorted(SAID)), st.one_of(st.integers(), st.text(), st.none(), st.floats())))
def test_any_answer_can_be_kept(said: dict[str, Any]) -> None:
    facts = facts_of(said, {})
    assert all(one.total_bytes >= 0 for one in facts.file_systems)


def test_what_says_nothing_new_is_not_written_again_soon(machine: Domain) -> None:
    mirror, now = GuestMirror(), time.time()
    mirror.take_reading(read_of(machine, SAID, at=now))
    assert [change.id for change in mirror.save()] == [str(machine.uuid)]
    mirror.note_saved()
    mirror.take_reading(read_of(machine, SAID | {"fs.0.used-bytes": 251}, at=now + 60))
    assert not mirror.has_unsaved()
    mirror.take_reading(read_of(machine, SAID | {"hostname": "other"}, at=now + 120))
    mirror.save()
    mirror.note_saved()
    assert GuestFacts.objects.get().facts["host_name"] == "other"
    mirror.take_reading(read_of(machine, SAID | {"hostname": "other"}, at=now + 1000))
    assert mirror.has_unsaved()


def test_one_that_does_not_answer_keeps_what_it_last_said(machine: Domain) -> None:
    mirror, now = GuestMirror(), time.time()
    mirror.take_reading(read_of(machine, SAID, at=now))
    mirror.save()
    mirror.note_saved()
    assert machine.hypervisor_id is not None
    values: dict[str, Any] = {"facts": None, "has_answered": False, "problem": "no answer", "read_at": now + 60}
    mirror.take_reading(GuestRead(hypervisor_id=machine.hypervisor_id, uuid=machine.uuid, **values))
    mirror.save()
    row = GuestFacts.objects.get()
    assert (row.problem, row.facts["host_name"]) == ("no answer", "shop")
    assert row.answered_at is not None
    assert row.answered_at < row.read_at


def test_one_that_is_frozen_answers_nothing_and_keeps_what_it_last_said(machine: Domain) -> None:
    mirror, now = GuestMirror(), time.time()
    frozen = asdict(facts_of({"user.count": 0}, {}))
    for facts, at in ((read_of(machine, SAID, at=now).facts, now), (frozen, now + 60)):
        assert machine.hypervisor_id is not None
        values: dict[str, Any] = {"facts": facts, "has_answered": True, "problem": "", "read_at": at}
        mirror.take_reading(GuestRead(hypervisor_id=machine.hypervisor_id, uuid=machine.uuid, **values))
        mirror.save()
        mirror.note_saved()
    row = GuestFacts.objects.get()
    assert (row.facts["host_name"], row.addresses) == ("shop", {MAC: ["192.0.2.7"]})
    assert row.answered_at is not None
    assert row.answered_at.timestamp() == pytest.approx(now, abs=0.01)
    assert row.read_at > row.answered_at


def test_the_page_says_what_the_guest_says(operator: Client, machine: Domain) -> None:
    mirror = GuestMirror()
    mirror.take_reading(read_of(machine, SAID | {"hostname": "<b>x</b>"}, at=time.time()))
    mirror.save()
    page = operator.get(f"/vms/{machine.uuid}/").content.decode()
    for text in ("&lt;b&gt;x&lt;/b&gt;", "Debian GNU/Linux 12", "anna", "192.0.2.7", "operations/trim_filesystems/"):
        assert text in page, text


@pytest.mark.parametrize(
    ("channel", "says"), [(CHANNEL.format(""), "apt install qemu-guest-agent"), ("", "Add the channel")]
)
def test_the_page_says_how_to_get_there(operator: Client, machine: Domain, channel: str, says: str) -> None:
    live = f"<domain><devices>{channel}</devices></domain>"
    DomainDefinition.objects.filter(domain=machine).update(live_xml=live)
    page = operator.get(f"/vms/{machine.uuid}/").content.decode()
    assert says in page
    assert "operations/trim_filesystems/" not in page


def test_a_password_reaches_neither_audit_nor_what_is_kept(operator: Client, machine: Domain) -> None:
    dialog = operator.get(f"/vms/{machine.uuid}/forms/set_guest_password/").content.decode()
    assert "Set a password in the guest" in dialog
    url = f"/vms/{machine.uuid}/operations/set_guest_password/"
    given = {"user": "anna", "password": "very secret"}
    assert operator.post(url, given, headers={"HX-Request": "true"}).status_code == 204
    operation = Operation.objects.get()
    assert operation.parameters["user"] == "anna"
    assert not [one for one in AuditRecord.objects.all() if "very secret" in str(vars(one))]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("set_guest_password", {"user": "anna:x", "password": "secret"}),
        ("set_guest_password", {"user": "-anna", "password": "secret"}),
        ("set_guest_password", {"user": "anna", "password": "two\nlines"}),
        ("set_guest_password", {"user": "anna"}),
        ("add_guest_ssh_key", {"user": "anna", "key": "no key"}),
        ("freeze_filesystems", {"seconds": 100_000}),
    ],
)
def test_what_no_guest_is_to_be_asked_is_refused(
    alice: User, machine: Domain, kind: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(NotPossible):
        request_operation(user=alice, kind=kind, subject=machine, parameters=parameters)


def test_who_may_only_look_is_offered_nothing(client: Client, charlie: User, machine: Domain) -> None:
    bind(charlie, "viewer", machine)
    client.force_login(charlie)
    page = client.get(f"/vms/{machine.uuid}/").content.decode()
    assert "operations/trim_filesystems/" not in page
    assert client.post(f"/vms/{machine.uuid}/operations/sync_time/").status_code == 403


@pytest.mark.parametrize(
    ("controller", "when"), [("", "next_start"), ("<controller type='virtio-serial' index='0'/>", "now")]
)
def test_the_channel_is_added_at_once_where_there_is_room_for_it(
    operator: Client, machine: Domain, controller: str, when: str
) -> None:
    xml = f"<domain type='qemu'><name>web1</name><devices>{controller}</devices></domain>"
    define(machine, live_xml=xml, inactive_xml=xml)
    answer = operator.post(f"/vms/{machine.uuid}/guest/channel/", headers={"HX-Request": "true"})
    assert answer.status_code == 204, answer.content
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters["when"]) == ("add_device", when)
    assert operation.parameters["values"]["target_name"] == "org.qemu.guest_agent.0"
