"""Who needs a volume at this moment, asked of a hypervisor: domains whose XML names it, and volumes on top of it.

https://libvirt.org/formatstorage.html#backing-store-elements
"""

import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import StorageBusy
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import is_missing
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.gateway.storage.volumes import VolumeFacts, list_volumes
from hypervisors.libvirtxml.domain_references import is_backed_by, text_in_xml, volume_references

_UNREADABLE = "?"


@dataclass(frozen=True, kw_only=True)
class VolumePlace:
    """What a hypervisor calls a volume; hosts that share it may each have another name for it."""

    storage_pool: str
    volume: str
    path: str


@dataclass(frozen=True, kw_only=True)
class DomainReference:
    """A domain that names the volume, and what that is to it: a disk's target, "kernel" and the like."""

    domain: str
    role: str
    is_active: bool


def read_references(connection: Connection, places: Collection[VolumePlace]) -> list[DomainReference]:
    """The domains that name it, as they run (with the files under their disks) or as they start next.

    Raises: errors.HypervisorError.
    """
    found: dict[DomainReference, None] = {}
    with translated("look which virtual machines use the volume"):
        for name, is_active, texts in domain_texts(connection):
            for role in (role for text in texts for role in _roles(text, places)):
                found[DomainReference(domain=name, role=role, is_active=is_active)] = None
    return list(found)


def domain_texts(connection: Connection) -> Iterator[tuple[str, bool, list[str]]]:
    """Of each domain its name, whether it is active, and its XML: as it runs, and as it starts next where that differs.

    One that goes meanwhile is left out. Raises: libvirt.libvirtError.
    """
    for domain in connection.raw.listAllDomains(0):
        try:
            name, is_active = domain.name(), bool(domain.isActive())
            texts = [domain.XMLDesc(0)]
            if is_active and domain.isPersistent():
                texts.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        except libvirt.libvirtError as error:
            if is_missing(error):
                continue
            raise
        yield name, is_active, texts


def read_overlays(
    connection: Connection, pool_uuid: UUID, paths: Collection[str], *, even_when_busy: bool = False
) -> list[str]:
    """The names of the storage pool's volumes that are on top of one of the paths. Raises: as read_overlay_paths()."""
    return [one.name for one in _overlays(connection, pool_uuid, paths, even_when_busy=even_when_busy)]


def read_overlay_paths(
    connection: Connection, pool_uuid: UUID, paths: Collection[str], *, even_when_busy: bool = False
) -> list[str]:
    """Where the storage pool's volumes are that are on top of one of the paths.

    libvirt reads every file's header anew, so what others made a moment ago counts. Raises: errors.StorageBusy, unless
    what libvirt knew before is good enough (`even_when_busy`), and other HypervisorErrors.
    """
    return [one.path for one in _overlays(connection, pool_uuid, paths, even_when_busy=even_when_busy)]


def _overlays(
    connection: Connection, pool_uuid: UUID, paths: Collection[str], *, even_when_busy: bool
) -> list[VolumeFacts]:
    try:
        refresh_storage_pool(connection, pool_uuid)
    except StorageBusy:
        if not even_when_busy:
            raise
    volumes = list_volumes(connection, pool_uuid)
    return [one for one in volumes if any(is_backed_by(one.backing_path, path) for path in paths if path)]


def _roles(xml: str, places: Collection[VolumePlace]) -> list[str]:
    """Only XML that mentions the volume at all is looked at closely."""
    found: dict[str, None] = {}
    for place in places:
        words = filter(None, (place.volume, posixpath.basename(place.path)))
        if not any(text_in_xml(word) in xml for word in words):
            continue
        try:
            roles = volume_references(xml, path=place.path, storage_pool=place.storage_pool, volume=place.volume)
        except ValueError:
            # It mentions the volume and cannot be read: what cannot be ruled out counts.
            roles = [_UNREADABLE]
        found |= dict.fromkeys(roles)
    return list(found)
