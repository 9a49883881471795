"""What the kinds of operations on storage pools share: why not, and a single call whose outcome is looked at."""

from typing import Any, ClassVar
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import StoragePool
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege

# Mounting, scanning and activating take a while; a server that is away takes longer.
CALL_SECONDS = 120.0


class StoragePoolOperation(OperationType[StoragePool]):
    subject_type = "storage_pool"
    privilege = Privilege.STORAGE_MANAGE

    def why_gone(self, storage_pool: StoragePool) -> str:
        if storage_pool.vanished_at is None:
            return ""
        return _("The storage pool is gone; it was last seen at %(time)s.") % {"time": clock(storage_pool.vanished_at)}

    def why_not(self, storage_pool: StoragePool) -> str:
        return (
            self.why_gone(storage_pool)
            or why_unreachable(storage_pool.hypervisor)
            or self.why_not_in_this_state(storage_pool)
        )

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        """Of one that is there, on a host that answers."""
        return ""


class SingleStoragePoolCall(StoragePoolOperation):
    """One call; what became true decides, whatever the call said."""

    done: ClassVar[str | Promise] = ""
    call_seconds: ClassVar[float] = CALL_SECONDS

    def act(self, connection: Connection, pool_uuid: UUID, parameters: Any) -> None:
        raise NotImplementedError

    def is_done(self, connection: Connection, pool_uuid: UUID, parameters: Any) -> bool:
        raise NotImplementedError

    def run(self, run: Run) -> Result:
        storage_pool = find_subject(run)
        if storage_pool is None:
            return failed(_("The storage pool is gone."))
        uuid, parameters = storage_pool.uuid, run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: self.act(connection, uuid, parameters), seconds=self.call_seconds)
        except HypervisorError as error:
            problem = error
        outcome = run.judge(
            lambda connection: self.is_done(connection, uuid, parameters), done=str(self.done), problem=problem
        )
        request_storage_pool_refresh(storage_pool.hypervisor_id, uuid)
        return outcome


def find_subject(run: Run) -> StoragePool | None:
    rows = StoragePool.objects.select_related("hypervisor", "shared_storage")
    return rows.filter(pk=int(run.operation.subject_key)).first()
