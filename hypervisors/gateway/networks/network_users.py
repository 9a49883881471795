"""Which domains of a hypervisor are plugged into a network at this moment, and plugging them in again.

libvirt leaves the card of a running guest alone when its network is stopped and started: it is plugged into nothing.
Led to another network and back, it is plugged in again (measured with libvirt 9.0), after a moment without a link.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import libvirt
from lxml import etree

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.storage.volume_users import domain_texts
from hypervisors.libvirtxml.elements import add_text
from hypervisors.libvirtxml.network_kinds import PASSING_PREFIX
from hypervisors.libvirtxml.network_plugs import cards_led_to
from hypervisors.libvirtxml.network_references import cards_on

logger = logging.getLogger(__name__)


def read_network_users(connection: Connection, network_name: str) -> dict[str, bool]:
    """The domains' names, and whether each runs with a card on it. Raises: errors.HypervisorError."""
    found: dict[str, bool] = {}
    with translated("look which virtual machines use the network"):
        for name, is_active, texts in domain_texts(connection):
            on_it = [bool(cards_on(text, network_name)) for text in texts]
            if any(on_it):
                found[name] = is_active and on_it[0]
    return found


def plug_guests_in_again(connection: Connection, network_uuid: UUID) -> dict[str, str]:
    """By the names of running domains with a card on the network: "", or why one could not be plugged in.

    Raises: errors.HypervisorError.
    """
    with translated("plug the virtual machines in again"):
        network = connection.raw.networkLookupByUUID(network_uuid.bytes)
        name = network.name()
        plugs = {domain: _plugs(domain, name) for domain in _running(connection)}
        plugs = {domain: cards for domain, cards in plugs.items() if cards}
        if not plugs:
            return {}
        with _passing_network(connection, network_uuid) as passing:
            cards = {domain: cards_led_to(domain.XMLDesc(0), name, passing) for domain in plugs}
            return {domain.name(): _plug(domain, led) for domain, led in cards.items()}


def _running(connection: Connection) -> list[Any]:
    return list(connection.raw.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))


def _plugs(domain: Any, network_name: str) -> tuple[Any, ...]:
    try:
        return cards_led_to(domain.XMLDesc(0), network_name, network_name)
    except (libvirt.libvirtError, ValueError):
        # Gone meanwhile.
        return ()


def _plug(domain: Any, cards: tuple[tuple[str, str], ...]) -> str:
    try:
        for away, back in cards:
            domain.updateDeviceFlags(away, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            domain.updateDeviceFlags(back, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        logger.warning("A card of %s could not be plugged in again: %s", domain.name(), error)
        return str(error.get_error_message() or error)
    return ""


@contextmanager
def _passing_network(connection: Connection, network_uuid: UUID) -> Iterator[str]:
    """Its name; one that a worker before this one left goes first."""
    name = f"{PASSING_PREFIX}{network_uuid.hex[:12]}"
    root = etree.Element("network")
    add_text(root, "name", name)
    for left in connection.raw.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_TRANSIENT):
        if left.name() == name:
            left.destroy()
    network = connection.raw.networkCreateXML(etree.tostring(root, encoding="unicode"))
    try:
        yield name
    finally:
        network.destroy()
