"""Where a virtual machine can move to, and what stands in the way of each host: from rows alone."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models import Prefetch
from django.utils.translation import gettext as _

from hypervisors.errors import InvalidUri
from hypervisors.gateway.uris import parse_uri
from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Hypervisor, Network, StoragePool
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable

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
    move = _move_of(domain)
    targets = [_target(move, hypervisor) for hypervisor in _hypervisors(domain)]
    return sorted(targets, key=lambda target: (not target.is_possible, target.hypervisor.name))


def find_migration_target(domain: Domain, hypervisor: Hypervisor) -> MigrationTarget | None:
    """This one alone; None when it is not of the same pool."""
    found = next((row for row in _hypervisors(domain) if row.pk == hypervisor.pk), None)
    return None if found is None else _target(_move_of(domain), found)


@dataclass(frozen=True, kw_only=True)
class _Move:
    """What is to move; `namesakes_at` are the hypervisors that have another domain of its name."""

    domain: Domain
    parsed: ParsedDomain
    namesakes_at: frozenset[int | None]


def _move_of(domain: Domain) -> _Move:
    try:
        parsed = parsed_from_json(domain.definition.parsed)
    except DomainDefinition.DoesNotExist:
        parsed = ParsedDomain(name=domain.name)
    namesakes = Domain.objects.present().filter(name=domain.name).exclude(pk=domain.pk)
    return _Move(domain=domain, parsed=parsed, namesakes_at=frozenset(namesakes.values_list("hypervisor", flat=True)))


def _hypervisors(domain: Domain) -> list[Hypervisor]:
    if domain.hypervisor is None:
        return []
    rows = Hypervisor.objects.filter(hypervisor_pool=domain.hypervisor.hypervisor_pool_id)
    return list(
        rows.prefetch_related(
            Prefetch("storage_pools", StoragePool.objects.present()), Prefetch("networks", Network.objects.present())
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
        *_disk_obstacles(move.parsed, target),
        *_network_obstacles(move.parsed, target),
        *_device_obstacles(move.parsed),
        *_name_obstacles(move, target),
    ]
    warnings = list(_warnings(move.domain, move.parsed, target))
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
    needed, free = domain.memory_kib + _QEMU_OVERHEAD_KIB, target.memory_kib - target.memory_used_kib
    if needed > free:
        yield _("It needs %(needed).1f GiB of memory; %(free).1f GiB are free there.") % {
            "needed": needed / 1024**2,
            "free": max(0, free) / 1024**2,
        }


def _disk_obstacles(parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    storage_pools = list(target.storage_pools.all())
    active_names = {pool.name for pool in storage_pools if pool.active}
    active_paths = {posixpath.normpath(pool.target_path) for pool in storage_pools if pool.active and pool.target_path}
    idle_paths = {posixpath.normpath(pool.target_path): pool.name for pool in storage_pools if not pool.active}
    for disk in parsed.disks:
        if disk.source_kind == "volume":
            name = disk.source.partition("/")[0]
            if name not in active_names:
                yield _("Disk %(disk)s is in the storage pool “%(pool)s”, which is not active there.") % {
                    "disk": disk.target,
                    "pool": name,
                }
        elif disk.source and disk.source_kind in ("file", "block", "dir"):
            yield from _path_obstacles(disk, active_paths, idle_paths)


def _path_obstacles(disk: Disk, active_paths: set[str], idle_paths: dict[str, str]) -> Iterator[str]:
    directories = set(_parents(disk.source))
    if directories & active_paths:
        return
    if directories & idle_paths.keys():
        pool = idle_paths[next(iter(directories & idle_paths.keys()))]
        yield _("The storage pool “%(pool)s” with disk %(disk)s (%(path)s) is not active there.") % {
            "pool": pool,
            "disk": disk.target,
            "path": disk.source,
        }
    elif disk.device in ("cdrom", "floppy"):
        yield _("The medium in drive %(disk)s (%(path)s) is not on this host; eject it first.") % {
            "disk": disk.target,
            "path": disk.source,
        }
    else:
        yield _("Disk %(disk)s (%(path)s) is in no storage pool of this host.") % {
            "disk": disk.target,
            "path": disk.source,
        }


def _parents(path: str) -> Iterator[str]:
    while path not in ("/", "", "."):
        path = posixpath.dirname(posixpath.normpath(path))
        if path != "/":
            yield path


def _network_obstacles(parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    active = {network.name: network.active for network in target.networks.all()}
    for name in dict.fromkeys(nic.source for nic in parsed.interfaces if nic.kind == "network"):
        if name not in active:
            yield _("The network “%(network)s” does not exist there.") % {"network": name}
        elif not active[name]:
            yield _("The network “%(network)s” is not active there.") % {"network": name}


def _device_obstacles(parsed: ParsedDomain) -> Iterator[str]:
    for device in parsed.host_devices:
        yield _("It uses a device of its host (%(device)s); detach it first.") % {"device": device}
    for filesystem in parsed.filesystems:
        yield _("It shares the directory %(path)s with its host; detach it first.") % {"path": filesystem.source}


def _name_obstacles(move: _Move, target: Hypervisor) -> Iterator[str]:
    if target.pk in move.namesakes_at:
        yield _("There is another virtual machine called “%(name)s” on this host.") % {"name": move.domain.name}


def _warnings(domain: Domain, parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    source = domain.hypervisor
    if source is None:
        return
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
