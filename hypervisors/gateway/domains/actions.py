"""What can be done to a domain, https://libvirt.org/html/libvirt-libvirt-domain.html.

Every function takes the connection and the domain's UUID, returns when libvirt does, and raises errors.HypervisorError.
Whether it came to what was asked is for the caller to look at.
"""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.states import domain_state_of, read_disk_errors, state_reason
from hypervisors.states import DomainState

T = TypeVar("T")


def start_domain(connection: Connection, uuid: UUID, *, paused: bool = False) -> None:
    """Start; from its managed save where there is one, which may take minutes."""
    flags = libvirt.VIR_DOMAIN_START_PAUSED if paused else 0
    _act(connection, uuid, "start", lambda domain: domain.createWithFlags(flags))


def shut_down_domain(connection: Connection, uuid: UUID) -> None:
    """Press the guest's power button; returns at once, and the guest may ignore it."""
    _act(connection, uuid, "shut down", lambda domain: domain.shutdown())


def reboot_domain(connection: Connection, uuid: UUID) -> None:
    """Press the guest's power button, to be started again when it is off; returns at once."""
    _act(connection, uuid, "reboot", lambda domain: domain.reboot(0))


def force_off_domain(connection: Connection, uuid: UUID) -> None:
    """Pull the plug."""
    _act(connection, uuid, "force off", lambda domain: domain.destroy())


def reset_domain(connection: Connection, uuid: UUID) -> None:
    """Press the reset button; one that had crashed runs again."""
    _act(connection, uuid, "reset", _reset)


def pause_domain(connection: Connection, uuid: UUID) -> None:
    _act(connection, uuid, "pause", lambda domain: domain.suspend())


def resume_domain(connection: Connection, uuid: UUID) -> None:
    """Let it go on; wake it up where its guest went to sleep (suspend to RAM)."""
    _act(connection, uuid, "resume", _resume)


def save_domain(connection: Connection, uuid: UUID) -> None:
    """Write its memory to the hypervisor's disk and end it; the next start goes on from there. Takes minutes."""
    _act(connection, uuid, "save", lambda domain: domain.managedSave(0))


def discard_saved(connection: Connection, uuid: UUID) -> None:
    """Throw the saved memory away: the next start boots afresh."""
    _act(connection, uuid, "discard the saved state of", lambda domain: domain.managedSaveRemove(0))


def rename_domain(connection: Connection, uuid: UUID, name: str) -> None:
    _act(connection, uuid, "rename", lambda domain: domain.rename(name, 0))


def set_autostart(connection: Connection, uuid: UUID, *, enabled: bool) -> None:
    _act(connection, uuid, "change the autostart of", lambda domain: domain.setAutostart(int(enabled)))


def set_title_and_description(connection: Connection, uuid: UUID, *, title: str, description: str) -> None:
    """Set both, in what runs and in what is stored; empty ones are removed."""

    def describe(domain: "libvirt.virDomain") -> None:
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, title or None, None, None, flags)
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, description or None, None, None, flags)

    _act(connection, uuid, "describe", describe)


def has_saved_state(connection: Connection, uuid: UUID) -> bool:
    return bool(_ask(connection, uuid, lambda domain: domain.hasManagedSaveImage(0)))


def starts_with_host(connection: Connection, uuid: UUID) -> bool:
    return bool(_ask(connection, uuid, lambda domain: domain.autostart()))


def domain_name(connection: Connection, uuid: UUID) -> str:
    return str(_ask(connection, uuid, lambda domain: domain.name()))


def title_and_description(connection: Connection, uuid: UUID) -> tuple[str, str]:
    """As stored, or as it runs where nothing is stored; "" for what is missing."""

    def read(domain: "libvirt.virDomain") -> tuple[str, str]:
        flag = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else libvirt.VIR_DOMAIN_AFFECT_LIVE
        return (
            _metadata(domain, libvirt.VIR_DOMAIN_METADATA_TITLE, flag),
            _metadata(domain, libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, flag),
        )

    title, description = _ask(connection, uuid, read)
    return title, description


def disk_errors(connection: Connection, uuid: UUID) -> tuple[str, ...]:
    """What is wrong with its disks, as in "vdb: no space left". Only of one that is active."""
    return _ask(connection, uuid, read_disk_errors)


def state_and_reason(connection: Connection, uuid: UUID) -> tuple[DomainState, str]:
    """The state and libvirt's reason for it in words. Raises: errors.NotFound when it is not there."""
    state, reason = _ask(connection, uuid, lambda domain: domain.state())
    return domain_state_of(state), state_reason(state, reason)


def _reset(domain: "libvirt.virDomain") -> None:
    had_crashed = domain_state_of(domain.state()[0]) == DomainState.CRASHED
    domain.reset(0)
    if had_crashed:
        # libvirt leaves it paused.
        domain.resume()


def _resume(domain: "libvirt.virDomain") -> None:
    if domain_state_of(domain.state()[0]) == DomainState.PMSUSPENDED:
        domain.pMWakeup(0)
    else:
        domain.resume()


def _metadata(domain: "libvirt.virDomain", kind: int, flag: int) -> str:
    try:
        return str(domain.metadata(kind, None, flag))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return ""
        raise


def _act(connection: Connection, uuid: UUID, verb: str, call: Callable[["libvirt.virDomain"], T]) -> T:
    with translated(f"{verb} the virtual machine"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
    with translated(f"{verb} {domain.name()}"):
        return call(domain)


def _ask(connection: Connection, uuid: UUID, question: Callable[["libvirt.virDomain"], T]) -> T:
    return _act(connection, uuid, "read the state of", question)
