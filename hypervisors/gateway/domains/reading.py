"""What a hypervisor says of its domains, https://libvirt.org/html/libvirt-libvirt-domain.html; in bulk where it can."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import NotFound
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domains.snapshots import SnapshotFacts, read_snapshots, snapshot_names
from hypervisors.gateway.domains.states import IO_ERROR, domain_state_of, read_disk_errors, state_reason
from hypervisors.gateway.failures import is_missing
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState


@dataclass(frozen=True, kw_only=True)
class DomainFacts:
    """One domain as its hypervisor described it. XML is without secrets; "" where there is none."""

    uuid: UUID
    name: str
    state: DomainState
    state_reason: str
    persistent: bool
    autostart: bool
    has_managed_save: bool
    live_xml: str
    inactive_xml: str
    has_snapshots: bool = False
    has_checkpoints: bool = False
    # Of one that an I/O error paused: "vdb: no space left".
    disk_errors: tuple[str, ...] = ()
    snapshots: tuple[SnapshotFacts, ...] = ()
    # As snapshot_names() tells them.
    snapshot_names: tuple[str, ...] = ()

    def summary(self) -> "DomainSummary":
        """The same without XML."""
        return DomainSummary(
            uuid=self.uuid,
            name=self.name,
            state=self.state,
            state_reason=self.state_reason,
            persistent=self.persistent,
            autostart=self.autostart,
            has_managed_save=self.has_managed_save,
            has_snapshots=self.has_snapshots,
            has_checkpoints=self.has_checkpoints,
            snapshot_names=self.snapshot_names,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainSummary:
    """What six bulk calls tell of one domain: all of DomainFacts but XML, snapshots and its disks' errors."""

    uuid: UUID
    name: str
    state: DomainState
    state_reason: str
    persistent: bool
    autostart: bool
    has_managed_save: bool
    has_snapshots: bool
    has_checkpoints: bool
    # As snapshot_names() tells them; empty without any.
    snapshot_names: tuple[str, ...] = ()


def list_domain_summaries(connection: Connection) -> list[DomainSummary]:
    """All domains without their XML: a few milliseconds for hundreds. Raises: errors.HypervisorError."""
    with translated("list the virtual machines"):
        return [summary for _domain, summary in _summaries(connection.raw)]


def list_domains(connection: Connection, *, on_progress: Callable[[], None] | None = None) -> list[DomainFacts]:
    """All domains: six bulk calls, and one XMLDesc for each (two for running ones).

    `on_progress` is called after each domain, for a watchdog. Raises: errors.HypervisorError.
    """
    found = []
    with translated("list the virtual machines"):
        for domain, summary in _summaries(connection.raw):
            facts = _facts(domain, summary)
            if facts is not None:
                found.append(facts)
            if on_progress is not None:
                on_progress()
    return found


def read_domain(connection: Connection, uuid: UUID) -> DomainFacts | None:
    """One domain; None when the hypervisor does not have it (any more)."""
    try:
        with translated(f"read virtual machine {uuid}"):
            domain = connection.raw.lookupByUUID(uuid.bytes)
            state, reason = domain.state()
            has_snapshots = _optional_count(domain.snapshotNum) > 0
            summary = DomainSummary(
                uuid=uuid,
                name=domain.name(),
                state=domain_state_of(state),
                state_reason=state_reason(state, reason),
                persistent=bool(domain.isPersistent()),
                autostart=bool(domain.autostart()),
                has_managed_save=bool(domain.hasManagedSaveImage(0)),
                has_snapshots=has_snapshots,
                has_checkpoints=_optional_count(lambda: len(domain.listAllCheckpoints())) > 0,
                snapshot_names=_names(domain) if has_snapshots else (),
            )
            return _facts(domain, summary)
    except NotFound:
        return None


def domain_state(connection: Connection, uuid: UUID) -> DomainState | None:
    """Its state; None when the hypervisor does not have it."""
    try:
        with translated(f"read the state of virtual machine {uuid}"):
            return domain_state_of(connection.raw.lookupByUUID(uuid.bytes).state()[0])
    except NotFound:
        return None


def _summaries(raw: "libvirt.virConnect") -> Iterator[tuple["libvirt.virDomain", DomainSummary]]:
    persistent = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
    autostart = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    saved = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    with_snapshots = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT)
    with_checkpoints = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT)
    for domain, record in raw.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        uuid = domain.UUID()
        state = record.get("state.state", 0)
        yield (
            domain,
            DomainSummary(
                uuid=UUID(bytes=uuid),
                name=domain.name(),
                state=domain_state_of(state),
                state_reason=state_reason(state, record.get("state.reason", 0)),
                persistent=uuid in persistent,
                autostart=uuid in autostart,
                has_managed_save=uuid in saved,
                has_snapshots=uuid in with_snapshots,
                has_checkpoints=uuid in with_checkpoints,
                snapshot_names=_names(domain) if uuid in with_snapshots else (),
            ),
        )


def _uuids(raw: "libvirt.virConnect", flag: int) -> set[bytes]:
    return {domain.UUID() for domain in raw.listAllDomains(flag)}


def _names(domain: "libvirt.virDomain") -> tuple[str, ...]:
    """None of one that vanished between two calls."""
    try:
        return snapshot_names(domain)
    except libvirt.libvirtError as error:
        if is_missing(error):
            return ()
        raise


def _optional_count(count: Callable[[], int]) -> int:
    """0 where this driver has no such thing."""
    try:
        return count()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return 0
        raise


def _facts(domain: "libvirt.virDomain", summary: DomainSummary) -> DomainFacts | None:
    """None when it vanished between two calls."""
    is_active = summary.state in ACTIVE_DOMAIN_STATES
    wants_inactive = summary.persistent or not is_active
    try:
        live_xml = domain.XMLDesc(0) if is_active else ""
        inactive_xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if wants_inactive else ""
        is_io_paused = (summary.state, summary.state_reason) == (DomainState.PAUSED, IO_ERROR)
        disk_errors = read_disk_errors(domain) if is_io_paused else ()
        snapshots = read_snapshots(domain) if summary.has_snapshots else ()
    except libvirt.libvirtError as error:
        if is_missing(error):
            return None
        raise
    return DomainFacts(
        uuid=summary.uuid,
        name=summary.name,
        state=summary.state,
        state_reason=summary.state_reason,
        persistent=summary.persistent,
        autostart=summary.autostart,
        has_managed_save=summary.has_managed_save,
        live_xml=live_xml,
        inactive_xml=inactive_xml,
        has_snapshots=summary.has_snapshots,
        has_checkpoints=summary.has_checkpoints,
        disk_errors=disk_errors,
        snapshots=snapshots,
        snapshot_names=summary.snapshot_names,
    )
