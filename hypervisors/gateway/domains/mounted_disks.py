"""What a guest has mounted from a disk, as its agent tells, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainGetFSInfo.

The agent is the guest's program: what it says is cut to what a person can read.
"""

from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.live_settings import has_agent

_ANSWER_SECONDS = 5
_MOST, _MOST_CHARACTERS = 10, 200


def mount_points(connection: Connection, uuid: UUID, target: str) -> list[str] | None:
    """Where the file systems of the disk ("vda") are mounted; None where no agent answers.

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
    mounted = [_shown(point) for point, _name, _kind, disks in file_systems if target in (disks or ())]
    return mounted[:_MOST]


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text[:_MOST_CHARACTERS])
