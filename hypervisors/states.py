"""The states that domains, hypervisors and operations can be in, as plain strings that go into rows and messages."""

from enum import StrEnum


class DomainState(StrEnum):
    """virDomainState, https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainState, in lower case."""

    NOSTATE = "nostate"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"


# States in which a QEMU process exists. Crashed is one: only <on_crash>preserve</on_crash> keeps that state, with all
# that the guest was at; what is otherwise known of a crash is shutoff.
ACTIVE_DOMAIN_STATES = frozenset(
    {
        DomainState.RUNNING,
        DomainState.BLOCKED,
        DomainState.PAUSED,
        DomainState.SHUTDOWN,
        DomainState.CRASHED,
        DomainState.PMSUSPENDED,
    }
)


class HypervisorStatus(StrEnum):
    """What the watcher knows of a hypervisor now."""

    CONNECTING = "connecting"
    ONLINE = "online"
    STALE = "stale"  # the connection stands, but calls are not answered
    OFFLINE = "offline"  # no connection; `status_reason` says why


class AdminState(StrEnum):
    """What people want with a hypervisor, whatever the watcher sees of it."""

    ENABLED = "enabled"
    MAINTENANCE = "maintenance"  # nothing new goes there; what runs there stays
    DISABLED = "disabled"  # the watcher leaves it alone


class OperationState(StrEnum):
    """queued -> running -> succeeded | failed | cancelled | interrupted; the runner alone changes it."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


UNFINISHED_OPERATION_STATES = frozenset({OperationState.QUEUED, OperationState.RUNNING})


class UploadState(StrEnum):
    """waiting -> making -> open -> checking -> received -> done; or failed, or discarded at any time before.

    A worker makes the volume and ends the upload; in between, the transfer process alone changes it.
    """

    WAITING = "waiting"
    MAKING = "making"  # the volume is being made
    OPEN = "open"  # bytes may come
    CHECKING = "checking"  # all are there; what the host has is compared with the checksum
    RECEIVED = "received"
    DONE = "done"
    MISMATCHED = "mismatched"  # it is there and whole, but its checksum is another than was expected
    FAILED = "failed"
    DISCARDED = "discarded"


UNFINISHED_UPLOAD_STATES = frozenset(
    {UploadState.WAITING, UploadState.MAKING, UploadState.OPEN, UploadState.CHECKING, UploadState.RECEIVED}
)
