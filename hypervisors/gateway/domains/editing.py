"""Editing a domain's definition in place: what we do not know in it survives, its passwords too."""

from collections.abc import Callable
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated


def edit_definition(connection: Connection, uuid: UUID, edit: Callable[[str], str]) -> None:
    """Have it be defined as `edit` makes of what is stored. Raises: errors.HypervisorError, ValueError from `edit`."""
    with translated("change the definition of the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
        connection.raw.defineXML(edit(domain.XMLDesc(flags)))
