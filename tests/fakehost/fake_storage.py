"""A storage pool on libvirt's test driver, as its row and as libvirt has it."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.volumes import VolumeFacts, list_volumes, read_volume
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Operation, StoragePool, Volume
from hypervisors.operations.engine.requests import request_operation

POOL_UUID = UUID("dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566")
NODE = f"""<node>
  <pool type='dir'><name>images</name><uuid>{POOL_UUID}</uuid><target><path>/images</path></target></pool>
</node>"""
GIB = 1024**3


class Storage:
    """A storage pool of a hypervisor of the test driver, as its row and as libvirt has it."""

    def __init__(self, row: StoragePool) -> None:
        self.row = row

    @property
    def connection(self) -> Any:
        return cached_connection(endpoint_of(self.row.hypervisor))

    def names(self) -> list[str]:
        return [facts.name for facts in list_volumes(self.connection, POOL_UUID)]

    def find(self, name: str) -> VolumeFacts | None:
        return read_volume(self.connection, POOL_UUID, name)

    def mirror(self, name: str) -> Volume:
        """Write what the watcher would."""
        facts = self.find(name)
        assert facts is not None
        return Volume.objects.create(
            storage_pool=self.row,
            name=name,
            path=facts.path,
            format=facts.format,
            capacity_bytes=facts.capacity_bytes,
        )


def ask(storage: Storage, user: User, **parameters: Any) -> Operation:
    given = {"name": "disk1.qcow2", "format": "qcow2", "capacity_bytes": GIB} | parameters
    return request_operation(user=user, kind="create_volume", subject=storage.row, parameters=given)
