"""What a move would lose or leave behind: state of a machine that is not in its XML, by what the XML says of it.

Moved while it is shut off, only its definition goes: TPM, UEFI variables, saved state and disks stay where they are. A
live move carries memory, TPM and UEFI variables; measured, the latter are written at the target only when the guest
runs again there (QEMU writes its flash to the file at the first resume), so not for one that is paused.
https://libvirt.org/migration.html#offline-migration
"""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from hypervisors.gateway.storage.volume_identities import is_own_address
from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

# Their data is elsewhere, wherever the machine runs.
_NO_DISKS = ("cdrom", "floppy")


def state_obstacles(parsed: ParsedDomain, *, is_active: bool, is_paused: bool) -> Iterator[str]:
    """What of its state a move would lose now, and what to do instead."""
    if is_active:
        if is_paused and parsed.keeps_uefi_variables:
            yield _(
                "It is paused, and its UEFI variables would be written on the other host only once it runs there: "
                "forced off before that, it would have lost them. Resume it, and move it while it runs."
            )
        return
    if parsed.tpm_backend == "emulator" or (parsed.tpm and not parsed.tpm_backend):
        yield _(
            "It is off, and the state of its TPM (keys, sealed secrets) stays on this host when only the definition "
            "moves. Start it, and move it while it runs: that takes the TPM along."
        )
    if parsed.keeps_uefi_variables:
        yield _(
            "It is off, and its UEFI variables (boot entries, Secure Boot keys) stay on this host when only the "
            "definition moves. Start it, and move it while it runs: that takes them along."
        )
    yield from tied_disk_obstacles(parsed)


def tied_disk_obstacles(parsed: ParsedDomain) -> Iterator[str]:
    """Disks that can only be its host's own."""
    for disk in parsed.disks:
        if is_data(disk) and is_tied_to_host(disk):
            yield _("Disk %(disk)s (%(source)s) belongs to this host: nothing shows that another host has it.") % {
                "disk": disk.target,
                "source": disk.source or disk.source_kind,
            }


def not_shared(disk: Disk, host: str) -> str:
    """What is said of a disk that is not known to be the same on the other host."""
    return _(
        "Disk %(disk)s (%(source)s) is not known to be the same on %(host)s: a storage pool of that name or path may "
        "hold another file there. Nothing was moved. If the storage is shared, start the machine and move it while it "
        "runs; else copy the disk."
    ) % {"disk": disk.target, "source": disk.source, "host": host}


def leftover_text(name: str, host: str, state: DomainState) -> str:
    """What is said of a target that has the same UUID already."""
    values = {"name": name, "host": host}
    if state in ACTIVE_DOMAIN_STATES:
        return (
            _(
                "ALARM: %(host)s has the same machine (the same UUID) as “%(name)s”, and it is active there. Two that "
                "run at once ruin their disks: find out which one is right, and force the other one off at once."
            )
            % values
        )
    return (
        _(
            "%(host)s has a definition of the same machine (the same UUID) as “%(name)s”, shut off, which the move "
            "would overwrite. Look at it there; if nobody needs it, remove it by “virsh undefine --keep-nvram "
            "--keep-tpm”, and try again."
        )
        % values
    )


def is_data(disk: Disk) -> bool:
    """Whether what is on it is the machine's own."""
    return disk.device not in _NO_DISKS and disk.source_kind != "none"


def is_tied_to_host(disk: Disk) -> bool:
    if disk.source_kind == "network":
        servers = disk.servers.split()
        return not servers or any(is_own_address(server) for server in servers)
    return disk.source_kind not in ("file", "block", "volume", "dir")
