"""A hypervisor of libvirt's test driver, its storage pools, and what is asked of them."""

from typing import Any

from django.contrib.auth.models import User

from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts, list_storage_pool_uuids, read_storage_pool
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.storage.storage_pools import pool_columns
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.models import Hypervisor, Operation, StoragePool
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import OperationState
from tests.fakehost.killing import run_to_end

SPEC = StoragePoolSpec(pool_type="dir", name="images", target_path="/srv/images")
NODE = "<node/>"


class FakeHost:
    """A hypervisor of the test driver: its row, and what libvirt has."""

    def __init__(self, row: Hypervisor) -> None:
        self.row = row

    @property
    def connection(self) -> Any:
        return cached_connection(endpoint_of(self.row))

    def pools(self) -> dict[str, StoragePoolFacts]:
        found = (read_storage_pool(self.connection, uuid) for uuid in list_storage_pool_uuids(self.connection))
        return {facts.name: facts for facts in found if facts is not None}

    def mirror(self, name: str) -> StoragePool:
        """Write what the watcher would."""
        values = pool_columns(self.pools()[name])
        row, _created = StoragePool.objects.update_or_create(
            hypervisor=self.row, uuid=values.pop("uuid"), defaults=values
        )
        return row


def ask(host: FakeHost, user: User, wanted: StoragePoolSpec = SPEC, **parameters: Any) -> Operation:
    given = {"spec": wanted.to_json()} | parameters
    return request_operation(user=user, kind="create_storage_pool", subject=host.row, parameters=given)


def do(row: StoragePool, kind: str, user: User, **parameters: Any) -> Operation:
    fresh = StoragePool.objects.select_related("hypervisor").get(pk=row.pk)
    return run_to_end(request_operation(user=user, kind=kind, subject=fresh, parameters=parameters))


def made(host: FakeHost, user: User, spec: StoragePoolSpec = SPEC, **parameters: Any) -> StoragePool:
    operation = run_to_end(ask(host, user, spec, **parameters))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    return host.mirror(spec.name)
