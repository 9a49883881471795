"""What a hypervisor says of its domains, https://libvirt.org/html/libvirt-libvirt-domain.html; in bulk where it can."""

from dataclasses import dataclass
from uuid import UUID

import libvirt

from hypervisors.errors import NotFound
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.domain_states import domain_state_of, state_reason
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


def list_domains(connection: Connection) -> list[DomainFacts]:
    """All domains: four bulk calls, and one XMLDesc for each domain (two for running ones)."""
    with translated("list the virtual machines"):
        raw = connection.raw
        persistent = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
        autostart = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
        saved = _uuids(raw, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        found = []
        for domain, record in raw.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
            uuid = domain.UUID()
            facts = _facts(
                domain,
                state=record.get("state.state", 0),
                reason=record.get("state.reason", 0),
                persistent=uuid in persistent,
                autostart=uuid in autostart,
                has_managed_save=uuid in saved,
            )
            if facts is not None:
                found.append(facts)
        return found


def read_domain(connection: Connection, uuid: UUID) -> DomainFacts | None:
    """One domain; None when the hypervisor does not have it (any more)."""
    try:
        with translated(f"read virtual machine {uuid}"):
            domain = connection.raw.lookupByUUID(uuid.bytes)
            state, reason = domain.state()
            return _facts(
                domain,
                state=state,
                reason=reason,
                persistent=bool(domain.isPersistent()),
                autostart=bool(domain.autostart()),
                has_managed_save=bool(domain.hasManagedSaveImage(0)),
            )
    except NotFound:
        return None


def domain_state(connection: Connection, uuid: UUID) -> DomainState | None:
    """Its state; None when the hypervisor does not have it."""
    try:
        with translated(f"read the state of virtual machine {uuid}"):
            return domain_state_of(connection.raw.lookupByUUID(uuid.bytes).state()[0])
    except NotFound:
        return None


def _uuids(raw: "libvirt.virConnect", flag: int) -> set[bytes]:
    return {domain.UUID() for domain in raw.listAllDomains(flag)}


def _facts(
    domain: "libvirt.virDomain",
    *,
    state: int,
    reason: int,
    persistent: bool,
    autostart: bool,
    has_managed_save: bool,
) -> DomainFacts | None:
    """None when it vanished between two calls."""
    state_value = domain_state_of(state)
    is_active = state_value in ACTIVE_DOMAIN_STATES
    try:
        live_xml = domain.XMLDesc(0) if is_active else ""
        inactive_xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if persistent or not is_active else ""
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    return DomainFacts(
        uuid=UUID(bytes=domain.UUID()),
        name=domain.name(),
        state=state_value,
        state_reason=state_reason(state, reason),
        persistent=persistent,
        autostart=autostart,
        has_managed_save=has_managed_save,
        live_xml=live_xml,
        inactive_xml=inactive_xml,
    )
