"""What is wrong with a network that is to be, field by field, for people."""

import re
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from hypervisors.libvirtxml.network_kinds import MACVTAP_MODES
from hypervisors.libvirtxml.network_specs import (
    Bandwidth,
    DnsHost,
    NetworkAddress,
    NetworkSpec,
    PortGroup,
    StaticHost,
)

_MOST_NAME_BYTES, _MOST_ENTRIES = 200, 4096
# IFNAMSIZ, with its end.
_MOST_DEVICE_CHARACTERS = 15
_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]*", re.ASCII)
_HOST_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*", re.ASCII
)
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", re.ASCII)
# A DHCP unique identifier, https://www.rfc-editor.org/rfc/rfc8415#section-11.
_CLIENT_ID = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){0,127}", re.ASCII)
_GROUP_NAME = re.compile(r"[A-Za-z0-9_.-]([A-Za-z0-9_. -]*[A-Za-z0-9_.-])?", re.ASCII)
_MOST_KIB = 2**31 // 1024 * 1000


def spec_problems(spec: NetworkSpec) -> dict[str, str]:
    """What is wrong, for people, by field; empty when it can be asked of libvirt."""
    found = {"name": name_problem(spec.name)}
    if spec.type is None:
        found["kind"] = f"There is no kind of network called “{spec.kind}”."
        return _said(found)
    for name in spec.type.fields:
        found[name] = _missing(spec, name) or _CHECKS[name](spec)
    found["dns_hosts"] = _first(dns_host_problem(host) for host in spec.dns_hosts)
    found["port_groups"] = _port_groups_problem(spec.port_groups)
    return _said(found)


def name_problem(name: str) -> str:
    if not name:
        return "A network needs a name."
    if "/" in name or name in (".", ".."):
        # libvirt keeps its definition in a file of that name.
        return "A network's name has no “/”, and is not “.” or “..”."
    if not name.isprintable() or name != name.strip():
        return "A network's name is one line of printable characters, without a space at its ends."
    if len(name.encode(errors="surrogatepass")) > _MOST_NAME_BYTES:
        return f"A network's name has at most {_MOST_NAME_BYTES} bytes."
    return ""


def device_problem(name: str) -> str:
    """Of an interface's or a bridge's name."""
    if not name or (_DEVICE.fullmatch(name) and len(name) <= _MOST_DEVICE_CHARACTERS):
        return ""
    return f"“{name[:40]}” is no name of an interface: at most 15 letters, digits and . _ - : @."


def static_host_problem(host: StaticHost, network: NetworkAddress) -> str:
    """Of an address that is kept for one card in this network."""
    try:
        own, kept = ip_interface(network.address), ip_address(host.address)
    except ValueError:
        return f"“{host.address[:60]}” is no address, such as 192.0.2.10."
    if kept not in own.network:
        return f"{kept} is not in the network {own.network}."
    if kept == own.ip:
        return f"{kept} is the host's own address in this network."
    if _is_end(kept, network):
        return f"{kept} is the address of the network itself, or of all in it."
    if host.mac and not is_mac(host.mac):
        return f"“{host.mac[:60]}” is no MAC address of one card, such as 52:54:00:12:34:56."
    if host.mac and own.version == 6:
        return "IPv6 knows a card by its DHCP unique identifier or its name, not by its MAC address."
    if host.client_id and not _CLIENT_ID.fullmatch(host.client_id):
        return "A DHCP unique identifier is pairs of hexadecimal digits with colons between them."
    if host.name and not is_host_name(host.name):
        return f"“{host.name[:60]}” is no host name: letters, digits, “-” and dots."
    return "" if host.mac or host.client_id or host.name else "Say whose address it is: a MAC address, or a name."


def dns_host_problem(host: DnsHost) -> str:
    try:
        ip_address(host.address)
    except ValueError:
        return f"“{host.address[:60]}” is no address, such as 192.0.2.10."
    if not host.names:
        return "Say what it is called."
    wrong = next((name for name in host.names if not is_host_name(name)), None)
    return "" if wrong is None else f"“{wrong[:60]}” is no host name: letters, digits, “-” and dots."


def port_group_problem(group: PortGroup) -> str:
    if not _GROUP_NAME.fullmatch(group.name) or len(group.name) > 100:
        return "A port group's name is made of letters, digits, spaces and . _ -."
    return _vlan_problem(group.vlan_tags) or _bandwidth_problem(group.inbound) or _bandwidth_problem(group.outbound)


def is_mac(text: str) -> bool:
    """Of one card: the lowest bit of the first byte is that of many."""
    return bool(_MAC.fullmatch(text)) and not int(text[:2], 16) & 1


def is_host_name(text: str) -> bool:
    return bool(_HOST_NAME.fullmatch(text)) and len(text) <= 253 and all(len(part) < 64 for part in text.split("."))


def _said(problems: Mapping[str, str]) -> dict[str, str]:
    return {name: problem for name, problem in problems.items() if problem}


def _first(problems: Iterable[str]) -> str:
    return next(filter(None, problems), "")


def _missing(spec: NetworkSpec, name: str) -> str:
    if spec.type is None or name not in spec.type.required or getattr(spec, name):
        return ""
    return _MISSING[name]


_MISSING = {
    "addresses": "Give it an IPv4 or an IPv6 network, such as 192.168.100.1/24.",
    "bridge": "Say which bridge of the host it is.",
    "devices": "Say which interface of the host it is on.",
}


def _devices_problem(spec: NetworkSpec) -> str:
    if len(spec.devices) > 1 and spec.type is not None and not spec.type.takes_several_devices:
        return "This kind has one interface."
    if len(set(spec.devices)) != len(spec.devices):
        return "An interface is named twice."
    return _first(map(device_problem, spec.devices))


def _addresses_problem(spec: NetworkSpec) -> str:
    found = _first(map(_address_problem, spec.addresses))
    if found:
        return found
    networks = [ip_interface(one.address).network for one in spec.addresses]
    for number, one in enumerate(networks):
        for other in networks[:number]:
            if one.version == other.version and one.overlaps(other):
                return f"{one} and {other} overlap."
    if sum(bool(one.ranges or one.hosts) and ip_interface(one.address).version == 4 for one in spec.addresses) > 1:
        return "DHCP serves one IPv4 network of each."
    return ""


def _address_problem(address: NetworkAddress) -> str:
    text = address.address
    try:
        own = ip_interface(text)
    except ValueError:
        return f"“{text[:60]}” is no address with the length of its network, such as 192.168.100.1/24."
    if "/" not in text:
        return f"{text} needs the length of its network, such as {text}/24."
    if own.ip.is_multicast or own.ip.is_unspecified or own.ip.is_loopback:
        return f"{own.ip} cannot be the host's address in a network."
    if _is_end(own.ip, address):
        first = f"{own.network[1]}/{own.network.prefixlen}"
        return f"{text} is the network itself: give the host an address in it, such as {first}."
    return _ranges_problem(address) or _hosts_problem(address)


def _is_end(address: IPv4Address | IPv6Address, network: NetworkAddress) -> bool:
    own = ip_interface(network.address).network
    if own.version == 4 and own.prefixlen < 31:
        return address in (own.network_address, own.broadcast_address)
    return own.version == 6 and own.prefixlen < 127 and address == own.network_address


def _ranges_problem(address: NetworkAddress) -> str:
    own = ip_interface(address.address)
    seen: list[tuple[int, int]] = []
    for one in address.ranges:
        try:
            start, end = ip_address(one.start), ip_address(one.end)
        except ValueError:
            return f"“{one.start[:40]} – {one.end[:40]}” is no range of addresses."
        if start not in own.network or end not in own.network:
            return f"{start} – {end} is not in the network {own.network}."
        if int(start) > int(end):
            return f"{start} comes after {end}."
        if any(int(start) <= last and first <= int(end) for first, last in seen):
            return "Two ranges overlap."
        if _is_end(start, address) or _is_end(end, address):
            return f"{start} – {end} holds the address of the network itself, or of all in it."
        if start <= own.ip <= end:  # type: ignore[operator]
            return f"{start} – {end} holds the host's own address {own.ip}."
        if int(end) - int(start) >= 65536:
            # dnsmasq keeps a lease for each; libvirt takes no more.
            return f"{start} – {end} is too large: at most 65,536 addresses."
        seen.append((int(start), int(end)))
    return ""


def _hosts_problem(address: NetworkAddress) -> str:
    if len(address.hosts) > _MOST_ENTRIES:
        return f"At most {_MOST_ENTRIES} fixed addresses."
    addresses, keys = set(), set()
    for host in address.hosts:
        wrong = static_host_problem(host, address)
        if wrong:
            return wrong
        if ip_address(host.address) in addresses:
            return f"{host.address} is kept for two."
        if host.key in keys:
            return f"Two addresses are kept for {host.key}."
        addresses.add(ip_address(host.address))
        keys.add(host.key)
    return ""


def _domain_problem(spec: NetworkSpec) -> str:
    if not spec.domain:
        return ""
    return "" if is_host_name(spec.domain) else "A domain is like “lab.example.org”."


def _forwarders_problem(spec: NetworkSpec) -> str:
    for text in spec.dns_forwarders:
        try:
            ip_address(text)
        except ValueError:
            return f"“{text[:60]}” is no address of a name server."
    return ""


def _mtu_problem(spec: NetworkSpec) -> str:
    return "" if spec.mtu is None or 68 <= spec.mtu <= 65535 else "An MTU is from 68 to 65535 bytes."


def _vlan_problem(tags: tuple[int, ...]) -> str:
    if any(not 0 < tag < 4095 for tag in tags):
        return "A VLAN tag is a number from 1 to 4094."
    return "A VLAN tag is named twice." if len(set(tags)) != len(tags) else ""


def _bandwidth_problem(bandwidth: Bandwidth) -> str:
    values = (bandwidth.average_kib, bandwidth.peak_kib, bandwidth.burst_kib)
    if any(value is not None and not 0 < value <= _MOST_KIB for value in values):
        return "A limit is a whole number of KiB above 0."
    if bandwidth.average_kib is None and (bandwidth.peak_kib or bandwidth.burst_kib):
        return "A peak or a burst needs an average too."
    if bandwidth.average_kib and bandwidth.peak_kib and bandwidth.peak_kib < bandwidth.average_kib:
        return "The peak is no less than the average."
    return ""


def _macvtap_mode_problem(spec: NetworkSpec) -> str:
    return "" if spec.macvtap_mode in ("", *MACVTAP_MODES) else f"Choose one of {', '.join(MACVTAP_MODES)}."


def _port_groups_problem(groups: tuple[PortGroup, ...]) -> str:
    found = _first(map(port_group_problem, groups))
    if found:
        return found
    names = [group.name for group in groups]
    if len(set(names)) != len(names):
        return "Two port groups have the same name."
    return "One port group at most is the default." if sum(group.is_default for group in groups) > 1 else ""


_CHECKS: dict[str, Callable[[NetworkSpec], str]] = {
    "bridge": lambda spec: device_problem(spec.bridge),
    "devices": _devices_problem,
    "macvtap_mode": _macvtap_mode_problem,
    "addresses": _addresses_problem,
    "nats_ipv6": lambda _spec: "",
    "isolates_ports": lambda _spec: "",
    "domain": _domain_problem,
    "dns_forwarders": _forwarders_problem,
    "vlan_tags": lambda spec: _vlan_problem(spec.vlan_tags),
    "mtu": _mtu_problem,
    "bandwidth": lambda spec: _bandwidth_problem(spec.inbound) or _bandwidth_problem(spec.outbound),
}
