"""Stop a storage pool. Nothing in it is deleted; what is not a plain folder goes away from the host with it."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.storage_pool_actions import is_storage_pool_active, stop_storage_pool
from hypervisors.models import StoragePool
from hypervisors.operations.storage.storage_pool_operations import SingleStoragePoolCall
from hypervisors.operations.storage.storage_pool_users import storage_pool_users, why_used


class StopStoragePool(SingleStoragePoolCall):
    kind = "stop_storage_pool"
    label = gettext_lazy("Stop storage pool")
    icon = "player-stop"
    done = gettext_lazy("It is stopped.")
    question = gettext_lazy("Stop the storage pool “%s”?")
    warning = gettext_lazy("Its volumes stay as they are, but cannot be used on this host until it is started again.")

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        return "" if storage_pool.active else _("It is not started.")

    def why_kept(self, storage_pool: StoragePool) -> str:
        """Running machines go on writing into a folder; a file system or a disk would be taken from them."""
        if storage_pool.pool_type == "dir":
            return ""
        return why_used(user for user in storage_pool_users(storage_pool) if user.is_active)

    def why_not(self, storage_pool: StoragePool) -> str:
        return super().why_not(storage_pool) or self.why_kept(storage_pool)

    def act(self, connection: Connection, pool_uuid: UUID, parameters: Any) -> None:
        stop_storage_pool(connection, pool_uuid)

    def is_done(self, connection: Connection, pool_uuid: UUID, parameters: Any) -> bool:
        return not is_storage_pool_active(connection, pool_uuid)
