"""On which host of a pool a new machine runs best: values in, a choice with its reason out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from hypervisors.libvirtxml.host_capabilities import HostCapabilities
from hypervisors.planning.machines import has_machine

_GIB_KIB = 1024**2
_GIB_BYTES = 1024**3
# What a host keeps for itself and for each QEMU's own needs.
_RESERVE_KIB = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class HostCandidate:
    """A host as the rows know it. None where that is not known."""

    host_id: int
    name: str
    is_enabled: bool = True
    is_online: bool = True
    # How old what is known of it is, where that is too old to be believed; for people: "12 minutes".
    stale_for: str = ""
    memory_kib: int | None = None
    memory_free_kib: int | None = None
    cpu_count: int | None = None
    cpu_percent: float | None = None
    # What it sees: storage by a key that is the same on every host that shares it, with the free bytes.
    storage_free_bytes: dict[str, int] = field(default_factory=dict)
    networks: frozenset[tuple[str, str]] = frozenset()  # ("network", "default"), ("bridge", "br0")
    capabilities: HostCapabilities | None = None


@dataclass(frozen=True, kw_only=True)
class StorageNeed:
    """Room for a disk; 0 bytes: only to be seen."""

    key: str
    name: str  # the storage pool's, for people
    free_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class PlacementNeeds:
    """What the machine asks of its host; empty: anything will do."""

    memory_kib: int
    vcpus: int = 1
    storage: tuple[StorageNeed, ...] = ()
    networks: tuple[tuple[str, str], ...] = ()
    arch: str = ""
    virt_type: str = ""
    machine: str = ""
    uefi: bool = False
    secure_boot: bool = False
    tpm: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """`host_id` None: none will do, `reason` says so. `rejected`: each of the others that cannot, and why."""

    host_id: int | None
    reason: str
    rejected: tuple[tuple[int, str], ...] = ()


def choose_host(candidates: Sequence[HostCandidate], needs: PlacementNeeds) -> Placement:
    """The one with most left of memory and processor; of equals the first by name."""
    refusals = {host.host_id: next(_obstacles(host, needs), "") for host in candidates}
    able = [host for host in candidates if not refusals[host.host_id]]
    rejected = tuple((host_id, reason) for host_id, reason in refusals.items() if reason)
    if not able:
        return Placement(host_id=None, reason=_why_none(candidates, refusals), rejected=rejected)
    best = max(able, key=lambda host: (_score(host, needs), [-ord(character) for character in host.name]))
    return Placement(host_id=best.host_id, reason=_why(best, able), rejected=rejected)


def why_not(host: HostCandidate, needs: PlacementNeeds) -> str:
    """Why a machine cannot run there; empty when it can."""
    return next(_obstacles(host, needs), "")


def _obstacles(host: HostCandidate, needs: PlacementNeeds) -> Iterator[str]:
    """Sentences; the first is the one to say."""
    if not host.is_enabled:
        yield "It takes nothing new: it is disabled or in maintenance."
    if not host.is_online:
        yield "It is not online."
    if host.stale_for:
        yield f"It has not been heard of for {host.stale_for}."
    if host.memory_free_kib is not None and host.memory_free_kib < needs.memory_kib + _RESERVE_KIB:
        yield f"{_gib(host.memory_free_kib)} of memory are free; {_gib(needs.memory_kib)} are needed, with some left."
    if host.cpu_count is not None and host.cpu_count < 1:
        yield "It says that it has no processors."
    yield from _storage_obstacles(host, needs)
    for kind, name in needs.networks:
        if (kind, name) not in host.networks:
            yield f"It has no {kind} “{name}”."
    if host.capabilities is not None:
        yield from _capability_obstacles(host.capabilities, needs)


def _storage_obstacles(host: HostCandidate, needs: PlacementNeeds) -> Iterator[str]:
    for key in dict.fromkeys(need.key for need in needs.storage):
        asked = [need for need in needs.storage if need.key == key]
        free = host.storage_free_bytes.get(key)
        if free is None:
            yield f"It does not see the storage pool “{asked[0].name}”."
        elif free < (wanted := sum(need.free_bytes for need in asked)):
            yield (
                f"The storage pool “{asked[0].name}” has {free / _GIB_BYTES:.1f} GiB free; "
                f"{wanted / _GIB_BYTES:.1f} GiB are needed."
            )


def _capability_obstacles(host: HostCapabilities, needs: PlacementNeeds) -> Iterator[str]:
    guest = host.guest(needs.arch) if needs.arch else None
    if needs.arch and guest is None:
        yield f"It cannot run machines of the processor {needs.arch}."
    if guest is None:
        return
    if needs.virt_type and needs.virt_type not in guest.virt_types:
        yield "It has no KVM." if needs.virt_type == "kvm" else f"It does not run machines as “{needs.virt_type}”."
    if needs.machine and not has_machine(host, arch=needs.arch, machine=needs.machine):
        yield f"Its QEMU has no machine type {needs.machine}."
    domain = host.domain(arch=needs.arch, virt_type=needs.virt_type, machine=needs.machine)
    if domain is None:
        return
    if domain.vcpus_maximum is not None and domain.vcpus_maximum < needs.vcpus:
        yield f"Its machines have at most {domain.vcpus_maximum} vCPUs."
    if needs.uefi and "efi" not in domain.firmwares:
        yield "It has no UEFI firmware; install OVMF there."
    if needs.secure_boot and not domain.has_secure_boot:
        yield "It has no firmware with Secure Boot."
    if needs.tpm and "emulator" not in domain.tpm_backends:
        yield "It cannot emulate a TPM; install swtpm there."


def _score(host: HostCandidate, needs: PlacementNeeds) -> float:
    """0 to 1: the share of memory that would stay free, and that of the processors that idles now."""
    return 0.5 * _memory_share(host, needs.memory_kib) + 0.5 * (1 - min(host.cpu_percent or 0.0, 100.0) / 100)


def _memory_share(host: HostCandidate, memory_kib: int = 0) -> float:
    if not host.memory_kib or host.memory_free_kib is None:
        return 0.0
    return max(0.0, min(1.0, (host.memory_free_kib - memory_kib) / host.memory_kib))


def _why(best: HostCandidate, able: Sequence[HostCandidate]) -> str:
    """ "host2: 3.1 GiB free, least loaded"."""
    said = [] if best.memory_free_kib is None else [f"{_gib(best.memory_free_kib)} free"]
    if len(able) == 1:
        said.append("the only one that can")
    elif _is_alone(best, able, lambda host: -(host.cpu_percent or 0.0)):
        said.append("least loaded")
    elif _is_alone(best, able, lambda host: host.memory_free_kib or 0):
        said.append("most memory free")
    return f"{best.name}: {', '.join(said)}" if said else best.name


def _is_alone(best: HostCandidate, able: Sequence[HostCandidate], value: Callable[[HostCandidate], float]) -> bool:
    """Whether it is ahead of each of the others."""
    return all(value(best) > value(host) for host in able if host is not best)


def _why_none(candidates: Sequence[HostCandidate], refusals: dict[int, str]) -> str:
    if not candidates:
        return "The pool has no hosts."
    reasons = "; ".join(f"{host.name}: {refusals[host.host_id].rstrip('.')}" for host in candidates[:5])
    more = f"; and {len(candidates) - 5} more" if len(candidates) > 5 else ""
    return f"No host can run it. {reasons}{more}."


def _gib(kib: int) -> str:
    return f"{kib / _GIB_KIB:.1f} GiB"
