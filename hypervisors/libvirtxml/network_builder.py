"""A network's XML built from a spec, and edited in place, https://libvirt.org/formatnetwork.html.

What a spec does not know survives an edit: elements that stay keep what else is in them.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_interface
from typing import Any, TypeVar

from lxml import etree

from hypervisors.libvirtxml.definitions import DefinitionXml, indented, set_text
from hypervisors.libvirtxml.documents import child_at
from hypervisors.libvirtxml.elements import add, add_text
from hypervisors.libvirtxml.network_host_files import check_lines
from hypervisors.libvirtxml.network_reader import (
    address_of,
    definition_digest,
    dns_host_of,
    network_root,
    port_group_of,
    range_of,
    read_network_spec,
    static_host_of,
)
from hypervisors.libvirtxml.network_spec_checks import name_problem, spec_problems
from hypervisors.libvirtxml.network_specs import (
    AddressRange,
    Bandwidth,
    DnsHost,
    NetworkAddress,
    NetworkSpec,
    PortGroup,
    StaticHost,
)

T = TypeVar("T")


def build_network(spec: NetworkSpec) -> str:
    """The XML for virNetworkDefineXML. The spec has no problems (network_spec_checks.spec_problems)."""
    root = etree.Element("network")
    add_text(root, "name", spec.name)
    if spec.uuid:
        add_text(root, "uuid", spec.uuid)
    if spec.type is not None and spec.type.forward_mode:
        add(root, "forward", mode=spec.type.forward_mode)
    if spec.kind == "hostdev":
        root[-1].set("managed", "yes")
    if spec.kind == "ovs":
        add(root, "virtualport", type="openvswitch")
    _write(root, spec, before=None)
    return indented(root)


def edit_network(xml: str, spec: NetworkSpec) -> str:
    """The XML with what the spec says differently. Name, UUID and kind stay.

    Raises: ValueError when one of those differs, or it is not a network's XML.
    """
    root, before = network_root(xml), read_network_spec(xml)
    if (spec.kind, spec.name) != (before.kind, before.name) or spec.uuid not in ("", before.uuid):
        raise ValueError("A network's name, UUID and kind stay as they are.")
    _write(root, spec, before=before)
    return indented(root)


def with_identity(xml: str, *, name: str, uuid: str) -> str:
    """The same network under this name and UUID, with a MAC address of its own. Raises: ValueError."""
    root = network_root(xml)
    set_text(root, "name", name)
    set_text(root, "uuid", uuid)
    mac = child_at(root, "mac")
    if mac is not None:
        root.remove(mac)
    return indented(root)


def static_host_element(host: StaticHost) -> etree._Element:
    return add(etree.Element("dhcp"), "host", mac=host.mac, id=host.client_id, name=host.name, ip=host.address)


def range_element(one: AddressRange) -> etree._Element:
    return add(etree.Element("dhcp"), "range", start=one.start, end=one.end)


def dns_host_element(host: DnsHost) -> etree._Element:
    element = etree.Element("host", ip=host.address)
    for name in host.names:
        add_text(element, "hostname", name)
    return element


def port_group_element(group: PortGroup) -> etree._Element:
    element = etree.Element("portgroup", name=group.name)
    if group.is_default:
        element.set("default", "yes")
    _set_bandwidth(element, group.inbound, group.outbound)
    _set_vlan_tags(element, group.vlan_tags)
    return element


def _write(root: etree._Element, spec: NetworkSpec, *, before: NetworkSpec | None) -> None:
    """Where `before` is None or differs."""
    for names, write in _WRITERS:
        if before is None or any(getattr(spec, name) != getattr(before, name) for name in names):
            write(root, spec)


def _write_bridge(root: etree._Element, spec: NetworkSpec) -> None:
    _set_attribute(root, "bridge", "name", spec.bridge)


def _write_forward(root: etree._Element, spec: NetworkSpec) -> None:
    forward = child_at(root, "forward")
    if forward is None:
        return
    if spec.macvtap_mode:
        forward.set("mode", spec.macvtap_mode)
    tag = "pf" if spec.kind == "hostdev" else "interface"
    _set_list(forward, tag, spec.devices, read=lambda one: one.get("dev", ""), make=lambda dev: _new(tag, dev=dev))
    if spec.type is not None and not spec.type.takes_several_devices and tag == "interface" and spec.devices:
        forward.set("dev", spec.devices[0])
    else:
        forward.attrib.pop("dev", "")


def _write_nat(root: etree._Element, spec: NetworkSpec) -> None:
    forward = child_at(root, "forward")
    nat = child_at(forward, "nat")
    if forward is None or (nat is None and not spec.nats_ipv6):
        return
    if nat is None:
        nat = add(forward, "nat")
    if spec.nats_ipv6:
        nat.set("ipv6", "yes")
    else:
        nat.attrib.pop("ipv6", "")


def _write_addresses(root: etree._Element, spec: NetworkSpec) -> None:
    """Those whose address stays keep their elements."""
    old = {address_of(ip).address: ip for ip in root.iterchildren("ip")}
    for ip in list(root.iterchildren("ip")):
        root.remove(ip)
    for address in spec.addresses:
        known = old.get(address.address)
        ip = _new_ip(address.address) if known is None else known
        _set_dhcp(ip, address)
        root.append(ip)


def _new_ip(text: str) -> etree._Element:
    own = ip_interface(text)
    values = {"address": str(own.ip), "prefix": str(own.network.prefixlen)}
    return etree.Element("ip", ({"family": "ipv6"} if own.version == 6 else {}) | values)


def _set_dhcp(ip: etree._Element, address: NetworkAddress) -> None:
    dhcp = child_at(ip, "dhcp")
    if dhcp is None:
        if not address.ranges and not address.hosts:
            return
        dhcp = add(ip, "dhcp")
    _set_list(dhcp, "range", address.ranges, read=range_of, make=range_element)
    _set_list(dhcp, "host", address.hosts, read=static_host_of, make=static_host_element)
    if len(dhcp) == 0:
        ip.remove(dhcp)


def _write_domain(root: etree._Element, spec: NetworkSpec) -> None:
    _set_attribute(root, "domain", "name", spec.domain)
    domain = child_at(root, "domain")
    if domain is None:
        return
    if spec.is_domain_local:
        domain.set("localOnly", "yes")
    else:
        domain.attrib.pop("localOnly", "")


def _write_dns(root: etree._Element, spec: NetworkSpec) -> None:
    dns = child_at(root, "dns")
    if dns is None:
        if not spec.dns_forwarders and not spec.dns_hosts:
            return
        dns = add(root, "dns")
    _set_list(
        dns, "forwarder", spec.dns_forwarders, read=_plain_forwarder, make=lambda one: _new("forwarder", addr=one)
    )
    _set_list(dns, "host", spec.dns_hosts, read=dns_host_of, make=dns_host_element)
    if len(dns) == 0 and not dns.attrib:
        root.remove(dns)


def _plain_forwarder(element: etree._Element) -> str | None:
    """None for one that is for a domain of its own: it stays."""
    return None if element.get("domain") else element.get("addr")


def _write_port_groups(root: etree._Element, spec: NetworkSpec) -> None:
    _set_list(root, "portgroup", spec.port_groups, read=port_group_of, make=port_group_element)


def _write_vlan(root: etree._Element, spec: NetworkSpec) -> None:
    _set_vlan_tags(root, spec.vlan_tags)


def _write_mtu(root: etree._Element, spec: NetworkSpec) -> None:
    _set_attribute(root, "mtu", "size", "" if spec.mtu is None else str(spec.mtu))


def _write_bandwidth(root: etree._Element, spec: NetworkSpec) -> None:
    _set_bandwidth(root, spec.inbound, spec.outbound)


def _write_port(root: etree._Element, spec: NetworkSpec) -> None:
    _set_attribute(root, "port", "isolated", "yes" if spec.isolates_ports else "")


_WRITERS: tuple[tuple[tuple[str, ...], Callable[[etree._Element, NetworkSpec], None]], ...] = (
    (("devices", "macvtap_mode"), _write_forward),
    (("nats_ipv6",), _write_nat),
    (("bridge",), _write_bridge),
    (("mtu",), _write_mtu),
    (("domain", "is_domain_local"), _write_domain),
    (("dns_forwarders", "dns_hosts"), _write_dns),
    (("vlan_tags",), _write_vlan),
    (("inbound", "outbound"), _write_bandwidth),
    (("isolates_ports",), _write_port),
    (("addresses",), _write_addresses),
    (("port_groups",), _write_port_groups),
)


def _set_list(
    parent: etree._Element,
    tag: str,
    wanted: Sequence[T],
    *,
    read: Callable[[etree._Element], T | None],
    make: Callable[[T], etree._Element],
) -> None:
    """The children of this tag are those wanted, in order; what says the same stays, what reads as None too."""
    old: list[tuple[T, etree._Element]] = []
    for element in list(parent.iterchildren(tag)):
        value = read(element)
        if value is not None:
            old.append((value, element))
            parent.remove(element)
    for value in wanted:
        found = next((element for known, element in old if known == value), None)
        if found is None:
            found = _edited(tag, value, old) if tag == "portgroup" else None
        parent.append(make(value) if found is None else found)


def _edited(tag: str, group: Any, old: Sequence[tuple[Any, etree._Element]]) -> etree._Element | None:
    """The port group of that name with what is new of it: a virtual port's profile in it stays."""
    found = next((element for known, element in old if known.name == group.name), None)
    if found is None:
        return None
    if group.is_default:
        found.set("default", "yes")
    else:
        found.attrib.pop("default", "")
    _set_bandwidth(found, group.inbound, group.outbound)
    _set_vlan_tags(found, group.vlan_tags)
    return found


def _set_bandwidth(parent: etree._Element, inbound: Bandwidth, outbound: Bandwidth) -> None:
    element = child_at(parent, "bandwidth")
    if element is None:
        if (inbound, outbound) == (Bandwidth(), Bandwidth()):
            return
        element = add(parent, "bandwidth")
    for tag, value in (("inbound", inbound), ("outbound", outbound)):
        child = child_at(element, tag)
        if value == Bandwidth():
            if child is not None:
                element.remove(child)
            continue
        child = add(element, tag) if child is None else child
        for name, amount in (("average", value.average_kib), ("peak", value.peak_kib), ("burst", value.burst_kib)):
            if amount is None:
                child.attrib.pop(name, "")
            else:
                child.set(name, str(amount))
    if len(element) == 0:
        parent.remove(element)


def _set_vlan_tags(parent: etree._Element, tags: Sequence[int]) -> None:
    vlan = child_at(parent, "vlan")
    if vlan is None:
        if not tags:
            return
        vlan = add(parent, "vlan")
    _set_list(
        vlan,
        "tag",
        [str(tag) for tag in tags],
        read=lambda one: one.get("id", ""),
        make=lambda one: _new("tag", id=one),
    )
    if len(tags) > 1:
        vlan.set("trunk", "yes")
    else:
        vlan.attrib.pop("trunk", "")
    if len(vlan) == 0:
        parent.remove(vlan)


def _set_attribute(root: etree._Element, tag: str, attribute: str, value: str) -> None:
    element = child_at(root, tag)
    if value:
        (add(root, tag) if element is None else element).set(attribute, value)
    elif element is not None:
        element.attrib.pop(attribute, "")
        if not element.attrib and len(element) == 0:
            root.remove(element)


def _new(tag: str, **attributes: str) -> etree._Element:
    return etree.Element(tag, attributes)


NETWORK_XML = DefinitionXml(
    root="network",
    read=read_network_spec,
    build=build_network,
    edit=edit_network,
    with_identity=with_identity,
    digest=definition_digest,
    from_json=NetworkSpec.from_json,
    problems=spec_problems,
    name_problem=name_problem,
    check_typed=check_lines,
)
