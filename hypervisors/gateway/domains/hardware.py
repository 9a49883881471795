"""Changing a domain's devices, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainAttachDeviceFlags.

A domain that runs has two sides: what runs (live) and what is stored (config). One call on both is all or nothing, so
that is what is asked wherever both need the same; a side that has it already, or has it no more, is left out.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import Conflict
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.device_removals import RemovalAnswers, removal_answers
from hypervisors.gateway.domains.states import domain_state_of
from hypervisors.libvirtxml.documents import attribute_at, parse_document
from hypervisors.states import DomainState

# The XML does not fit libvirt's schema.
_NOT_VALID = libvirt.VIR_ERR_XML_INVALID_SCHEMA


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A domain's XML with its passwords: as it runs ("" while it is off), and as it is stored ("" for a transient one).

    `shown_xml` is the stored XML without passwords, as rows and people have it.
    """

    state: DomainState
    live_xml: str
    inactive_xml: str
    shown_xml: str

    @property
    def inactive_sha256(self) -> str:
        """Of `shown_xml`."""
        return sha256_of(self.shown_xml)

    @property
    def is_active(self) -> bool:
        return bool(self.live_xml)

    @property
    def is_persistent(self) -> bool:
        return bool(self.inactive_xml)


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Which of the two a change is made to."""

    live: bool
    config: bool

    @property
    def flags(self) -> int:
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE if self.live else 0
        return int(live | (libvirt.VIR_DOMAIN_AFFECT_CONFIG if self.config else 0))

    def __bool__(self) -> bool:
        return self.live or self.config


def read_hardware(connection: Connection, uuid: UUID) -> Hardware:
    """Raises: errors.NotFound, errors.HypervisorError."""
    with translated("read the hardware of the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        plain = _xml(domain, libvirt.VIR_DOMAIN_XML_INACTIVE) if domain.isPersistent() else ""
        return Hardware(
            state=domain_state_of(domain.state()[0]),
            live_xml=_xml(domain, libvirt.VIR_DOMAIN_XML_SECURE) if domain.isActive() else "",
            inactive_xml=_xml(domain, _STORED) if plain else "",
            shown_xml=plain,
        )


def sha256_of(xml: str) -> str:
    """As rows have it; "" of nothing."""
    return hashlib.sha256(xml.encode()).hexdigest() if xml else ""


def attach_device(connection: Connection, uuid: UUID, device_xml: str, sides: Sides) -> None:
    """On all of these sides, or on none. Raises: errors.HypervisorError."""
    with translated("add the device"):
        connection.raw.lookupByUUID(uuid.bytes).attachDeviceFlags(device_xml, sides.flags)


def update_device(connection: Connection, uuid: UUID, device_xml: str, sides: Sides, *, force: bool = False) -> None:
    """The same for a device that is there; `force`: though the guest has locked the drive."""
    flags = sides.flags | (libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if force else 0)
    with translated("change the device"):
        connection.raw.lookupByUUID(uuid.bytes).updateDeviceFlags(device_xml, flags)


def request_removal(connection: Connection, uuid: UUID, device_xml: str, *, answer_seconds: float = 0) -> bool:
    """Ask the guest to let go of a device, given as it runs, and wait so long for its answer: True when it refuses.

    False says nothing: it is gone, or it is not yet. Raises: errors.HypervisorError.
    """
    alias = alias_of(device_xml)
    with removal_answers(connection, uuid) as answers, translated("remove the device"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        if alias:
            _ask_for(domain, alias, answers, answer_seconds)
        else:
            domain.detachDeviceFlags(device_xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        return answers.is_refused(alias)


def _ask_for(domain: "libvirt.virDomain", alias: str, answers: RemovalAnswers, seconds: float) -> None:
    try:
        domain.detachDeviceAlias(alias, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        # A refusal while the call still waits is told as its failure, too.
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:
            raise
        answers.wait(alias, seconds)
        if not answers.is_refused(alias):
            raise
    else:
        answers.wait(alias, seconds)


def alias_of(device_xml: str) -> str:
    """What libvirt calls the device while it runs; "" for one that has no name there. Raises: ValueError."""
    return attribute_at(parse_document(device_xml), "alias", "name")


def change_definition(
    connection: Connection, uuid: UUID, edit: Callable[[str], str], *, base_sha256: str = ""
) -> Hardware:
    """Have what is stored be as `edit` makes of it, and read what libvirt has kept.

    Raises: errors.Conflict when it is not of this digest (any more), errors.HypervisorError, ValueError from `edit`.
    """
    with translated("change the definition of the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        if base_sha256 and sha256_of(_xml(domain, libvirt.VIR_DOMAIN_XML_INACTIVE)) != base_sha256:
            raise Conflict("The definition of the virtual machine was changed meanwhile.")
        before = _xml(domain, _STORED)
        _define(connection, edit(before), before)
    return read_hardware(connection, uuid)


_STORED = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


def _define(connection: Connection, xml: str, before: str) -> None:
    """Checked against libvirt's schema, unless what was there before does not fit it either."""
    try:
        connection.raw.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != _NOT_VALID or _fits_schema(connection, before):
            raise
        connection.raw.defineXML(xml)


def _fits_schema(connection: Connection, xml: str) -> bool:
    try:
        connection.raw.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == _NOT_VALID:
            return False
        raise
    return True


def _xml(domain: "libvirt.virDomain", flags: int) -> str:
    return str(domain.XMLDesc(flags))
