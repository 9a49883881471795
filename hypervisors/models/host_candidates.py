"""The hosts of a pool as `planning.choose_host` takes them, from the rows."""

from collections import defaultdict
from collections.abc import Iterable

from hypervisors.models.hypervisor_capabilities import capabilities_of
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.networks import Network
from hypervisors.models.storage_pools import StoragePool
from hypervisors.planning.placement import HostCandidate
from hypervisors.states import AdminState


def host_candidates(hypervisors: Iterable[Hypervisor]) -> list[HostCandidate]:
    """In their order; three queries however many there are."""
    hosts = list(hypervisors)
    capabilities, storage, networks = capabilities_of(hosts), _storage(hosts), _networks(hosts)
    return [
        HostCandidate(
            host_id=host.pk,
            name=host.name,
            is_enabled=host.admin_state == AdminState.ENABLED,
            is_online=host.is_online,
            memory_kib=host.memory_kib,
            memory_free_kib=_free_kib(host),
            cpu_count=host.cpu_count,
            cpu_percent=host.cpu_percent,
            storage_free_bytes=storage[host.pk],
            networks=networks[host.pk] | {("bridge", name) for name in host.interface_names or ()},
            capabilities=capabilities.get(host.pk),
        )
        for host in hosts
    ]


def storage_key(storage_pool: StoragePool) -> str:
    """The same for every host's storage pool that is the same storage."""
    if storage_pool.shared_storage_id is not None:
        return f"shared:{storage_pool.shared_storage_id}"
    return f"pool:{storage_pool.pk}"


def _free_kib(host: Hypervisor) -> int | None:
    if host.memory_kib is None or host.memory_used_kib is None:
        return host.memory_kib
    return max(0, host.memory_kib - host.memory_used_kib)


def _storage(hosts: list[Hypervisor]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = defaultdict(dict)
    pools = StoragePool.objects.present().filter(hypervisor__in=hosts, active=True, trouble="")
    for pool in pools.only("hypervisor_id", "shared_storage_id", "available_bytes"):
        found[pool.hypervisor_id][storage_key(pool)] = pool.available_bytes
    return found


def _networks(hosts: list[Hypervisor]) -> dict[int, frozenset[tuple[str, str]]]:
    found: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for network in Network.objects.present().filter(hypervisor__in=hosts, active=True):
        found[network.hypervisor_id].add(("network", network.name))
    return defaultdict(frozenset, {pk: frozenset(names) for pk, names in found.items()})
