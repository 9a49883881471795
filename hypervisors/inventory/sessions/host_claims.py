"""Which hypervisor row a machine belongs to: two rows of one machine would show each of its domains twice."""

import threading
from collections.abc import Mapping
from uuid import UUID


class HostClaims:
    """Host UUIDs and the rows that hold them; the first come keeps it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[UUID, int] = {}

    def seed(self, holders: Mapping[UUID, int]) -> None:
        """What rows already say; kept as long as nobody is known for that machine."""
        with self._lock:
            for host_uuid, hypervisor_id in holders.items():
                self._holders.setdefault(host_uuid, hypervisor_id)

    def claim(self, host_uuid: UUID | None, hypervisor_id: int) -> int | None:
        """Take the machine for this row, and let go of another it had. The other row's id when that one has it."""
        with self._lock:
            holder = self._holders.get(host_uuid) if host_uuid is not None else None
            if holder is not None and holder != hypervisor_id:
                return holder
            self._holders = {known: row for known, row in self._holders.items() if row != hypervisor_id}
            if host_uuid is not None:
                self._holders[host_uuid] = hypervisor_id
            return None

    def release(self, hypervisor_id: int) -> None:
        """The row is gone."""
        with self._lock:
            self._holders = {known: row for known, row in self._holders.items() if row != hypervisor_id}
