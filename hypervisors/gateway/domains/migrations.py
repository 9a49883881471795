"""Moving a domain to another hypervisor, peer to peer, https://libvirt.org/migration.html.

Always peer to peer: the source's libvirt drives the move, so that it outlives our process and anyone can follow it
(`jobs.read_job`) and end it (`jobs.abort_job`) on the source.
"""

from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.uris import parse_uri


def migrate_domain(connection: Connection, uuid: UUID, *, peer_uri: str) -> None:
    """Move it to the hypervisor that the source reaches as `peer_uri`; returns when libvirt says it is over.

    A running or paused domain moves live; one that is shut off moves its definition only. What is persistent at the
    source becomes persistent at the target and is undefined at the source. Where the domain is now must be looked at
    on both sides, whatever was raised. Raises: errors.HypervisorError, errors.InvalidUri.
    """
    with translated("migrate the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
    with translated(f"migrate {domain.name()}"):
        domain.migrateToURI3(parse_uri(peer_uri, allow_test_driver=True).text, {}, _flags(domain))


def _flags(domain: "libvirt.virDomain") -> int:
    flags: int = libvirt.VIR_MIGRATE_PEER2PEER
    flags |= libvirt.VIR_MIGRATE_LIVE if domain.isActive() else libvirt.VIR_MIGRATE_OFFLINE
    if domain.isPersistent():
        flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    return flags
