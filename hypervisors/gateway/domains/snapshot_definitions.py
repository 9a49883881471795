"""What libvirt says of a snapshot, written anew: what it holds stays as it is.

https://libvirt.org/html/libvirt-libvirt-domain-snapshot.html#virDomainSnapshotCreateXML. Measured with libvirt 9.0:
what the guest would notice is refused (67), another kind or UUID, too (8, 67). Another name makes another snapshot; a
parent, a time and files of disks are taken as they are said, wrong or not: whoever calls has to look at those.
"""

from collections.abc import Callable
from uuid import UUID

import libvirt

from hypervisors.errors import Conflict
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.hardware import sha256_of
from hypervisors.gateway.domains.snapshots import current_name
from hypervisors.gateway.domains.typed_definitions import KeptDefinition
from hypervisors.libvirtxml.domain_snapshots import describe_snapshot

_SECURE = libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE


def read_snapshot_xml(connection: Connection, uuid: UUID, name: str) -> str:
    """Without passwords. Raises: errors.NotFound, HypervisorError."""
    with translated("read the snapshot"):
        return str(connection.raw.lookupByUUID(uuid.bytes).snapshotLookupByName(name, 0).getXMLDesc(0))


def redefine_snapshot(
    connection: Connection,
    uuid: UUID,
    name: str,
    write: Callable[[str, str], str],
    *,
    base_sha256: str,
    by_schema: bool,
) -> KeptDefinition:
    """Have it be defined as `write` makes of what is said, without and with passwords; what libvirt kept of it.

    `by_schema`: libvirt refuses what its schema does not know, which it would pass over otherwise.
    Raises: errors.Conflict when it is not of this digest, HypervisorError, ValueError from `write`.
    """
    with translated("define the snapshot"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        snapshot = domain.snapshotLookupByName(name, 0)
        shown = str(snapshot.getXMLDesc(0))
        if sha256_of(shown) != base_sha256:
            raise Conflict("The snapshot was changed meanwhile.")
        secure = str(snapshot.getXMLDesc(_SECURE))
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_VALIDATE if by_schema else 0
        _redefine(domain, name, write(shown, secure), flags)
        kept = domain.snapshotLookupByName(name, 0)
        return KeptDefinition(shown_xml=str(kept.getXMLDesc(0)), secure_xml=str(kept.getXMLDesc(_SECURE)))


def set_snapshot_description(connection: Connection, uuid: UUID, name: str, description: str) -> None:
    """Only what libvirt knows of it changes. Raises: errors.NotFound, and other HypervisorErrors."""
    with translated("describe the snapshot"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        secure = domain.snapshotLookupByName(name, 0).getXMLDesc(_SECURE)
        _redefine(domain, name, describe_snapshot(secure, description), 0)


def _redefine(domain: "libvirt.virDomain", name: str, xml: str, flags: int) -> None:
    """The current one stays that."""
    flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
    if current_name(domain) == name:
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT
    domain.snapshotCreateXML(xml, flags)
