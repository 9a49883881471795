"""Start a storage pool: mount it, log in to it, or look into its folder, which can be made first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import FolderMissing
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.storage_pool_actions import build_storage_pool
from hypervisors.models import StoragePool
from hypervisors.operations.definitions.calls import SingleCall
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation


@dataclass(frozen=True, kw_only=True)
class StartStoragePoolParameters:
    """`makes_folder`: a folder that is not there is made."""

    makes_folder: bool = False


class StartStoragePool(SingleCall[StoragePool], StoragePoolOperation):
    kind = "start_storage_pool"
    label = gettext_lazy("Start storage pool")
    icon = "player-play"
    done = gettext_lazy("It is started.")
    Parameters: ClassVar[type[Any]] = StartStoragePoolParameters

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> StartStoragePoolParameters:
        return StartStoragePoolParameters(makes_folder=bool(given.get("makes_folder")))

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        return _("It is started already.") if storage_pool.active else ""

    def act(self, connection: Connection, uuid: UUID, parameters: StartStoragePoolParameters) -> None:
        try:
            self.definitions.start(connection, uuid)
        except FolderMissing:
            if not parameters.makes_folder:
                raise
            build_storage_pool(connection, uuid, "folder")
            self.definitions.start(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, parameters: StartStoragePoolParameters) -> bool:
        return self.definitions.is_active(connection, uuid)
