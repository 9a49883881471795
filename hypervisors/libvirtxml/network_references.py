"""Which of a domain's cards are plugged into a network, https://libvirt.org/formatdomain.html#network-interfaces."""

from dataclasses import dataclass

from hypervisors.libvirtxml.documents import attribute_at, child_at, parse_document


@dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """An <interface> on a network. While it runs libvirt may show another type than it is defined by."""

    mac: str
    model: str = ""
    # The host's device while it runs, "vnet0".
    target: str = ""
    port_group: str = ""
    link_up: bool = True


def cards_on(xml: str, network_name: str) -> tuple[NetworkCard, ...]:
    """None for XML that cannot be read."""
    try:
        devices = child_at(parse_document(xml), "devices") if xml else None
    except ValueError:
        return ()
    if devices is None:
        return ()
    return tuple(
        NetworkCard(
            mac=attribute_at(one, "mac", "address").lower(),
            model=attribute_at(one, "model", "type"),
            target=attribute_at(one, "target", "dev"),
            port_group=attribute_at(one, "source", "portgroup"),
            link_up=attribute_at(one, "link", "state") != "down",
        )
        for one in devices.iterchildren("interface")
        if attribute_at(one, "source", "network") == network_name
    )
