"""Have libvirt look at what is in a storage pool now, on every host that has the same storage."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from hypervisors.errors import HypervisorError
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import StoragePool
from hypervisors.operations.engine.runs import Result, Run, failed, succeeded
from hypervisors.operations.storage.storage_operations import storage_pools_of
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation

_REFRESH_SECONDS = 120.0


class RefreshStoragePool(StoragePoolOperation):
    kind = "refresh_storage_pool"
    label = gettext_lazy("Refresh storage pool")
    icon = "refresh"

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        return "" if storage_pool.active else _("It is not started.")

    def run(self, run: Run) -> Result:
        storage_pool = self.row_of(run)
        if storage_pool is None:
            return self.result_without_row()
        read, problems = 0, []
        for one in storage_pools_of(storage_pool):
            try:
                _refresh(run, one)
                read += 1
            except HypervisorError as error:
                problems.append(f"{one.hypervisor.name}: {error}")
            request_storage_pool_refresh(one.hypervisor_id, one.uuid)
        if problems:
            return failed(" ".join(problems))
        return succeeded(
            ngettext("It is read again on %(count)d host.", "It is read again on %(count)d hosts.", read)
            % {"count": read}
        )


def _refresh(run: Run, storage_pool: StoragePool) -> None:
    uuid = storage_pool.uuid
    run.ask(
        lambda connection: refresh_storage_pool(connection, uuid),
        hypervisor=storage_pool.hypervisor,
        seconds=_REFRESH_SECONDS,
    )
