"""By which UUID vmportal knows a domain: libvirt's, unless a domain of another hypervisor pool is known by it.

Unrelated pools may each own a clone with the same UUID, and both must be seen. The second one to be seen gets a UUID
that is made of libvirt's and of its pool, so that it is the same whoever makes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID, uuid5

from hypervisors.inventory.domains.records import DomainRecord, taken_elsewhere


class Identities:
    """Used by the writer's thread; others may ask `known`."""

    def __init__(self) -> None:
        self._pools: dict[int, int] = {}
        # By pool and libvirt's UUID, and by hypervisor and libvirt's UUID: only those that differ.
        self._by_pool: dict[tuple[int, UUID], UUID] = {}
        self._by_hypervisor: dict[tuple[int, UUID], UUID] = {}
        self._shared: dict[UUID, UUID] = {}

    def clear(self) -> None:
        for known in (self._by_pool, self._by_hypervisor, self._shared):
            known.clear()

    def note_hypervisor_pools(self, pools: Mapping[int, int]) -> None:
        """Which hypervisor is in which pool."""
        self._pools = dict(pools)

    def note(self, record: DomainRecord) -> None:
        """A row as it was read."""
        pool = self._pools.get(record.hypervisor_id or 0)
        if record.shared_uuid is not None and pool is not None:
            self._keep(pool, record.shared_uuid, record.uuid)

    def forget(self, record: DomainRecord) -> None:
        if record.shared_uuid is not None:
            self._shared.pop(record.uuid, None)
            self._by_pool = {key: uuid for key, uuid in self._by_pool.items() if uuid != record.uuid}

    def forget_hypervisor(self, hypervisor_id: int) -> None:
        for key in [key for key in list(self._by_hypervisor) if key[0] == hypervisor_id]:
            self._by_hypervisor.pop(key, None)

    def shared_uuid(self, uuid: UUID) -> UUID | None:
        """libvirt's UUID of a domain that is known by another; None where it is known by that."""
        return self._shared.get(uuid)

    def known(self, hypervisor_id: int, libvirt_uuid: UUID) -> UUID:
        """By which UUID what this hypervisor calls so is known, as far as it was seen. May be asked by any thread."""
        return self._by_hypervisor.get((hypervisor_id, libvirt_uuid), libvirt_uuid)

    def keys(
        self, hypervisor_id: int, libvirt_uuids: Sequence[UUID], records: Mapping[UUID, DomainRecord]
    ) -> list[UUID]:
        """For each of a hypervisor's domains the UUID that it is known by. Those never seen are looked for in rows."""
        pool = self._pools.get(hypervisor_id)
        if pool is None:
            return list(libvirt_uuids)
        taken = self._taken(pool, libvirt_uuids, records)
        return [self._key(hypervisor_id, pool, uuid, is_taken=uuid in taken) for uuid in libvirt_uuids]

    def _taken(self, pool: int, uuids: Iterable[UUID], records: Mapping[UUID, DomainRecord]) -> set[UUID]:
        """Those that a domain of another pool is known by."""
        taken, unknown = set(), []
        for uuid in uuids:
            record = records.get(uuid)
            if record is None:
                if (pool, uuid) not in self._by_pool:
                    unknown.append(uuid)
            elif record.vanished_at is None and self._pools.get(record.hypervisor_id or 0, pool) != pool:
                taken.add(uuid)
        return taken | taken_elsewhere(unknown, pool) if unknown else taken

    def _key(self, hypervisor_id: int, pool: int, uuid: UUID, *, is_taken: bool) -> UUID:
        key = self._by_pool.get((pool, uuid))
        if key is None and not is_taken:
            return uuid
        if key is None:
            key = uuid5(uuid, f"hypervisor pool {pool}")
            self._keep(pool, uuid, key)
        self._by_hypervisor[hypervisor_id, uuid] = key
        return key

    def _keep(self, pool: int, libvirt_uuid: UUID, uuid: UUID) -> None:
        self._by_pool[pool, libvirt_uuid] = uuid
        self._shared[uuid] = libvirt_uuid
