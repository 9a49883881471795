"""Machines and networks by addresses: any spelling, any beginning, nobody else's."""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.inventory.addresses import save_guest_addresses, save_leased_addresses
from hypervisors.models import Domain, DomainAddress, GuestFacts, Hypervisor, LeasedAddress, Network
from hypervisors.models.address_keys import KeyRange, ip_key, ip_ranges, mac_key, mac_ranges
from tests.roles import bind
from tests.rows import define
from tests.unit.test_search import proposed

pytestmark = pytest.mark.usefixtures("redis_client")
MAC, OTHER_MAC = "52:54:00:ab:cd:ef", "52:54:00:ab:cd:01"


def means(ranges: Iterable[KeyRange], key: str) -> bool:
    return any(first <= key <= last for first, last in ranges)


@pytest.mark.parametrize(
    "typed",
    [
        *("52:54:00:ab:cd:ef", "52-54-00-AB-CD-EF", "5254.00ab.cdef", "525400abcdef", "52:54:0:AB:CD:EF"),
        *("52:54:00", "52:54:00:", "52:54:00:a", "525400ab", "5254.00", "52-54-00-ab"),
    ],
)
def test_a_mac_is_meant_in_any_spelling_and_by_its_beginning(typed: str) -> None:
    assert means(mac_ranges(typed), mac_key(MAC))


@pytest.mark.parametrize("typed", ["52:54:00:ab:cd:e0", "52:54:01", "ab:cd:ef", "525400abcdee", "5254.01", "web", ""])
def test_another_mac_is_not(typed: str) -> None:
    assert not means(mac_ranges(typed), mac_key(MAC))


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        *(("10.0.0.", "10.0.0.7"), ("10.0.0", "10.0.0.255"), ("10.", "10.255.0.1"), ("10.1", "10.100.0.1")),
        *(("10.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.12"), ("10.0.0.1", "10.0.0.199")),
        *(("10.0.0.0/24", "10.0.0.99"), ("10.0.0.0", "10.0.0.0"), ("::ffff:10.0.0.7", "10.0.0.7")),
        *(("fd00:0:0::7", "fd00::7"), ("FD00::0007", "fd00::7"), ("[fd00::7]", "fd00::7"), ("fd00::7%eth0", "fd00::7")),
        *(("fd00:0:0:0:0:0:0:7", "fd00::7"), ("fd00:0000:0000:0000:0000:0000:0000:0007", "fd00::7")),
        *(("fd00::", "fd00:1::7"), ("fd00:1:", "fd00:1::7"), ("fd00:1", "fd00:12::7"), ("fd00::7", "fd00::7ab")),
        *(("fd00:0:0:0:0:0:0.0.0.7", "fd00::7"), ("fd00::/16", "fd00:1::7"), (" 10.0.0.7 ", "10.0.0.7")),
    ],
)
def test_an_address_is_meant_in_any_spelling_and_by_its_beginning(typed: str, address: str) -> None:
    assert means(ip_ranges(typed), ip_key(address))


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        *(("10.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.21"), ("10.0", "10.1.0.0"), ("10.0.0.0/24", "10.0.1.0")),
        *(("10.0.0.0", "10.0.0.1"), ("1.0.0.1", "10.0.0.1"), ("fd00::7", "fd00::8"), ("fd00:1::", "fd00:2::1")),
        *(("::", "fd00::1"), ("fd00:1", "fd00:21::"), ("10.0.0.0/24", "fd00::1")),
    ],
)
def test_another_address_is_not(typed: str, address: str) -> None:
    assert not means(ip_ranges(typed), ip_key(address))


@pytest.mark.parametrize(
    "typed",
    ["web1", "10", "256.1", "01.2.3", "22.04", "a.b", "10..1", "fd00:::1", "12345:", "1.2.3.4.5", "x" * 300, ":"],
)
def test_other_texts_are_no_addresses(typed: str) -> None:
    assert ip_ranges(typed) == []


@given(st.text(alphabet="0123456789abcdefABCDEF:.-/[]%x ", max_size=70))
def test_whatever_is_typed_gives_keys_of_full_length_in_order(typed: str) -> None:
    for first, last in [*mac_ranges(typed), *ip_ranges(typed)]:
        assert first <= last
        assert len(first) == len(last) == {"m": 13, "4": 9, "6": 33}[first[0]]
        assert first[0] == last[0]


@given(st.integers(0, 2**128 - 1))
def test_every_spelling_of_an_ipv6_address_is_one_key(number: int) -> None:
    address = IPv6Address(number)
    assert ip_key(address.compressed) == ip_key(address.exploded.upper())
    for end in (5, 10, 20, 30):
        # A beginning that ends within or behind a group, as somebody types it.
        assert means(ip_ranges(address.exploded[:end]), ip_key(str(address))) or address.ipv4_mapped


@given(st.integers(0, 2**32 - 1), st.integers(4, 15))
def test_every_beginning_of_an_ipv4_address_means_it(number: int, length: int) -> None:
    address = str(IPv4Address(number))
    assert means(ip_ranges(address[:length]), ip_key(address))


# --- rows


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """Two cards: one of what runs, one that waits for the next start; its guest has said what it has."""
    made = make_domain(name="web1")
    xml = (
        "<domain><name>web1</name><devices><interface type='network'><mac address='{}'/></interface></devices></domain>"
    )
    define(made, live_xml=xml.format(MAC), inactive_xml=xml.format(OTHER_MAC))
    told = {MAC: ["10.0.0.7", "fd00::7"], "02:42:00:00:00:01": ["172.17.0.1"]}
    GuestFacts.objects.create(domain=made, facts={"addresses": told}, read_at="2026-01-01T00:00Z")
    save_guest_addresses(made.pk, told)
    return made


def lease(hypervisor: Hypervisor | None, mac: str, address: str) -> Network:
    values = {"active": True, "autostart": True, "forward_mode": "nat", "bridge": "virbr7"}
    network = Network.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="lan", leases={mac: [address]}, addresses="10.9.0.1/24", **values
    )
    save_leased_addresses(network)
    return network


@pytest.mark.parametrize(
    "typed", ["10.0.0.7", "10.0.0.", "FD00:0::7", "5254.00ab.cdef", "52-54-00-AB-CD-01", "52:54:00:ab:cd:"]
)
def test_a_machine_is_found_in_the_search_and_in_the_list(operator: Client, machine: Domain, typed: str) -> None:
    assert proposed(operator, typed) == ["web1"]
    assert f'data-uuid="{machine.uuid}"' in operator.get("/vms/", {"q": typed}).content.decode()


def test_the_proposal_says_by_which_address(operator: Client, machine: Domain) -> None:
    page = operator.get("/search/", {"q": "10.0.0."}).content.decode()
    assert '<span class="vp-found-title"><bdi>10.0.0.7</bdi></span>' in page
    assert "fd00::7" not in page


def test_addresses_of_what_runs_inside_the_guest_are_nobodys(operator: Client, machine: Domain) -> None:
    assert proposed(operator, "172.17.0.1") == proposed(operator, "02:42:00:00:00:01") == []


def test_a_lease_finds_the_machine_on_its_own_host_alone(
    operator: Client, machine: Domain, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    lease(make_hypervisor(name="elsewhere"), MAC, "10.8.0.3")
    assert proposed(operator, "10.8.0.3") == []
    network = lease(machine.hypervisor, MAC, "10.9.0.3")
    assert proposed(operator, "10.9.0.3") == ["web1"]
    network.leases = {}
    save_leased_addresses(network)
    assert proposed(operator, "10.9.0.3") == []


def test_what_is_gone_is_found_no_more(operator: Client, machine: Domain) -> None:
    save_guest_addresses(machine.pk, {MAC: ["10.0.0.8"]})
    define(machine, live_xml="", inactive_xml="<domain><name>web1</name></domain>")
    assert proposed(operator, "10.0.0.7") == proposed(operator, MAC) == []
    assert proposed(operator, "10.0.0.8") == ["web1"]
    assert DomainAddress.objects.count() == 1


def test_networks_are_found_by_name_bridge_and_address(operator: Client, hypervisor: Hypervisor) -> None:
    lease(hypervisor, MAC, "10.9.0.3")
    assert proposed(operator, "lan") == proposed(operator, "virbr") == proposed(operator, "10.9.0.1") == ["lan"]
    Network.objects.update(vanished_at="2026-01-01T00:00Z")
    assert proposed(operator, "lan") == []


def test_nobody_finds_by_an_address_what_they_may_not_see(
    client: Client, bob: User, charlie: User, machine: Domain, make_domain: Callable[..., Domain]
) -> None:
    lease(machine.hypervisor, MAC, "10.9.0.3")
    client.force_login(charlie)
    for typed in ("10.0.0.7", "10.9.0.3", MAC, "lan", "virbr7"):
        assert proposed(client, typed) == [], typed
    bind(charlie, "viewer", machine)
    for typed in ("10.0.0.7", "10.9.0.3", MAC):
        assert proposed(client, typed) == ["web1"], typed
    # Networks are not theirs to see.
    assert proposed(client, "lan") == proposed(client, "virbr7") == []


def test_a_network_that_goes_takes_its_leases_along(machine: Domain) -> None:
    network = lease(machine.hypervisor, MAC, "10.9.0.3")
    assert LeasedAddress.objects.count() == 1
    network.vanished_at = network.first_seen_at
    save_leased_addresses(network)
    assert not LeasedAddress.objects.exists()
