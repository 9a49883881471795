"""A definition that a person has written: defined if what stands there is what they saw, and with its passwords.

https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainDefineXMLFlags
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import Conflict, HypervisorError
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.hardware import sha256_of

_NOT_VALID = libvirt.VIR_ERR_XML_INVALID_SCHEMA
_SECURE = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


@dataclass(frozen=True, kw_only=True)
class KeptDefinition:
    """What libvirt has made of it: as it shows it, and with the passwords that it leaves out there."""

    shown_xml: str
    secure_xml: str


def read_stored(connection: Connection, uuid: UUID) -> str:
    """What the domain starts from next, without passwords. Raises: errors.NotFound, HypervisorError."""
    with translated("read the definition of the virtual machine"):
        return str(connection.raw.lookupByUUID(uuid.bytes).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def read_with_passwords(connection: Connection, uuid: UUID) -> str:
    """The same with them. Raises: errors.NotFound, HypervisorError."""
    with translated("read the definition of the virtual machine"):
        return str(connection.raw.lookupByUUID(uuid.bytes).XMLDesc(_SECURE))


def define_typed(
    connection: Connection, uuid: UUID, write: Callable[[str, str], str], *, base_sha256: str, by_schema: bool
) -> KeptDefinition:
    """Have it be defined as `write` makes of what stands there, without and with passwords; what libvirt kept of it.

    `by_schema`: libvirt refuses what its schema does not know, which it would pass over otherwise.
    Raises: errors.Conflict when it is not of this digest, HypervisorError, ValueError from `write`.
    """
    with translated("define the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        shown = str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        if sha256_of(shown) != base_sha256:
            raise Conflict("The definition was changed meanwhile.")
        secure = str(domain.XMLDesc(_SECURE))
        flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE if by_schema else 0
        defined = connection.raw.defineXMLFlags(write(shown, secure), flags)
        shown = str(defined.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return KeptDefinition(shown_xml=shown, secure_xml=str(defined.XMLDesc(_SECURE)))


def is_refused_by_schema(error: HypervisorError | None) -> bool:
    return error is not None and error.libvirt_code == _NOT_VALID
