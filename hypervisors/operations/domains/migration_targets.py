"""Where a virtual machine can move to, and what stands in the way of each host: from rows alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from hypervisors.errors import InvalidUri
from hypervisors.gateway.uris import parse_uri
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainCopy, DomainDefinition, Hypervisor, Network, StoragePool
from hypervisors.operations.domains.migration_devices import (
    device_obstacles,
    fixed_ports,
    graphics_obstacles,
    graphics_warnings,
    network_obstacles,
    network_warnings,
    port_obstacles,
)
from hypervisors.operations.domains.migration_storage import MovedDisks
from hypervisors.operations.domains.unmovable import leftover_text, state_obstacles
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

# What a QEMU process takes beside its guest's memory; libvirt documents no figure, this is what small guests show.
_QEMU_OVERHEAD_KIB = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class MigrationTarget:
    """One host of the pool. With obstacles it cannot be chosen; warnings are for the operator to weigh."""

    hypervisor: Hypervisor
    obstacles: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_possible(self) -> bool:
        return not self.obstacles


def migration_targets(domain: Domain) -> list[MigrationTarget]:
    """Every hypervisor of its pool, possible ones first, by name. Six queries, whatever the size of the pool."""
    hypervisors = _hypervisors(domain)
    move = _move_of(domain, hypervisors)
    targets = [_target(move, hypervisor) for hypervisor in hypervisors]
    return sorted(targets, key=lambda target: (not target.is_possible, target.hypervisor.name))


def needed_memory_kib(domain: Domain) -> int:
    """What it takes of a host's memory where it comes to: nothing while it is off."""
    return domain.memory_kib + _QEMU_OVERHEAD_KIB if domain.is_active else 0


def find_migration_target(domain: Domain, hypervisor: Hypervisor) -> MigrationTarget | None:
    """This one alone; None when it is not of the same pool."""
    hypervisors = _hypervisors(domain)
    found = next((row for row in hypervisors if row.pk == hypervisor.pk), None)
    return None if found is None else _target(_move_of(domain, hypervisors), found)


@dataclass(frozen=True, kw_only=True)
class _Move:
    """What is to move; `namesakes_at` are the hypervisors that have another domain of its name."""

    domain: Domain
    source: Hypervisor | None
    # What runs, else what would; and what is asked for.
    parsed: ParsedDomain
    stored: ParsedDomain
    storage: MovedDisks
    # By hypervisor: another with the same UUID, and the ports that screens have.
    copies: Mapping[int, DomainCopy]
    ports: Mapping[int, frozenset[int]]
    namesakes_at: frozenset[int | None]


def _move_of(domain: Domain, hypervisors: Sequence[Hypervisor]) -> _Move:
    try:
        definition = domain.definition
        parsed = parsed_from_json(definition.parsed)
        stored = parsed_from_json(definition.inactive_parsed or definition.live_parsed)
    except DomainDefinition.DoesNotExist:
        parsed = stored = ParsedDomain(name=domain.name)
    source = next((row for row in hypervisors if row.pk == domain.hypervisor_id), None)
    namesakes = Domain.objects.present().filter(name=domain.name).exclude(pk=domain.pk)
    return _Move(
        domain=domain,
        source=source,
        parsed=parsed,
        stored=stored,
        copies={copy.hypervisor_id: copy for copy in domain.copies.all()},
        ports=_ports_in_use(domain, hypervisors) if fixed_ports(stored) else {},
        storage=MovedDisks(parsed, source, is_active=domain.is_active),
        namesakes_at=frozenset(namesakes.values_list("hypervisor", flat=True)),
    )


def _ports_in_use(domain: Domain, hypervisors: Sequence[Hypervisor]) -> dict[int, frozenset[int]]:
    """Ports of screens, by hypervisor. Only asked for where a port is fixed, which is rare."""
    others = DomainDefinition.objects.exclude(domain=domain).filter(
        domain__vanished_at=None, domain__state__in=ACTIVE_DOMAIN_STATES, domain__hypervisor__in=hypervisors
    )
    ports: dict[int, frozenset[int]] = defaultdict(frozenset)
    for hypervisor_id, parsed in others.values_list("domain__hypervisor", "live_parsed"):
        ports[hypervisor_id] |= fixed_ports(parsed_from_json(parsed))
    return ports


def _hypervisors(domain: Domain) -> list[Hypervisor]:
    if domain.hypervisor is None:
        return []
    rows = Hypervisor.objects.filter(hypervisor_pool=domain.hypervisor.hypervisor_pool_id)
    return list(
        rows.prefetch_related(
            Prefetch("storage_pools", StoragePool.objects.present().select_related("shared_storage")),
            Prefetch("networks", Network.objects.present()),
        )
    )


def _target(move: _Move, target: Hypervisor) -> MigrationTarget:
    if target.pk == move.domain.hypervisor_id:
        return MigrationTarget(hypervisor=target, obstacles=[_("It is on this host already.")])
    unreachable = why_unreachable(target)
    if unreachable:
        return MigrationTarget(hypervisor=target, obstacles=[unreachable])
    obstacles = [
        *_maintenance_obstacles(target),
        *_uri_obstacles(target),
        *_machine_obstacles(move.parsed, target),
        *_memory_obstacles(move.domain, target),
        *move.storage.obstacles(target),
        *network_obstacles(move.parsed, target),
        *device_obstacles(move.parsed),
        *_screen_obstacles(move, target),
        *_snapshot_obstacles(move.domain),
        *_copy_obstacles(move, target),
        *state_obstacles(
            move.parsed, is_active=move.domain.is_active, is_paused=move.domain.state == DomainState.PAUSED
        ),
        *_name_obstacles(move, target),
    ]
    warnings = [
        *_warnings(move.domain, move.parsed, target),
        *move.storage.warnings(target),
        *network_warnings(move.parsed, target),
        *(graphics_warnings(move.stored, move.source, target) if move.source else ()),
    ]
    return MigrationTarget(hypervisor=target, obstacles=obstacles, warnings=warnings)


def _maintenance_obstacles(target: Hypervisor) -> Iterator[str]:
    if target.in_maintenance:
        text = _("It is in maintenance since %(time)s by %(user)s: nothing moves there.") % {
            "time": clock(target.admin_state_since),
            "user": target.admin_state_by or _("somebody"),
        }
        yield f"{text} {target.admin_state_reason}".strip()


def _uri_obstacles(target: Hypervisor) -> Iterator[str]:
    try:
        uri = parse_uri(target.peer_uri, allow_test_driver=True)
    except InvalidUri as error:
        yield _("Its migration URI cannot be used: %(error)s") % {"error": error}
        return
    if not uri.host or uri.host in ("localhost", "127.0.0.1", "::1"):
        yield _(
            "Other hosts cannot reach it as %(uri)s. Give %(host)s a migration URI, such as "
            "qemu+tls://%(host)s.example.org/system."
        ) % {"uri": target.peer_uri, "host": target.name}


def _machine_obstacles(parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    if parsed.architecture and target.architecture and parsed.architecture != target.architecture:
        yield _("It is an %(architecture)s machine; this host is %(other)s.") % {
            "architecture": parsed.architecture,
            "other": target.architecture,
        }
        return
    if parsed.domain_type == "kvm" and target.kvm_available is False:
        yield _("It runs under KVM, which this host does not have.")
    if parsed.machine and target.machine_types and parsed.machine not in target.machine_types:
        yield _("This host's QEMU does not know the machine type %(machine)s.") % {"machine": parsed.machine}


def _memory_obstacles(domain: Domain, target: Hypervisor) -> Iterator[str]:
    if not domain.is_active or target.memory_kib is None or target.memory_used_kib is None:
        return
    needed, free = needed_memory_kib(domain), target.memory_kib - target.memory_used_kib
    if needed > free:
        yield _("It needs %(needed).1f GiB of memory; %(free).1f GiB are free there.") % {
            "needed": needed / 1024**2,
            "free": max(0, free) / 1024**2,
        }


def _screen_obstacles(move: _Move, target: Hypervisor) -> Iterator[str]:
    if move.source is not None:
        yield from graphics_obstacles(move.stored, move.source, target)
    if move.domain.is_active:
        yield from port_obstacles(move.stored, move.ports.get(target.pk, frozenset()))


def _snapshot_obstacles(domain: Domain) -> Iterator[str]:
    if domain.has_snapshots:
        yield _("It has snapshots, with which libvirt does not move it; delete them first.")


def _copy_obstacles(move: _Move, target: Hypervisor) -> Iterator[str]:
    copy = move.copies.get(target.pk)
    if copy is not None:
        yield leftover_text(copy.name, target.name, DomainState(copy.state))


def _name_obstacles(move: _Move, target: Hypervisor) -> Iterator[str]:
    if target.pk in move.namesakes_at:
        yield _("There is another virtual machine called “%(name)s” on this host.") % {"name": move.domain.name}


def _warnings(domain: Domain, parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    source = domain.hypervisor
    if source is None:
        return
    if domain.has_checkpoints:
        yield _("Its checkpoints are forgotten by a move: its next backup must be a full one.")
    for program, here, there in (
        ("libvirt", source.libvirt_version, target.libvirt_version),
        ("QEMU", source.qemu_version, target.qemu_version),
    ):
        if _version(there) < _version(here) and there:
            yield _("%(program)s is older there (%(there)s, here %(here)s): the move may be refused.") % {
                "program": program,
                "there": there,
                "here": here,
            }
    if parsed.domain_type == "kvm" and parsed.cpu_mode == "host-passthrough" and source.cpu_model != target.cpu_model:
        yield _("It sees its host's own CPU (host-passthrough); this host has another: %(model)s.") % {
            "model": target.cpu_model
        }


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
