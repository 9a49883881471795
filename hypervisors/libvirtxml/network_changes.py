"""What of a changed network can be told to one that runs, and what waits for its next start.

https://libvirt.org/html/libvirt-libvirt-network.html#virNetworkUpdate; measured with libvirt 9.0: DHCP ranges can only
be added and deleted, names and port groups change at once, interfaces only where guests are plugged into them directly.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from hypervisors.libvirtxml.documents import child_at
from hypervisors.libvirtxml.network_reader import (
    address_of,
    devices_of,
    dns_host_of,
    kind_of,
    network_root,
    range_of,
    spec_of,
    static_host_of,
)

Section = Literal["dhcp_host", "dhcp_range", "dns_host", "port_group", "forward_interface"]


@dataclass(frozen=True, kw_only=True)
class LiveUpdate:
    """One call. `parent_index` is the <ip>'s place among them, -1 where there is none."""

    command: Literal["add", "modify", "delete"]
    section: Section
    xml: str
    parent_index: int = -1


def live_updates(running_xml: str, wanted_xml: str) -> list[LiveUpdate]:
    """The calls that bring a network that runs as near to what is wanted as libvirt can, what goes first.

    Raises: ValueError when one of them is not a network's XML.
    """
    running, wanted = network_root(running_xml), network_root(wanted_xml)
    found = [*_dhcp(running, wanted), *_dns(running, wanted), *_port_groups(running, wanted)]
    found += _interfaces(running, wanted)
    return sorted(found, key=lambda update: update.command != "delete")


def pending_parts(running_xml: str, defined_xml: str) -> tuple[str, ...]:
    """What of the definition is not so yet in the network that runs: names of NetworkSpec's fields, or "other".

    Raises: ValueError.
    """
    running, defined = network_root(running_xml), network_root(defined_xml)
    _strip(running)
    _strip(defined)
    now, then = spec_of(running), spec_of(defined)
    parts = tuple(name for name, value in vars(then).items() if getattr(now, name) != value and name != "uuid")
    if parts:
        return parts
    return () if _canonical(running) == _canonical(defined) else ("other",)


def _dhcp(running: etree._Element, wanted: etree._Element) -> Iterator[LiveUpdate]:
    """Of networks whose addresses are the same."""
    old, new = list(running.iterchildren("ip")), list(wanted.iterchildren("ip"))
    if [address_of(ip).address for ip in old] != [address_of(ip).address for ip in new]:
        return
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        hosts = _keyed(child_at(before, "dhcp"), "host", lambda one: static_host_of(one).key)
        yield from _differences(
            "dhcp_host", hosts, _keyed(child_at(after, "dhcp"), "host", lambda one: static_host_of(one).key), index
        )
        ranges = _keyed(child_at(before, "dhcp"), "range", lambda one: str(range_of(one)))
        yield from _differences(
            "dhcp_range", ranges, _keyed(child_at(after, "dhcp"), "range", lambda one: str(range_of(one))), index
        )


def _dns(running: etree._Element, wanted: etree._Element) -> Iterator[LiveUpdate]:
    """What a name stands for cannot be changed, only removed and told anew."""

    def by_all(element: etree._Element) -> str:
        return str(dns_host_of(element))

    old = _keyed(child_at(running, "dns"), "host", by_all)
    yield from _differences("dns_host", old, _keyed(child_at(wanted, "dns"), "host", by_all), -1)


def _port_groups(running: etree._Element, wanted: etree._Element) -> Iterator[LiveUpdate]:
    def by_name(element: etree._Element) -> str:
        return element.get("name", "")

    yield from _differences(
        "port_group", _keyed(running, "portgroup", by_name), _keyed(wanted, "portgroup", by_name), -1
    )


def _interfaces(running: etree._Element, wanted: etree._Element) -> Iterator[LiveUpdate]:
    if kind_of(running) != "macvtap" or kind_of(wanted) != "macvtap":
        return
    old, new = devices_of(running), devices_of(wanted)
    for command, devices in (("add", set(new) - set(old)), ("delete", set(old) - set(new))):
        for device in sorted(devices):
            xml = etree.tostring(etree.Element("interface", dev=device), encoding="unicode")
            yield LiveUpdate(command=command, section="forward_interface", xml=xml)  # type: ignore[arg-type]


_Keyed = dict[str, etree._Element]


def _keyed(parent: etree._Element | None, tag: str, key: Callable[[etree._Element], str]) -> _Keyed:
    return {} if parent is None else {key(element): element for element in parent.iterchildren(tag)}


def _differences(section: Section, old: _Keyed, new: _Keyed, index: int) -> Iterator[LiveUpdate]:
    for key, element in old.items():
        if key not in new:
            yield LiveUpdate(command="delete", section=section, xml=_text(element), parent_index=index)
    for key, element in new.items():
        if key not in old:
            yield LiveUpdate(command="add", section=section, xml=_text(element), parent_index=index)
        elif _canonical(element) != _canonical(old[key]):
            yield LiveUpdate(command="modify", section=section, xml=_text(element), parent_index=index)


def _text(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode", with_tail=False)


def _canonical(element: etree._Element) -> bytes:
    """The same whatever the spaces between elements."""
    copied = deepcopy(element)
    copied.tail = None
    for one in copied.iter():
        # Else an element whose children are gone would differ from one that had none.
        if not (one.text or "").strip():
            one.text = None
    etree.indent(copied)
    return bytes(etree.tostring(copied, method="c14n2"))


def _strip(root: etree._Element) -> None:
    """Of what libvirt adds by itself to one that runs."""
    for element in root.iter(etree.Element):
        element.attrib.pop("connections", "")
        if element.tag == "forward" and next(element.iterchildren("interface"), None) is not None:
            element.attrib.pop("dev", "")
    nat = child_at(root, "forward/nat")
    if nat is not None:
        for port in list(nat.iterchildren("port")):
            if (port.get("start"), port.get("end")) == ("1024", "65535"):
                nat.remove(port)
        if len(nat) == 0 and not nat.attrib:
            nat.getparent().remove(nat)  # type: ignore[union-attr]
