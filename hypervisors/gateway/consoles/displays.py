"""Where a running domain's screen is served now, https://libvirt.org/formatdomain.html#graphical-framebuffers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import libvirt

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.states import domain_state_of
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.domain_devices import parse_graphics
from hypervisors.states import ACTIVE_DOMAIN_STATES

NO_NETWORK_DISPLAY = (
    "The virtual machine has no network display; its VNC display listens on “none”. Give it one that listens on an "
    "address."
)


class DomainOff(NotPossible):
    """The domain has no QEMU process now, so no screen."""


@dataclass(frozen=True, kw_only=True)
class VncDisplay:
    """A VNC server: an address as libvirt reports it ("" where it does not) and port, or a unix socket's path."""

    address: str = ""
    port: int | None = None
    socket: str = ""
    password: str = field(default="", repr=False)
    password_valid_to: datetime | None = None


def read_vnc_display(connection: Connection, uuid: UUID) -> VncDisplay:
    """Ask libvirt now: ports are reused. Raises: errors.NotFound, errors.NotPossible, errors.HypervisorError."""
    with translated(f"find the screen of virtual machine {uuid}"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        if domain_state_of(domain.state()[0]) not in ACTIVE_DOMAIN_STATES:
            raise DomainOff("The virtual machine is off.")
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    return parse_vnc_display(xml)


def parse_vnc_display(live_xml: str) -> VncDisplay:
    """The first VNC server in a live XML. Raises: errors.NotPossible."""
    devices = parse_document(live_xml).find("devices")
    graphics = () if devices is None else parse_graphics(devices.iterchildren("graphics"))
    for number, found in enumerate(graphics):
        if found.kind != "vnc":
            continue
        if found.listen_kind == "none":
            raise NotPossible(NO_NETWORK_DISPLAY)
        if not found.socket and found.port is None:
            raise NotPossible("The virtual machine's VNC server has no port yet.")
        assert devices is not None
        element = devices.findall("graphics")[number]
        return VncDisplay(
            address=found.listen,
            port=found.port,
            socket=found.socket,
            password=element.get("passwd", ""),
            password_valid_to=_moment(element.get("passwdValidTo", "")),
        )
    kinds = ", ".join(sorted({found.kind for found in graphics}))
    raise NotPossible(
        f"The virtual machine has no VNC display, only {kinds}." if kinds else "The virtual machine has no display."
    )


def _moment(text: str) -> datetime | None:
    """libvirt writes UTC, without saying so."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
