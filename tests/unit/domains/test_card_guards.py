"""A network filter that somebody assigned holds: nobody gets around it who may not take it away."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.errors import NotPermitted
from hypervisors.libvirtxml.hardware.card_guards import are_guards_kept, guarded_cards
from hypervisors.models import AuditRecord, Domain, DomainSnapshot, Network, Operation, Role, RoleBinding
from hypervisors.models.access import Scope
from hypervisors.operations.engine.requests import request_operation
from hypervisors.privileges import Privilege
from hypervisors.states import DomainState
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

FILTER = "<filterref filter='clean-traffic'><parameter name='IP' value='10.0.0.7'/></filterref>"
CARD_ID = "interface:52:54:00:00:00:01"
GIVEN = {"type": "network", "source_network": "default", "model": "virtio"}
GUARDED = GIVEN | {"filter": "clean-traffic", "filter_parameters": "IP 10.0.0.7"}
SHA = "a" * 64


def card(guards: str = "", number: int = 1) -> str:
    return (
        f"<interface type='network'><mac address='52:54:00:00:00:0{number}'/><source network='default'/>"
        f"<model type='virtio'/>{guards}</interface>"
    )


def machine_xml(*cards: str) -> str:
    return (
        "<domain type='qemu'><name>web1</name><uuid>%s</uuid><memory unit='KiB'>131072</memory><vcpu>2</vcpu>"
        "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>" + "".join(cards) + "</devices></domain>"
    )


def give(domain: Domain, stored: str, live: str = "") -> None:
    define(domain, live_xml=live and live % domain.uuid, inactive_xml=stored % domain.uuid)
    domain.definition.refresh_from_db()
    domain.definition.inactive_sha256 = SHA
    domain.definition.save()
    if live:
        Domain.objects.filter(pk=domain.pk).update(state=DomainState.RUNNING)
        domain.refresh_from_db()


@pytest.fixture
def machine(domain: Domain) -> Domain:
    assert domain.hypervisor is not None
    Network.objects.create(
        hypervisor=domain.hypervisor,
        uuid="7b0a3f8e-1111-4222-8333-444455556666",
        name="default",
        active=True,
        autostart=True,
        forward_mode="nat",
    )
    give(domain, machine_xml(card(FILTER)))
    return domain


@pytest.fixture
def user(machine: Domain) -> User:
    """May do everything there is but manage networks: even write XML."""
    found = User.objects.create_user("erin", password="erin-plugs-cards-in")
    role = Role.objects.create(
        key="all-but-networks", name="all", privileges=sorted(set(Privilege) - {Privilege.NETWORK_MANAGE})
    )
    RoleBinding.objects.create(user=found, role=role, scope=Scope.EVERYTHING)
    return found


def ask(user: User, domain: Domain, kind: str, **parameters: Any) -> Operation:
    return request_operation(user=user, subject=domain, kind=kind, parameters=parameters)


WAYS_AROUND: dict[str, tuple[str, dict[str, Any]]] = {
    "taking the card away": ("remove_device", {"device_id": CARD_ID}),
    "taking it away at the next start": ("remove_device", {"device_id": CARD_ID, "when": "next_start"}),
    "a second card without one": ("add_device", {"device_type": "interface", "values": GIVEN}),
    "a second card with another": (
        "add_device",
        {"device_type": "interface", "values": GIVEN | {"filter": "allow-arp"}},
    ),
    "a second card with other parameters": (
        "add_device",
        {"device_type": "interface", "values": GUARDED | {"filter_parameters": "IP 10.0.0.8"}},
    ),
    "a second card as XML": ("add_device", {"device_type": "interface", "xml": card(number=2)}),
    "no filter": ("change_device", {"device_id": CARD_ID, "values": {"filter": "", "filter_parameters": ""}}),
    "another address": ("change_device", {"device_id": CARD_ID, "values": {"mac": "52:54:00:00:00:09"}}),
    "a kind of card that has none": (
        "change_device",
        {"device_id": CARD_ID, "values": {"type": "direct", "source_dev": "eth0"}},
    ),
    "the card's XML": ("change_device", {"device_id": CARD_ID, "xml": card()}),
}


@pytest.mark.parametrize("way", WAYS_AROUND)
def test_a_filter_is_not_got_around(way: str, user: User, alice: User, machine: Domain) -> None:
    kind, parameters = WAYS_AROUND[way]
    with pytest.raises(NotPermitted):
        ask(user, machine, kind, **parameters)
    assert not Operation.objects.exists()
    assert AuditRecord.objects.filter(actor=user, action=kind, detail="needs network.manage").exists()
    assert ask(alice, machine, kind, **parameters).kind == kind


@pytest.mark.parametrize(
    "cards", [(), (card(),), (card(FILTER), card(number=2)), (card(FILTER), card(FILTER, 1), card())]
)
def test_a_filter_is_not_got_around_by_the_whole_xml(
    cards: tuple[str, ...], user: User, alice: User, machine: Domain
) -> None:
    given = {"xml": machine_xml(*cards) % machine.uuid, "base_sha256": SHA, "by_schema": False}
    with pytest.raises(NotPermitted):
        ask(user, machine, "define_xml", **given)
    assert ask(alice, machine, "define_xml", **given).kind == "define_xml"


def test_a_filter_that_waits_for_the_next_start_is_not_thrown_away(user: User, alice: User, machine: Domain) -> None:
    give(machine, machine_xml(card(FILTER)), live=machine_xml(card()))
    with pytest.raises(NotPermitted):
        ask(user, machine, "revert_pending", base_sha256=SHA)
    assert ask(alice, machine, "revert_pending", base_sha256=SHA).kind == "revert_pending"


def test_what_else_waits_is_thrown_away_by_whoever_configures_it(user: User, machine: Domain) -> None:
    stored = machine_xml(card(FILTER), "<sound model='ich9'/>")
    give(machine, stored, live=machine_xml(card(FILTER)))
    assert ask(user, machine, "revert_pending", base_sha256=SHA).kind == "revert_pending"


def test_a_filter_that_was_assigned_after_a_snapshot_stays(user: User, alice: User, machine: Domain) -> None:
    xml = f"<domainsnapshot><name>one</name>{machine_xml(card()) % machine.uuid}</domainsnapshot>"
    DomainSnapshot.objects.create(domain=machine, name="one", kind="internal", xml=xml, state="shutoff")
    Domain.objects.filter(pk=machine.pk).update(has_snapshots=True)
    machine.refresh_from_db()
    with pytest.raises(NotPermitted):
        ask(user, machine, "revert_snapshot", name="one")
    assert ask(alice, machine, "revert_snapshot", name="one").kind == "revert_snapshot"


@pytest.mark.parametrize("stored", [machine_xml(card()), machine_xml()])
def test_what_runs_is_looked_at_too(stored: str, user: User, machine: Domain) -> None:
    give(machine, stored, live=machine_xml(card(FILTER)))
    with pytest.raises(NotPermitted):
        ask(user, machine, "add_device", device_type="interface", values=GIVEN)


def test_what_a_running_card_has_of_its_network_is_nobodys_filter(user: User, machine: Domain) -> None:
    of_network = "<virtualport type='openvswitch'/><port isolated='yes'/>"
    give(machine, machine_xml(card()), live=machine_xml(card(of_network)))
    assert ask(user, machine, "add_device", device_type="interface", values=GIVEN).kind == "add_device"


def test_a_card_that_is_filtered_as_the_others_is_added(user: User, machine: Domain) -> None:
    assert ask(user, machine, "add_device", device_type="interface", values=GUARDED).kind == "add_device"


def test_what_else_a_filtered_card_is_can_be_changed(user: User, machine: Domain) -> None:
    values = {"link": "down", "inbound_average": 1000}
    assert ask(user, machine, "change_device", device_id=CARD_ID, values=values).kind == "change_device"


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("add_device", {"device_type": "interface", "values": GIVEN}),
        ("remove_device", {"device_id": CARD_ID}),
        ("change_device", {"device_id": CARD_ID, "values": {"mac": "52:54:00:00:00:09"}}),
    ],
)
def test_where_no_card_has_a_filter_nobody_needs_the_right(
    kind: str, parameters: dict[str, Any], user: User, machine: Domain
) -> None:
    give(machine, machine_xml(card()))
    assert ask(user, machine, kind, **parameters).kind == kind


@pytest.mark.parametrize("guards", ["<port isolated='yes'/>", FILTER])
def test_guards_are_kept_or_they_are_not(guards: str) -> None:
    before = guarded_cards(machine_xml(card(guards)))
    for cards, is_kept in (
        ((card(guards), card(guards, 2)), True),
        ((card(guards), card(number=2)), False),
        ((card(guards, 2),), False),
        ((card(),), False),
        # One address twice: libvirt takes it.
        ((card(guards), card()), False),
    ):
        assert are_guards_kept(before, guarded_cards(machine_xml(*cards))) is is_kept, cards


def test_the_form_of_a_new_card_begins_with_the_filter_of_the_others(
    client: Client, user: User, machine: Domain
) -> None:
    client.force_login(user)
    form = client.get(f"/vms/{machine.uuid}/hardware/part/", {"show": "add:interface"}).content.decode()
    assert 'value="clean-traffic"' in form
    assert "IP 10.0.0.7" in form


def test_who_may_not_take_a_card_away_is_told_before_they_try(client: Client, user: User, machine: Domain) -> None:
    client.force_login(user)
    url = f"/vms/{machine.uuid}/hardware/remove/"
    page = client.get(url, {"show": CARD_ID}).content.decode()
    assert "A network filter is assigned to this card" in page
    assert "btn-danger" not in page
    answer = client.post(url, {"show": CARD_ID}).content.decode()
    assert "Your role does not allow this" in answer
    assert not Operation.objects.exists()
