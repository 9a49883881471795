"""A network's XML read into a spec, and what identifies its definition, https://libvirt.org/formatnetwork.html."""

from ipaddress import ip_interface

from lxml import etree

from hypervisors.libvirtxml.definitions import digest_of, root_of
from hypervisors.libvirtxml.documents import attribute_at, child_at, number, text_at
from hypervisors.libvirtxml.network_kinds import MACVTAP_MODES
from hypervisors.libvirtxml.network_specs import (
    AddressRange,
    Bandwidth,
    DnsHost,
    NetworkAddress,
    NetworkSpec,
    PortGroup,
    StaticHost,
)


def read_network_spec(xml: str) -> NetworkSpec:
    """What a spec knows of it. Raises: ValueError when it is not a network's."""
    return spec_of(network_root(xml))


def spec_of(root: etree._Element) -> NetworkSpec:
    dns = child_at(root, "dns")
    return NetworkSpec(
        kind=kind_of(root),
        name=text_at(root, "name"),
        uuid=text_at(root, "uuid"),
        bridge=attribute_at(root, "bridge", "name"),
        devices=devices_of(root),
        macvtap_mode=attribute_at(root, "forward", "mode") if kind_of(root) == "macvtap" else "",
        addresses=tuple(address_of(ip) for ip in root.iterchildren("ip")),
        nats_ipv6=attribute_at(root, "forward/nat", "ipv6") == "yes",
        domain=attribute_at(root, "domain", "name"),
        is_domain_local=attribute_at(root, "domain", "localOnly") == "yes",
        dns_forwarders=() if dns is None else tuple(filter(None, map(_forwarder, dns.iterchildren("forwarder")))),
        dns_hosts=() if dns is None else tuple(map(dns_host_of, dns.iterchildren("host"))),
        port_groups=tuple(map(port_group_of, root.iterchildren("portgroup"))),
        vlan_tags=_vlan_tags(root),
        mtu=number(attribute_at(root, "mtu", "size")),
        inbound=_bandwidth(root, "inbound"),
        outbound=_bandwidth(root, "outbound"),
        isolates_ports=attribute_at(root, "port", "isolated") == "yes",
    )


def kind_of(root: etree._Element) -> str:
    """A name of NETWORK_KINDS, or what libvirt calls a mode that vmportal has no fields for."""
    forward = child_at(root, "forward")
    if forward is None:
        return "isolated"
    mode = forward.get("mode", "nat")
    if mode not in MACVTAP_MODES:
        return mode
    if attribute_at(root, "virtualport", "type") == "openvswitch":
        return "ovs"
    return "bridge" if mode == "bridge" and child_at(root, "bridge") is not None else "macvtap"


def devices_of(root: etree._Element) -> tuple[str, ...]:
    """Its interfaces of the host, else its physical function, else the one that its mode names."""
    forward = child_at(root, "forward")
    if forward is None:
        return ()
    named = tuple(one.get("dev", "") for tag in ("interface", "pf") for one in forward.iterchildren(tag))
    return named or tuple(filter(None, (forward.get("dev", ""),)))


def address_of(ip: etree._Element) -> NetworkAddress:
    dhcp = child_at(ip, "dhcp")
    return NetworkAddress(
        address=_with_prefix(ip),
        ranges=() if dhcp is None else tuple(map(range_of, dhcp.iterchildren("range"))),
        hosts=() if dhcp is None else tuple(map(static_host_of, dhcp.iterchildren("host"))),
    )


def range_of(element: etree._Element) -> AddressRange:
    return AddressRange(start=element.get("start", ""), end=element.get("end", ""))


def static_host_of(element: etree._Element) -> StaticHost:
    return StaticHost(
        address=element.get("ip", ""),
        mac=element.get("mac", ""),
        name=element.get("name", ""),
        client_id=element.get("id", ""),
    )


def dns_host_of(element: etree._Element) -> DnsHost:
    names = ((one.text or "").strip() for one in element.iterchildren("hostname"))
    return DnsHost(address=element.get("ip", ""), names=tuple(filter(None, names)))


def port_group_of(element: etree._Element) -> PortGroup:
    return PortGroup(
        name=element.get("name", ""),
        is_default=element.get("default") == "yes",
        vlan_tags=_vlan_tags(element),
        inbound=_bandwidth(element, "inbound"),
        outbound=_bandwidth(element, "outbound"),
    )


def network_root(xml: str) -> etree._Element:
    """Raises: ValueError."""
    return root_of(xml, "network", "network")


def definition_digest(xml: str) -> str:
    """The same for the same definition, whatever the spaces between its elements; SHA-256. Raises: ValueError."""
    return digest_of(network_root(xml))


def _with_prefix(ip: etree._Element) -> str:
    """The address with its prefix; as it stands where it cannot be understood."""
    address, length = ip.get("address", ""), ip.get("prefix", "") or ip.get("netmask", "")
    try:
        # Without either, libvirt takes the class that the address is of.
        return ip_interface(f"{address}/{length or _class_length(address)}").with_prefixlen
    except ValueError:
        return f"{address}/{length}" if length else address


def _class_length(address: str) -> int:
    if ":" in address:
        return 64
    first = number(address.partition(".")[0]) or 0
    return 8 if first < 128 else 16 if first < 192 else 24


def _forwarder(element: etree._Element) -> str:
    """Those that are for one domain alone are not a spec's."""
    return "" if element.get("domain") else element.get("addr", "")


def _vlan_tags(parent: etree._Element) -> tuple[int, ...]:
    vlan = child_at(parent, "vlan")
    if vlan is None:
        return ()
    return tuple(tag for one in vlan.iterchildren("tag") if (tag := number(one.get("id", ""))) is not None)


def _bandwidth(parent: etree._Element, direction: str) -> Bandwidth:
    element = child_at(parent, f"bandwidth/{direction}")
    if element is None:
        return Bandwidth()
    return Bandwidth(
        average_kib=number(element.get("average", "")),
        peak_kib=number(element.get("peak", "")),
        burst_kib=number(element.get("burst", "")),
    )
