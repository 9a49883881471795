"""The steps of creating a storage pool, each safe when it is adopted, with its undoing."""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import FolderMissing, HypervisorError, StorageConflict, StorageHoldsData
from hypervisors.gateway.storage.storage_pool_actions import (
    STORAGE_POOLS,
    build_storage_pool,
    delete_storage_behind,
    find_storage_pool_at,
)
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.libvirtxml.storage_pool_builder import STORAGE_POOL_XML
from hypervisors.operations.definitions import steps
from hypervisors.operations.definitions.steps import defined, defined_uuid
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made
from hypervisors.operations.storage.storage_pool_operations import CALL_SECONDS

# Formatting a large disk.
_BUILD_SECONDS = 600.0
# Types whose folder is only where the storage is mounted: made whenever it is not there.
_MOUNTED_TYPES = frozenset({"fs", "netfs"})


class StoragePoolStep(steps.DefinitionStep):
    definitions = STORAGE_POOLS
    call_seconds = CALL_SECONDS


class DefineStoragePool(steps.Define, StoragePoolStep):
    label = gettext_lazy("Define the storage pool")
    xml = STORAGE_POOL_XML
    name_taken = gettext_lazy("There is a storage pool called “%(name)s” on this host already.")
    stays_defined = gettext_lazy("The storage pool “%(name)s” stays defined.")

    def read_again(self, run: Run, uuid: UUID) -> None:
        request_storage_pool_refresh(run.source.pk, uuid)

    def intend(self, run: Run) -> Made:
        """Looks that nothing has its place, either."""
        intent, path = super().intend(run), self.spec.target_path
        if path and not path.startswith("/dev"):
            there = run.ask(lambda connection: find_storage_pool_at(connection, path))
            if there is not None:
                raise StorageConflict(
                    _("The storage pool “%(name)s” is at %(path)s already: use that one.")
                    % {"name": there, "path": path}
                )
        return {**intent, "pool_type": self.spec.pool_type}


class BuildStoragePool(steps.OnDefined, StoragePoolStep):
    """`building` is one of create_storage_pool.BUILDINGS."""

    name = "build"
    label = gettext_lazy("Make what it is on")

    def __init__(self, building: str) -> None:
        self._building = building

    def do(self, run: Run, intent: Made) -> Made:
        uuid = defined_uuid(run)
        if self._building == "folder" and _pool_type(run) == "dir":
            return {"made_folder": _make_folder(run, uuid)}
        if _pool_type(run) in _MOUNTED_TYPES and self._building in ("", "folder"):
            run.ask(lambda connection: build_storage_pool(connection, uuid, "folder"), seconds=CALL_SECONDS)
        elif self._building in ("format", "overwrite"):
            self._format(run, uuid)
            return {"formatted": True}
        return {}

    def _format(self, run: Run, uuid: UUID) -> None:
        building = "overwrite" if self._building == "overwrite" else "format"
        try:
            run.ask(lambda connection: build_storage_pool(connection, uuid, building), seconds=_BUILD_SECONDS)  # type: ignore[arg-type]
        except StorageHoldsData:
            # What a worker before this one wrote; starting it shows whether it is of the right kind.
            if not run.adopted:
                raise

    def is_done(self, run: Run, intent: Made) -> bool:
        # A folder made twice is one folder; what is formatted twice is refused, above.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """A folder that was made here goes, if nothing is in it."""
        if made.get("made_folder"):
            uuid = defined_uuid(run)
            run.ask(lambda connection: STORAGE_POOLS.stop(connection, uuid), seconds=CALL_SECONDS)
            run.ask(lambda connection: delete_storage_behind(connection, uuid), seconds=CALL_SECONDS)
        elif made.get("formatted"):
            raise HypervisorError(_("It was formatted."))

    def leftover(self, intent: Made, made: Made) -> str:
        if made.get("made_folder"):
            return _("Its folder stays.")
        return _("What was on its disk is gone.") if made.get("formatted") else ""


class StartStoragePool(steps.Start, StoragePoolStep):
    label = gettext_lazy("Start the storage pool")

    def do(self, run: Run, intent: Made) -> Made:
        try:
            return super().do(run, intent)
        except FolderMissing as error:
            if _pool_type(run) != "dir":
                raise
            raise FolderMissing(
                _("The folder is not there on %(host)s. Choose “Create the folder”, or make it there first. %(error)s")
                % {"host": run.source.name, "error": error}
            ) from error


class AutostartStoragePool(steps.Autostart, StoragePoolStep):
    pass


def _make_folder(run: Run, uuid: UUID) -> bool:
    """False when it was there: only what was made here is undone. Leaves the storage pool as it was."""
    try:
        run.ask(lambda connection: STORAGE_POOLS.start(connection, uuid), seconds=CALL_SECONDS)
    except FolderMissing:
        run.ask(lambda connection: build_storage_pool(connection, uuid, "folder"), seconds=CALL_SECONDS)
        return True
    run.ask(lambda connection: STORAGE_POOLS.stop(connection, uuid), seconds=CALL_SECONDS)
    return False


def _pool_type(run: Run) -> str:
    return str(defined(run)["pool_type"])
