"""A hypervisor's events as small values, https://libvirt.org/html/libvirt-libvirt-domain.html#virConnectDomainEventRegisterAny.

The listener is called in libvirt's event loop, which all connections share: it must queue and return, and must never
call libvirt.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import UUID

import libvirt

from hypervisors.errors import OperationRefused
from hypervisors.gateway.connections import Connection, translated
from hypervisors.states import DomainState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class HypervisorEvent:
    """Something happened to the object: read it again. `state` is what a lifecycle event itself tells, if it does."""

    subject: Literal["domain", "storage_pool", "network", "secret", "node_device", "connection"]
    # None for those that no reading tells apart: node devices, the connection.
    uuid: UUID | None = None
    state: DomainState | None = None
    state_reason: str = ""
    # Without a state: "migration" or "migrated", when the domain is leaving for another hypervisor.
    has_rebooted: bool = False
    # Reading sooner would show a passing state.
    read_after_seconds: float = 0.0


Listener = Callable[[HypervisorEvent], None]


def subscribe(connection: Connection, listener: Listener) -> None:
    """Have `listener` called for all that concerns the inventory, until the connection is closed.

    Raises: errors.HypervisorError.
    """
    raw = connection.raw
    with translated("subscribe to events"):
        raw.registerCloseCallback(_on_close, listener)
        raw.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _on_lifecycle, listener)
    _register(partial(raw.domainEventRegisterAny, None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, _on_reboot, listener))
    for event_id in _DOMAIN_EVENTS:
        _register(partial(raw.domainEventRegisterAny, None, event_id, _on_domain, listener))
    for event_id in _STORAGE_POOL_EVENTS:
        _register(partial(raw.storagePoolEventRegisterAny, None, event_id, _on_storage, listener))
    network_event = libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE
    _register(partial(raw.networkEventRegisterAny, None, network_event, _on_network, listener))
    secret_event = libvirt.VIR_SECRET_EVENT_ID_LIFECYCLE
    _register(partial(raw.secretEventRegisterAny, None, secret_event, _on_secret, listener))
    for event_id in _NODE_DEVICE_EVENTS:
        _register(partial(raw.nodeDeviceEventRegisterAny, None, event_id, _on_node_device, listener))


# Each means that the domain's XML or state may have changed.
_DOMAIN_EVENTS = (
    libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG,
    libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON,
    libvirt.VIR_DOMAIN_EVENT_ID_CONTROL_ERROR,
    libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
    libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP,
    libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND,
    libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK,
    libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
    libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE,
)
_STORAGE_POOL_EVENTS = (libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH)
_NODE_DEVICE_EVENTS = (libvirt.VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE, libvirt.VIR_NODE_DEVICE_EVENT_ID_UPDATE)

# (event, detail) -> what the domain is now. An absent pair says nothing certain: the domain is read again at once.
# Absent on purpose: STARTED by migration (its guest waits, paused), STOPPED by migration (it runs elsewhere).
_STATES: dict[tuple[int, int], tuple[DomainState, str]] = {
    (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_BOOTED): (DomainState.RUNNING, "booted"),
    (libvirt.VIR_DOMAIN_EVENT_STARTED, libvirt.VIR_DOMAIN_EVENT_STARTED_WAKEUP): (DomainState.RUNNING, "woken up"),
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED): (DomainState.PAUSED, "by user"),
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_IOERROR): (DomainState.PAUSED, "I/O error"),
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG): (DomainState.PAUSED, "watchdog"),
    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_UNPAUSED): (DomainState.RUNNING, "unpaused"),
    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_MIGRATED): (DomainState.RUNNING, "migrated"),
    (libvirt.VIR_DOMAIN_EVENT_RESUMED, libvirt.VIR_DOMAIN_EVENT_RESUMED_POSTCOPY): (DomainState.RUNNING, "post-copy"),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN): (DomainState.SHUTOFF, "shut down"),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED): (DomainState.SHUTOFF, "forced off"),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED): (DomainState.SHUTOFF, "crashed"),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED): (DomainState.SHUTOFF, "saved"),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED): (DomainState.SHUTOFF, "failed"),
    (libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED, 0): (DomainState.PMSUSPENDED, ""),
    (libvirt.VIR_DOMAIN_EVENT_CRASHED, 0): (DomainState.CRASHED, "panicked"),
}
# The source of a migration pauses for its last fraction of a second: not worth showing, unless it stays so.
_SWITCH_OVER = (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED)
_SWITCH_OVER_SECONDS = 1.0
# A migration takes the domain away: if it is gone from here next, it is not gone from the world.
_LEAVING: dict[tuple[int, int], str] = {
    _SWITCH_OVER: "migration",
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED): "migrated",
}


def _register(registration: Callable[[], object]) -> None:
    """Register, unless this daemon does not know the event."""
    try:
        with translated("subscribe to an event"):
            registration()
    except OperationRefused as error:
        logger.debug("%s", error)


def _on_lifecycle(raw: Any, domain: Any, event: int, detail: int, listener: Listener) -> None:
    state, reason = _STATES.get((event, detail), (None, _LEAVING.get((event, detail), "")))
    listener(
        HypervisorEvent(
            subject="domain",
            uuid=UUID(bytes=domain.UUID()),
            state=state,
            state_reason=reason,
            read_after_seconds=_SWITCH_OVER_SECONDS if (event, detail) == _SWITCH_OVER else 0.0,
        )
    )


def _on_domain(raw: Any, domain: Any, *details: Any) -> None:
    listener: Listener = details[-1]
    listener(HypervisorEvent(subject="domain", uuid=UUID(bytes=domain.UUID())))


def _on_reboot(raw: Any, domain: Any, listener: Listener) -> None:
    listener(HypervisorEvent(subject="domain", uuid=UUID(bytes=domain.UUID()), has_rebooted=True))


def _on_storage(raw: Any, pool: Any, *details: Any) -> None:
    listener: Listener = details[-1]
    listener(HypervisorEvent(subject="storage_pool", uuid=UUID(bytes=pool.UUID())))


def _on_network(raw: Any, network: Any, *details: Any) -> None:
    listener: Listener = details[-1]
    listener(HypervisorEvent(subject="network", uuid=UUID(bytes=network.UUID())))


def _on_secret(raw: Any, secret: Any, *details: Any) -> None:
    listener: Listener = details[-1]
    listener(HypervisorEvent(subject="secret", uuid=UUID(bytes=secret.UUID())))


def _on_node_device(raw: Any, device: Any, *details: Any) -> None:
    listener: Listener = details[-1]
    listener(HypervisorEvent(subject="node_device"))


def _on_close(raw: Any, reason: int, listener: Listener) -> None:
    listener(HypervisorEvent(subject="connection"))
