"""Plugging a running guest's card in again: its <interface> as it runs, led to another network and back."""

from copy import deepcopy

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, parse_document


def cards_led_to(domain_xml: str, network_name: str, other_name: str) -> tuple[tuple[str, str], ...]:
    """Of each card on a network of a bridge: its XML led to the other network, and back. Raises: ValueError."""
    devices = child_at(parse_document(domain_xml), "devices")
    if devices is None:
        return ()
    cards = [one for one in devices.iterchildren("interface") if attribute_at(one, "source", "network") == network_name]
    # A card without a device of the host, or with an interface of its own, is plugged into no bridge.
    on_bridges = [one for one in cards if attribute_at(one, "target", "dev") and one.get("type") == "network"]
    return tuple((_led(one, other_name), _led(one, network_name)) for one in on_bridges)


def _led(card: etree._Element, network_name: str) -> str:
    """What libvirt added when it plugged the card in goes: it adds it anew."""
    card = deepcopy(card)
    source = child_at(card, "source")
    if source is not None:
        group = source.get("portgroup", "") if source.get("network") == network_name else ""
        source.attrib.clear()
        source.set("network", network_name)
        if group:
            source.set("portgroup", group)
    return etree.tostring(card, encoding="unicode", with_tail=False)
