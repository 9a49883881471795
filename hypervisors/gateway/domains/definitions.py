"""Making domains and changing their definitions, https://libvirt.org/html/libvirt-libvirt-domain.html."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import NotFound
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.states import domain_state_of, state_reason
from hypervisors.gateway.failures import is_missing
from hypervisors.libvirtxml.install_marker import (
    INSTALL_KEY,
    INSTALL_NAMESPACE,
    InstallMarker,
    build_install_marker,
    find_install_marker,
)
from hypervisors.libvirtxml.media import drives_with_media, without_medium
from hypervisors.states import DomainState


@dataclass(frozen=True, kw_only=True)
class DefinedDomain:
    """A domain as it stands now. `xml`: as it starts next, or as it runs while it is transient."""

    uuid: UUID
    name: str
    state: DomainState
    state_reason: str
    is_active: bool
    is_persistent: bool
    xml: str

    @property
    def install_marker(self) -> InstallMarker | None:
        return find_install_marker(self.xml)


def find_domain(connection: Connection, uuid: UUID) -> DefinedDomain | None:
    """None when the hypervisor has none. Raises: errors.HypervisorError."""
    try:
        with translated(f"read virtual machine {uuid}"):
            return _described(connection.raw.lookupByUUID(uuid.bytes))
    except NotFound:
        return None


def find_domain_named(connection: Connection, name: str) -> UUID | None:
    """The domain of that name. Raises: errors.HypervisorError."""
    with translated(f"look for virtual machine {name}"):
        try:
            return UUID(bytes=connection.raw.lookupByName(name).UUID())
        except libvirt.libvirtError as error:
            if is_missing(error):
                return None
            raise


def define_domain(connection: Connection, xml: str) -> UUID:
    """Define it; libvirt would silently define anew a domain of the same UUID: look before. Raises: HypervisorError."""
    with translated("define the virtual machine"):
        return UUID(bytes=connection.raw.defineXML(xml).UUID())


def start_domain_as(connection: Connection, xml: str) -> None:
    """Run a defined domain from another XML of its UUID and name; the next start is from its definition again.

    https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainCreateXML. Raises: errors.HypervisorError.
    """
    with translated("start the virtual machine"):
        connection.raw.createXML(xml, 0)


def set_install_marker(connection: Connection, uuid: UUID, marker: InstallMarker | None) -> None:
    """Write it, or remove it (None), in what runs and in what is stored. Raises: errors.HypervisorError."""
    text = None if marker is None else build_install_marker(marker, with_namespace=False)
    with translated("note the installation of the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        for flag in _affected(domain):
            try:
                domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, INSTALL_KEY, INSTALL_NAMESPACE, flag)
            except libvirt.libvirtError as error:
                # It is gone already.
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_METADATA:
                    raise


def eject_media(connection: Connection, uuid: UUID, targets: Collection[str]) -> None:
    """Take the media out of these drives ("sda"), in what runs and in what is stored. Empty ones are passed over.

    The existing element is edited: written anew it would lose its place in the boot order.
    Raises: errors.HypervisorError; a guest that has locked its drive refuses.
    """
    with translated("eject the media"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        for flag in _affected(domain):
            xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if flag == libvirt.VIR_DOMAIN_AFFECT_CONFIG else 0)
            for drive in drives_with_media(xml, targets):
                force = libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE if flag == libvirt.VIR_DOMAIN_AFFECT_LIVE else 0
                domain.updateDeviceFlags(without_medium(drive), flag | force)


def _affected(domain: "libvirt.virDomain") -> list[int]:
    """What runs, and what is stored; each by itself, as the two may differ."""
    live = [libvirt.VIR_DOMAIN_AFFECT_LIVE] if domain.isActive() else []
    return [*live, *([libvirt.VIR_DOMAIN_AFFECT_CONFIG] if domain.isPersistent() else [])]


def _described(domain: "libvirt.virDomain") -> DefinedDomain:
    state, reason = domain.state()
    is_persistent = bool(domain.isPersistent())
    return DefinedDomain(
        uuid=UUID(bytes=domain.UUID()),
        name=domain.name(),
        state=domain_state_of(state),
        state_reason=state_reason(state, reason),
        is_active=bool(domain.isActive()),
        is_persistent=is_persistent,
        xml=domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if is_persistent else 0),
    )
