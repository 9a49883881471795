"""Taking a domain's definition away, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainUndefineFlags."""

from typing import Any
from uuid import UUID

import libvirt

from hypervisors.errors import NotFound
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.storage.volume_users import VolumePlace, read_references
from hypervisors.libvirtxml.domains import parse_domain

# With all that libvirt keeps beside the definition; any domain takes these, whether it has such things or not. The
# state of an emulated TPM goes without being asked for.
_WITH_ALL = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
_WITH_ALL_BUT_NVRAM = _WITH_ALL & ~libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM


def undefine_domain(connection: Connection, uuid: UUID) -> None:
    """With its saved state, UEFI variables and what libvirt knows of its snapshots; one that is gone is no error.

    The file of its UEFI variables stays where another domain names it too. One that runs would only become transient:
    look first. Raises: errors.HypervisorError.
    """
    try:
        with translated("delete the virtual machine"):
            domain = connection.raw.lookupByUUID(uuid.bytes)
            try:
                domain.undefineFlags(_WITH_ALL_BUT_NVRAM if shares_nvram(connection, domain) else _WITH_ALL)
            except libvirt.libvirtError as error:
                # A driver that knows none of them, as libvirt's test driver.
                if error.get_error_code() not in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT):
                    raise
                domain.undefine()
    except NotFound:
        return


def shares_nvram(connection: Connection, domain: Any) -> bool:
    """Whether another domain names its file of UEFI variables: one that was defined from a copy of its XML does.

    Raises: libvirt.libvirtError, errors.HypervisorError.
    """
    try:
        path = parse_domain(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).nvram
    except ValueError:
        return True
    if not path:
        return False
    users = read_references(connection, [VolumePlace(storage_pool="", volume="", path=path)])
    return any(user.domain != domain.name() for user in users)
