"""Entries of a network that are added and removed one by one: fixed addresses, names, port groups.

Each is told from the others by its key, so that nobody's entry is lost when two people add one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.network_spec_checks import spec_problems, static_host_problem
from hypervisors.libvirtxml.network_specs import (
    Bandwidth,
    DnsHost,
    NetworkAddress,
    NetworkSpec,
    PortGroup,
    StaticHost,
)

Given = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class EntryKind:
    """`add` and `remove` raise errors.NotPossible; `key` is by what an entry of the form is told from others."""

    name: str
    add: Callable[[NetworkSpec, Given], NetworkSpec]
    remove: Callable[[NetworkSpec, str], NetworkSpec]


def with_entry(spec: NetworkSpec, section: str, given: Given) -> NetworkSpec:
    """Raises: errors.NotPossible."""
    changed = _kind(section).add(spec, given)
    before = set(spec_problems(spec).values())
    wrong = next((text for text in spec_problems(changed).values() if text not in before), "")
    if wrong:
        raise NotPossible(wrong)
    return changed


def without_entry(spec: NetworkSpec, section: str, key: str) -> NetworkSpec:
    """Raises: errors.NotPossible."""
    return _kind(section).remove(spec, key)


def dns_key(host: DnsHost) -> str:
    return " ".join((host.address, *host.names))


def _kind(section: str) -> EntryKind:
    if section not in ENTRY_KINDS:
        raise NotPossible(_("A network has no such part."))
    return ENTRY_KINDS[section]


def _text(given: Given, name: str) -> str:
    return str(given.get(name) or "").strip()


def _add_host(spec: NetworkSpec, given: Given) -> NetworkSpec:
    address, card, name = _text(given, "address"), _text(given, "mac"), _text(given, "name")
    network = _network_of(spec, address)
    own = ip_interface(network.address)
    host = StaticHost(
        address=str(ip_address(address)),
        mac=card.lower() if own.version == 4 else "",
        client_id=card.lower() if own.version == 6 else "",
        name=name,
    )
    wrong = static_host_problem(host, network)
    if wrong:
        raise NotPossible(wrong)
    changed = replace(network, hosts=(*network.hosts, host))
    return replace(spec, addresses=tuple(changed if one is network else one for one in spec.addresses))


def _network_of(spec: NetworkSpec, text: str) -> NetworkAddress:
    """That of the addresses which this one is in. Raises: errors.NotPossible."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise NotPossible(_("“%s” is no address, such as 192.0.2.10.") % text[:60]) from error
    for one in spec.addresses:
        try:
            if address in ip_interface(one.address).network:
                return one
        except ValueError:
            continue
    raise NotPossible(_("%s is not in this network.") % address)


def _remove_host(spec: NetworkSpec, key: str) -> NetworkSpec:
    addresses = tuple(
        replace(one, hosts=tuple(host for host in one.hosts if host.address != key)) for one in spec.addresses
    )
    return _removed(spec, replace(spec, addresses=addresses))


def _add_dns_host(spec: NetworkSpec, given: Given) -> NetworkSpec:
    names = tuple(dict.fromkeys(_text(given, "names").replace(",", " ").split()))
    host = DnsHost(address=_text(given, "address"), names=names)
    if host in spec.dns_hosts:
        raise NotPossible(_("It is there already."))
    return replace(spec, dns_hosts=(*spec.dns_hosts, host))


def _remove_dns_host(spec: NetworkSpec, key: str) -> NetworkSpec:
    return _removed(spec, replace(spec, dns_hosts=tuple(host for host in spec.dns_hosts if dns_key(host) != key)))


def _add_port_group(spec: NetworkSpec, given: Given) -> NetworkSpec:
    group = PortGroup(
        name=_text(given, "name"),
        is_default=bool(given.get("is_default")),
        vlan_tags=tuple(_number(tag) or 0 for tag in _text(given, "vlan_tags").replace(",", " ").split()),
        inbound=Bandwidth(average_kib=_number(_text(given, "inbound_kib"))),
        outbound=Bandwidth(average_kib=_number(_text(given, "outbound_kib"))),
    )
    return replace(spec, port_groups=(*spec.port_groups, group))


def _number(text: str) -> int | None:
    """0, which is never right, for what is no number."""
    if not text:
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _remove_port_group(spec: NetworkSpec, key: str) -> NetworkSpec:
    return _removed(spec, replace(spec, port_groups=tuple(one for one in spec.port_groups if one.name != key)))


def _removed(before: NetworkSpec, after: NetworkSpec) -> NetworkSpec:
    if before == after:
        raise NotPossible(_("It is not there any more."))
    return after


ENTRY_KINDS: dict[str, EntryKind] = {
    kind.name: kind
    for kind in (
        EntryKind(name="static_host", add=_add_host, remove=_remove_host),
        EntryKind(name="dns_host", add=_add_dns_host, remove=_remove_dns_host),
        EntryKind(name="port_group", add=_add_port_group, remove=_remove_port_group),
    )
}
