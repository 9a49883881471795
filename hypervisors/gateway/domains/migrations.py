"""Moving a domain to another hypervisor, peer to peer, https://libvirt.org/migration.html.

Always peer to peer: the source's libvirt drives the move, so that it outlives our process and anyone can follow it
(`jobs.read_job`) and end it (`jobs.abort_job`) on the source.
"""

from uuid import UUID

import libvirt

from hypervisors.errors import OperationRefused
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.uris import parse_uri


def migrate_domain(connection: Connection, uuid: UUID, *, peer_uri: str, live: bool) -> None:
    """Move it to the hypervisor that the source reaches as `peer_uri`; returns when libvirt says it is over.

    `live`: memory, TPM and UEFI variables go along; else only the definition, of a domain that is shut off, and what is
    on the source besides is lost (operations/domains/unmovable.py). What is persistent at the source becomes persistent
    at the target and is undefined at the source. Where the domain is now must be looked at on both sides, whatever was
    raised. Raises: errors.HypervisorError (OperationRefused, when it was started or stopped meanwhile), InvalidUri.
    """
    with translated("migrate the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
    with translated(f"migrate {domain.name()}"):
        # libvirt moves the mere definition of a domain that runs without a word.
        if domain.isActive() and not live:
            raise OperationRefused(f"{domain.name()} was started meanwhile; try again.")
        uri = parse_uri(peer_uri, allow_test_driver=True).text
        domain.migrateToURI3(uri, {}, _flags(domain, live=live))


def _flags(domain: "libvirt.virDomain", *, live: bool) -> int:
    flags: int = libvirt.VIR_MIGRATE_PEER2PEER
    flags |= libvirt.VIR_MIGRATE_LIVE if live else libvirt.VIR_MIGRATE_OFFLINE
    if domain.isPersistent():
        flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    return flags
