"""The rows that a search finds addresses by follow what the watcher reads."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.gateway.networks.networks import NetworkFacts
from hypervisors.inventory.domains.guests import GuestMirror
from hypervisors.inventory.domains.mirror import DomainMirror
from hypervisors.inventory.networks.mirror import NetworkMirror
from hypervisors.inventory.observations import DomainsListed, GuestRead, NetworksListed
from hypervisors.models import Domain, DomainAddress, Hypervisor, LeasedAddress
from hypervisors.models.address_keys import ip_key, mac_key
from hypervisors.states import DomainState
from tests.rows import define

MAC, OTHER_MAC = "52:54:00:ab:cd:ef", "52:54:00:ab:cd:01"
XML = "<domain><name>web1</name><devices><interface type='network'><mac address='{}'/></interface></devices></domain>"


def keys(source: str) -> set[str]:
    return set(DomainAddress.objects.filter(source=source).values_list("key", flat=True))


def test_cards_follow_what_runs_and_what_waits(hypervisor: Hypervisor) -> None:
    mirror = DomainMirror()
    mirror.load([hypervisor.pk])
    mirror.set_online(hypervisor.pk, online=True)
    facts = DomainFacts(
        uuid=uuid4(),
        name="web1",
        state=DomainState.RUNNING,
        state_reason="",
        persistent=True,
        autostart=False,
        has_managed_save=False,
        live_xml=XML.format(MAC),
        inactive_xml=XML.format(OTHER_MAC),
    )
    for seen, macs in ((facts, {MAC, OTHER_MAC}), (replace(facts, live_xml=""), {OTHER_MAC})):
        listed = DomainsListed(hypervisor_id=hypervisor.pk, domains=(seen,), started_at=time.monotonic())
        mirror.take_listing(listed)
        mirror.save({hypervisor.pk: "host1"})
        mirror.note_saved()
        assert keys("card") == {mac_key(mac) for mac in macs}


def test_what_a_guest_says_of_its_cards_is_kept_until_it_says_otherwise(make_domain: Callable[..., Domain]) -> None:
    machine = make_domain(name="web1")
    define(machine, live_xml=XML.format(MAC))
    mirror = GuestMirror()
    for told, wanted in (
        ({MAC: ("10.0.0.7", "fd00::7"), OTHER_MAC: ("10.0.0.8",)}, {"10.0.0.7", "fd00::7"}),
        (None, {"10.0.0.7", "fd00::7"}),
        ({MAC: ("10.0.0.9", "no address")}, {"10.0.0.9"}),
    ):
        mirror.take_reading(guest_read(machine.hypervisor_id, machine.uuid, told))
        mirror.save()
        mirror.note_saved()
        assert keys("guest") == {ip_key(address) for address in wanted}


def guest_read(hypervisor_id: int | None, uuid: UUID, told: dict[str, tuple[str, ...]] | None) -> GuestRead:
    assert hypervisor_id is not None
    facts: dict[str, Any] | None = None if told is None else {"addresses": told}
    problem = "" if facts else "no answer"
    values: dict[str, Any] = {"facts": facts, "has_answered": facts is not None, "problem": problem}
    return GuestRead(hypervisor_id=hypervisor_id, uuid=uuid, read_at=time.time(), **values)


def test_leases_follow_the_listing_of_networks(hypervisor: Hypervisor) -> None:
    network = NetworkFacts(
        uuid=uuid4(), name="lan", active=True, autostart=True, forward_mode="nat", bridge="virbr7", addresses=()
    )
    mirror = NetworkMirror()
    for networks, wanted in (
        ((replace(network, leases={MAC: ["10.0.0.7", "10.0.0.8"]}),), {"10.0.0.7", "10.0.0.8"}),
        ((replace(network, leases={MAC: ["10.0.0.8"]}),), {"10.0.0.8"}),
        ((), set()),
    ):
        mirror.take_listing(NetworksListed(hypervisor_id=hypervisor.pk, networks=networks))
        mirror.save()
        mirror.note_saved()
        assert set(LeasedAddress.objects.values_list("mac_key", "key")) == {(mac_key(MAC), ip_key(ip)) for ip in wanted}
