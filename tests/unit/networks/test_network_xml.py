"""Networks' XML: built from a spec and read back, edited in place, and what libvirt takes while they run."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hypervisors.libvirtxml.network_builder import build_network, edit_network, with_identity
from hypervisors.libvirtxml.network_changes import live_updates, pending_parts
from hypervisors.libvirtxml.network_filters import parse_network_filter
from hypervisors.libvirtxml.network_host_files import check_lines
from hypervisors.libvirtxml.network_kinds import MACVTAP_MODES, NETWORK_KINDS
from hypervisors.libvirtxml.network_plugs import cards_led_to
from hypervisors.libvirtxml.network_reader import definition_digest, read_network_spec
from hypervisors.libvirtxml.network_references import cards_on
from hypervisors.libvirtxml.network_spec_checks import spec_problems
from hypervisors.libvirtxml.network_specs import (
    AddressRange,
    Bandwidth,
    DnsHost,
    NetworkAddress,
    NetworkSpec,
    PortGroup,
    StaticHost,
)
from hypervisors.libvirtxml.storage_pool_builder import read_storage_pool_spec

SCHEMA = Path("/usr/share/libvirt/schemas/network.rng")
LAN = NetworkAddress(
    address="10.9.0.1/24",
    ranges=(AddressRange(start="10.9.0.2", end="10.9.0.99"),),
    hosts=(StaticHost(address="10.9.0.200", mac="52:54:00:00:00:01", name="web1"),),
)
SPEC = NetworkSpec(
    kind="nat",
    name="lan",
    bridge="virbr7",
    addresses=(LAN,),
    domain="lab.example.org",
    dns_hosts=(DnsHost(address="10.9.0.5", names=("a", "b.lab")),),
    port_groups=(PortGroup(name="slow", vlan_tags=(3,), inbound=Bandwidth(average_kib=100)),),
)
# What vmportal has no fields for.
EXOTIC = """<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>lan</name>
  <uuid>3531ac79-fcf3-4879-beee-98de41ac18f7</uuid>
  <metadata><x:note xmlns:x='urn:x'>keep me</x:note></metadata>
  <forward mode='nat'><nat><address start='10.1.0.1' end='10.1.0.2'/><port start='500' end='1000'/></nat></forward>
  <bridge name='virbr7' stp='on' delay='0' macTableManager='libvirt'/>
  <dns enable='yes'><forwarder domain='x.org' addr='10.9.0.9'/><txt name='t' value='v'/></dns>
  <ip address='10.9.0.1' netmask='255.255.255.0' localPtr='yes'>
    <tftp root='/srv/tftp'/>
    <dhcp><range start='10.9.0.2' end='10.9.0.9'><lease expiry='1' unit='hours'/></range><bootp file='pxe'/></dhcp>
  </ip>
  <portgroup name='slow'><virtualport><parameters profileid='p'/></virtualport></portgroup>
  <dnsmasq:options><dnsmasq:option value='foo=bar'/></dnsmasq:options>
</network>"""

_device = st.from_regex(r"[a-z][a-z0-9.]{0,13}", fullmatch=True)
_name = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=40).filter(
    lambda text: "/" not in text and text not in (".", "..") and text.isprintable()
)
_label = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
_mac = st.integers(0, 2**40 - 1).map(lambda number: ":".join(f"52{number:010x}"[i : i + 2] for i in range(0, 12, 2)))
_tags = st.lists(st.integers(1, 4094), max_size=4, unique=True).map(tuple)
_bandwidth = st.one_of(
    st.just(Bandwidth()),
    st.integers(1, 10**6).map(lambda average: Bandwidth(average_kib=average, peak_kib=average + 1, burst_kib=64)),
)


@st.composite
def _address(draw: Any, version: int) -> NetworkAddress:
    number = draw(st.integers(1, 200))
    if version == 4:
        network: IPv4Network | IPv6Network = IPv4Network(f"10.{number}.0.0/{draw(st.integers(16, 28))}")
    else:
        network = IPv6Network(f"fd00:{number}::/64")
    base = network.network_address
    ranges = (
        (AddressRange(start=str(base + 2), end=str(base + draw(st.integers(2, 9)))),) if draw(st.booleans()) else ()
    )
    host = {"mac": draw(_mac)} if version == 4 else {"name": draw(_label)}
    hosts = (StaticHost(address=str(base + 11), **host),) if draw(st.booleans()) else ()
    return NetworkAddress(address=f"{base + 1}/{network.prefixlen}", ranges=ranges, hosts=hosts)


@st.composite
def specs(draw: Any) -> NetworkSpec:
    """Every kind, with whatever of its fields."""
    kind = NETWORK_KINDS[draw(st.sampled_from(sorted(NETWORK_KINDS)))]
    drawn: dict[str, Any] = {
        "bridge": draw(_device),
        "devices": tuple(draw(st.lists(_device, min_size=1, max_size=3, unique=True))),
        "macvtap_mode": draw(st.sampled_from(MACVTAP_MODES)),
        "vlan_tags": draw(_tags),
        "addresses": (draw(_address(4)), draw(_address(6))),
        "nats_ipv6": draw(st.booleans()),
        "domain": draw(_label),
        "dns_forwarders": tuple(draw(st.lists(st.sampled_from(["9.9.9.9", "2620:fe::fe"]), unique=True))),
        "mtu": draw(st.one_of(st.none(), st.integers(68, 9000))),
        "isolates_ports": draw(st.booleans()),
    }
    values = {name: value for name, value in drawn.items() if name in kind.fields}
    if not kind.takes_several_devices and "devices" in values:
        values["devices"] = values["devices"][:1]
    if kind.owns_bridge:
        values |= {"is_domain_local": draw(st.booleans()), "inbound": draw(_bandwidth), "outbound": draw(_bandwidth)}
        values["dns_hosts"] = (DnsHost(address="10.0.0.1", names=(draw(_label),)),)
    names = draw(st.lists(_label, max_size=3, unique=True))
    groups = tuple(PortGroup(name=name, vlan_tags=draw(_tags), inbound=draw(_bandwidth)) for name in names)
    return NetworkSpec(kind=kind.name, name=draw(_name), port_groups=groups, **values)


@given(spec=specs())
def test_what_is_built_reads_back_and_survives_rows(spec: NetworkSpec) -> None:
    assert spec_problems(spec) == {}
    assert read_network_spec(build_network(spec)) == spec
    assert NetworkSpec.from_json(spec.to_json()) == spec


@pytest.mark.skipif(not SCHEMA.exists(), reason="libvirt's schemas are not installed")
@given(spec=specs())
def test_what_is_built_is_what_libvirts_schema_says(spec: NetworkSpec) -> None:
    schema = etree.RelaxNG(etree.parse(SCHEMA))
    schema.assertValid(etree.fromstring(build_network(spec)))


@given(one=specs(), other=specs())
def test_an_edit_makes_one_of_the_other(one: NetworkSpec, other: NetworkSpec) -> None:
    if one.kind == other.kind:
        wanted = replace(other, name=one.name)
        assert read_network_spec(edit_network(build_network(one), wanted)) == wanted


def test_an_edit_keeps_what_it_does_not_know() -> None:
    spec = read_network_spec(EXOTIC)
    changed = replace(
        spec,
        mtu=1400,
        dns_hosts=(DnsHost(address="10.9.0.7", names=("n",)),),
        addresses=(replace(spec.addresses[0], hosts=LAN.hosts),),
        port_groups=(replace(spec.port_groups[0], inbound=Bandwidth(average_kib=9)),),
    )
    xml = edit_network(EXOTIC, changed)
    for kept in (
        *("keep me", "macTableManager", "localPtr", "<tftp", "<lease", "<bootp", "profileid", "foo=bar"),
        *("<txt", 'domain="x.org"', '<address start="10.1.0.1"', '<port start="500"'),
    ):
        assert kept in xml
    assert read_network_spec(xml) == changed
    # Nothing asked for is nothing changed.
    assert definition_digest(edit_network(EXOTIC, spec)) == definition_digest(EXOTIC)


def test_name_uuid_and_kind_stay() -> None:
    for other in (replace(SPEC, name="x"), replace(SPEC, kind="route"), replace(SPEC, uuid="x")):
        with pytest.raises(ValueError, match="stay as they are"):
            edit_network(build_network(SPEC), other)


def test_a_copy_has_a_mac_address_of_its_own() -> None:
    xml = with_identity("<network><name>a</name><mac address='52:54:00:00:00:01'/></network>", name="b", uuid="u")
    assert "<mac" not in xml
    assert (read_network_spec(xml).name, read_network_spec(xml).uuid) == ("b", "u")


@pytest.mark.parametrize(
    ("xml", "kind"),
    [
        ("<network/>", "isolated"),
        ("<network><forward/></network>", "nat"),
        ("<network><forward mode='bridge'/><bridge name='br0'/></network>", "bridge"),
        ("<network><forward mode='bridge'><interface dev='eth0'/></forward></network>", "macvtap"),
        ("<network><forward mode='vepa' dev='eth0'/></network>", "macvtap"),
        (
            "<network><forward mode='bridge'/><bridge name='b'/><virtualport type='openvswitch'/></network>",
            "ovs",
        ),
        ("<network><forward mode='vdpa'/></network>", "vdpa"),
    ],
)
def test_kinds_are_told_from_what_libvirt_writes(xml: str, kind: str) -> None:
    assert read_network_spec(xml).kind == kind


@pytest.mark.parametrize("xml", ["", "<network", "<pool/>", "<!DOCTYPE x [<!ENTITY e 'x'>]><domain/>"])
def test_what_is_no_network_is_refused(xml: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|begins with <network>|no document type"):
        read_network_spec(xml)


def changed_calls(**values: Any) -> list[tuple[str, str, int]]:
    before, after = build_network(SPEC), edit_network(build_network(SPEC), replace(SPEC, **values))
    return [(call.command, call.section, call.parent_index) for call in live_updates(before, after)]


def test_libvirt_is_told_what_it_can_change_and_what_goes_is_told_first() -> None:
    moved = replace(LAN, hosts=(replace(LAN.hosts[0], address="10.9.0.201"),))
    assert changed_calls(addresses=(moved,)) == [("modify", "dhcp_host", 0)]
    other = replace(LAN, ranges=(AddressRange(start="10.9.0.2", end="10.9.0.50"),))
    assert changed_calls(addresses=(other,)) == [("delete", "dhcp_range", 0), ("add", "dhcp_range", 0)]
    names = (DnsHost(address="10.9.0.5", names=("a",)),)
    assert changed_calls(dns_hosts=names) == [("delete", "dns_host", -1), ("add", "dns_host", -1)]
    groups = (replace(SPEC.port_groups[0], is_default=True), PortGroup(name="new"))
    assert changed_calls(port_groups=groups) == [("modify", "port_group", -1), ("add", "port_group", -1)]
    macvtap = NetworkSpec(kind="macvtap", name="m", devices=("eth0", "eth1"), macvtap_mode="bridge")
    calls = live_updates(build_network(macvtap), build_network(replace(macvtap, devices=("eth1", "eth2"))))
    assert [(call.command, call.xml) for call in calls] == [
        ("delete", '<interface dev="eth0"/>'),
        ("add", '<interface dev="eth2"/>'),
    ]


def test_what_libvirt_cannot_change_while_it_runs_is_named_as_waiting() -> None:
    assert changed_calls(mtu=1400) == []
    changed = edit_network(build_network(SPEC), replace(SPEC, mtu=1400, addresses=()))
    assert set(pending_parts(build_network(SPEC), changed)) == {"mtu", "addresses"}
    # Of other addresses nothing is told: the network that runs has none of them.
    assert changed_calls(addresses=(NetworkAddress(address="10.7.0.1/24", ranges=()),)) == []


def test_what_libvirt_adds_to_one_that_runs_does_not_wait() -> None:
    running = """<network connections='2'><name>lan</name><uuid>u</uuid>
      <forward dev='eth0' mode='nat'><nat><port start='1024' end='65535'/></nat>
        <interface dev='eth0' connections='1'/></forward></network>"""
    defined = """<network><name>lan</name><uuid>u</uuid>
      <forward mode='nat'><interface dev='eth0'/></forward></network>"""
    assert pending_parts(running, defined) == ()
    plain = "<network>\n  <forward mode='nat'>\n<nat>\n<port start='1024' end='65535'/>\n</nat>\n</forward></network>"
    assert pending_parts(plain, "<network><forward mode='nat'/></network>") == ()
    assert pending_parts(running, defined.replace("</uuid>", "</uuid><bridge stp='off'/>")) == ("other",)


def test_a_domains_cards_are_found_by_their_network_whatever_type_libvirt_shows() -> None:
    xml = """<domain><devices>
      <interface type='bridge'><mac address='52:54:00:AA:00:01'/><source network='lan' portgroup='g' bridge='br0'/>
        <target dev='vnet0'/><model type='virtio'/><link state='down'/></interface>
      <interface type='network'><source network='lan2'/></interface></devices></domain>"""
    (card,) = cards_on(xml, "lan")
    assert (card.mac, card.target, card.port_group, card.link_up) == ("52:54:00:aa:00:01", "vnet0", "g", False)
    assert cards_on("", "lan") == cards_on("<domain", "lan") == cards_on("<domain/>", "lan") == ()


def test_a_card_is_led_away_and_back_with_all_that_it_has() -> None:
    xml = """<domain><devices><interface type='network'><mac address='52:54:00:00:00:01'/>
      <source network='lan' portid='p' portgroup='g' bridge='virbr0'/><target dev='vnet0'/><mtu size='9'/></interface>
      <interface type='direct'><source network='lan' dev='eth0'/><target dev='macvtap0'/></interface>
      <interface type='network'><source network='lan'/></interface></devices></domain>"""
    ((away, back),) = cards_led_to(xml, "lan", "passing")
    assert '<source network="passing"/>' in away
    assert '<source network="lan" portgroup="g"/>' in back
    assert away.count("mtu") == back.count("mtu") == 1


@pytest.mark.parametrize(
    "inside",
    [
        "<dns><txt name='a' value='b&#10;dhcp-script=/bin/sh'/></dns>",
        "<domain name='lab&#xA;dhcp-script=/bin/sh'/>",
        "<dns><srv service='x' protocol='tcp' domain='a&#13;conf-file=/etc/x'/></dns>",
        "<dns><host ip='192.0.2.1'><hostname>a\nb</hostname></host></dns>",
    ],
)
def test_no_value_begins_another_line_of_dnsmasqs_configuration(inside: str) -> None:
    with pytest.raises(ValueError, match="is one line"):
        check_lines(f"<network><name>n</name>{inside}</network>")


def test_what_nobody_reads_may_have_lines() -> None:
    check_lines("<network><name> n </name>\n<metadata><x:a xmlns:x='urn:x' b='1&#10;2'>a\nb</x:a></metadata></network>")
    check_lines(EXOTIC)


@pytest.mark.parametrize("read", [read_network_spec, definition_digest, parse_network_filter, read_storage_pool_spec])
def test_xml_with_a_document_type_is_refused_before_libvirt_reads_another_thing_in_it(
    read: Callable[[str], object],
) -> None:
    root = {parse_network_filter: "filter", read_storage_pool_spec: "pool"}.get(read, "network")
    with pytest.raises(ValueError, match="no document type"):
        read(f"<!DOCTYPE {root} [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><{root} name='a'><name>n&e;</name></{root}>")
