"""Stop a storage pool. Nothing in it is deleted; what is not a plain folder goes away from the host with it."""

from django.utils.translation import gettext_lazy

from hypervisors.models import StoragePool
from hypervisors.operations.definitions.calls import StopDefined
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation
from hypervisors.operations.storage.storage_pool_users import storage_pool_users, why_used


class StopStoragePool(StopDefined[StoragePool], StoragePoolOperation):
    kind = "stop_storage_pool"
    label = gettext_lazy("Stop storage pool")
    question = gettext_lazy("Stop the storage pool “%s”?")
    warning = gettext_lazy("Its volumes stay as they are, but cannot be used on this host until it is started again.")

    def why_kept(self, storage_pool: StoragePool) -> str:
        """Running machines go on writing into a folder; a file system or a disk would be taken from them."""
        if storage_pool.pool_type == "dir":
            return ""
        return why_used(user for user in storage_pool_users(storage_pool) if user.is_active)

    def why_not(self, storage_pool: StoragePool) -> str:
        return super().why_not(storage_pool) or self.why_kept(storage_pool)
