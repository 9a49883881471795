"""What a guest has mounted from a disk, as its agent tells, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainGetFSInfo.

The agent is the guest's program: what it says is cut to what a person can read.
"""

from collections.abc import Sequence
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.live_settings import has_agent

# Mount point, the guest's name of the device, type, and targets of disks, as far as libvirt finds any.
FileSystem = tuple[str, str, str, Sequence[str] | None]

_ANSWER_SECONDS = 5
_MOST, _MOST_CHARACTERS = 10, 200


def mount_points(connection: Connection, uuid: UUID, target: str) -> list[str] | None:
    """Where the file systems of the disk ("vda") are mounted; None where no agent answers, or it cannot tell.

    Raises: errors.HypervisorError when the virtual machine cannot be asked for.
    """
    with translated("look what the guest has mounted"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
    try:
        if not has_agent(domain):
            return None
        domain.agentSetResponseTimeout(_ANSWER_SECONDS)
        file_systems = domain.fsInfo()
    except libvirt.libvirtError:
        return None
    return points_on(target, file_systems)


def points_on(target: str, file_systems: Sequence[FileSystem]) -> list[str] | None:
    """None where a file system is on a disk that nobody can tell.

    The agent knows a disk by the first PCI device on the way to it. Behind a root port, where they are by default, that
    is the port, and libvirt finds no disk of that address. The guest's own name of it is the same, mostly.
    """
    known = [point for point, _name, _kind, disks in file_systems if target in (disks or ())]
    unknown = [(point, name) for point, name, _kind, disks in file_systems if not disks]
    mounted = known + [point for point, name in unknown if name.removeprefix("/dev/").startswith(target)]
    if unknown and not mounted:
        return None
    return [_shown(point) for point in mounted[:_MOST]]


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text[:_MOST_CHARACTERS])
