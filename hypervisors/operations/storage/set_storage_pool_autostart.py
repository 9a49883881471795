"""Whether a storage pool starts with its host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.storage_pool_actions import set_storage_pool_autostart
from hypervisors.gateway.storage.storage_pools import read_storage_pool
from hypervisors.models import StoragePool
from hypervisors.operations.storage.storage_pool_operations import SingleStoragePoolCall


@dataclass(frozen=True, kw_only=True)
class StoragePoolAutostartParameters:
    autostart: bool


class SetStoragePoolAutostart(SingleStoragePoolCall):
    kind = "set_storage_pool_autostart"
    label = gettext_lazy("Change autostart of storage pool")
    icon = "power"
    done = gettext_lazy("Done.")
    Parameters: ClassVar[type[Any]] = StoragePoolAutostartParameters

    def word(self, storage_pool: StoragePool) -> str:
        return _("Do not start with the host") if storage_pool.autostart else _("Start with the host")

    def click_values(self, storage_pool: StoragePool) -> dict[str, str]:
        return {"autostart": "" if storage_pool.autostart else "1"}

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> StoragePoolAutostartParameters:
        return StoragePoolAutostartParameters(autostart=bool(given.get("autostart")))

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        if storage_pool.persistent:
            return ""
        return _("It was started without being defined: libvirt forgets it when it is stopped.")

    def act(self, connection: Connection, pool_uuid: UUID, parameters: StoragePoolAutostartParameters) -> None:
        set_storage_pool_autostart(connection, pool_uuid, autostart=parameters.autostart)

    def is_done(self, connection: Connection, pool_uuid: UUID, parameters: StoragePoolAutostartParameters) -> bool:
        facts = read_storage_pool(connection, pool_uuid)
        return facts is not None and facts.autostart == parameters.autostart
