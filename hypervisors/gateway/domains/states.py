"""libvirt's numbers for states and their reasons, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainState."""

import libvirt

from hypervisors.states import DomainState

_STATES = (
    DomainState.NOSTATE,
    DomainState.RUNNING,
    DomainState.BLOCKED,
    DomainState.PAUSED,
    DomainState.SHUTDOWN,
    DomainState.SHUTOFF,
    DomainState.CRASHED,
    DomainState.PMSUSPENDED,
)
# By state, in the order of the virDomain…Reason enumerations.
_REASONS: dict[DomainState, tuple[str, ...]] = {
    DomainState.RUNNING: (
        "",
        "booted",
        "migrated",
        "restored",
        "restored from snapshot",
        "unpaused",
        "migration canceled",
        "save canceled",
        "woken up",
        "crashed",
        "post-copy",
        "post-copy failed",
    ),
    DomainState.PAUSED: (
        "",
        "by user",
        "migration",
        "saving",
        "core dump",
        "I/O error",
        "watchdog",
        "from snapshot",
        "shutting down",
        "creating snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
        "API error",
    ),
    DomainState.SHUTDOWN: ("", "by user"),
    DomainState.SHUTOFF: (
        "",
        "shut down",
        "forced off",
        "crashed",
        "migrated",
        "saved",
        "failed",
        "from snapshot",
        "host daemon",
    ),
    DomainState.CRASHED: ("", "panicked"),
}


def domain_state_of(number: int) -> DomainState:
    """The state; NOSTATE for a number from a newer libvirt."""
    return _STATES[number] if 0 <= number < len(_STATES) else DomainState.NOSTATE


def state_reason(state: int, reason: int) -> str:
    """The reason in words; empty when libvirt does not know or the number is from a newer libvirt."""
    words = _REASONS.get(domain_state_of(state), ())
    return words[reason] if 0 <= reason < len(words) else ""


IO_ERROR = "I/O error"


def read_disk_errors(domain: "libvirt.virDomain") -> tuple[str, ...]:
    """What is wrong with its disks, as in "vdb: no space left"; nothing where its driver cannot tell."""
    try:
        errors = domain.diskErrors()
    except libvirt.libvirtError:
        return ()
    return tuple(f"{disk}: {_DISK_ERRORS.get(code, IO_ERROR)}" for disk, code in sorted(errors.items()))


_DISK_ERRORS = {libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE: "no space left"}
