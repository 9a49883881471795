"""What the kinds of operations on storage pools share, beside what they have in common with networks."""

from django.utils.translation import gettext_lazy

from hypervisors.gateway.storage.storage_pool_actions import STORAGE_POOLS
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.libvirtxml.storage_pool_builder import STORAGE_POOL_XML
from hypervisors.models import StoragePool
from hypervisors.operations.definitions.calls import DefinitionOperation
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege

# Mounting, scanning and activating take a while; a server that is away takes longer.
CALL_SECONDS = 120.0


class StoragePoolOperation(DefinitionOperation[StoragePool]):
    subject_type = "storage_pool"
    privilege = Privilege.STORAGE_MANAGE
    definitions = STORAGE_POOLS
    xml = STORAGE_POOL_XML
    call_seconds = CALL_SECONDS
    gone = gettext_lazy("The storage pool is gone.")
    gone_since = gettext_lazy("The storage pool is gone; it was last seen at %(time)s.")

    def row_of(self, run: Run) -> StoragePool | None:
        rows = StoragePool.objects.select_related("hypervisor", "shared_storage")
        return rows.filter(pk=int(run.operation.subject_key)).first()

    def read_again(self, storage_pool: StoragePool) -> None:
        request_storage_pool_refresh(storage_pool.hypervisor_id, storage_pool.uuid)
