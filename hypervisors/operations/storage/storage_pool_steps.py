"""The steps of creating a storage pool, each safe when it is adopted, with its undoing."""

from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import FolderMissing, HypervisorError, NameTaken, StorageConflict, StorageHoldsData
from hypervisors.gateway.storage.storage_pool_actions import (
    build_storage_pool,
    define_storage_pool,
    delete_storage_behind,
    find_storage_pool_at,
    find_storage_pool_uuid,
    is_storage_pool_active,
    read_definition,
    set_storage_pool_autostart,
    start_storage_pool,
    stop_storage_pool,
    undefine_storage_pool,
)
from hypervisors.gateway.storage.storage_pools import read_storage_pool
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.libvirtxml.storage_pool_builder import read_storage_pool_spec, with_identity
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.operations.storage.storage_pool_operations import CALL_SECONDS

# Formatting a large disk.
_BUILD_SECONDS = 600.0
# Types whose folder is only where the storage is mounted: made whenever it is not there.
_MOUNTED_TYPES = frozenset({"fs", "netfs"})


class DefineStoragePool(Step):
    name = "define"
    label = gettext_lazy("Define the storage pool")

    def __init__(self, xml: str) -> None:
        self._xml = xml
        self._spec = read_storage_pool_spec(xml)

    def intend(self, run: Run) -> Made:
        """Looks that nothing has its name or its place: what has its UUID later is ours."""
        name, path = self._spec.name, self._spec.target_path
        if run.ask(lambda connection: find_storage_pool_uuid(connection, name)) is not None:
            raise NameTaken(_("There is a storage pool called “%(name)s” on this host already.") % {"name": name})
        if path and not path.startswith("/dev"):
            there = run.ask(lambda connection: find_storage_pool_at(connection, path))
            if there is not None:
                raise StorageConflict(
                    _("The storage pool “%(name)s” is at %(path)s already: use that one.")
                    % {"name": there, "path": path}
                )
        return {"name": name, "uuid": str(uuid4()), "pool_type": self._spec.pool_type}

    def do(self, run: Run, intent: Made) -> Made:
        xml = with_identity(self._xml, name=intent["name"], uuid=intent["uuid"])
        run.ask(lambda connection: define_storage_pool(connection, xml))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return run.ask(lambda connection: read_definition(connection, UUID(intent["uuid"]))) is not None

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        uuid = UUID(intent["uuid"])
        run.ask(lambda connection: undefine_storage_pool(connection, uuid), seconds=CALL_SECONDS)
        request_storage_pool_refresh(run.source.pk, uuid)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The storage pool “%(name)s” stays defined.") % {"name": intent["name"]}


class _OnDefined(Step):
    """A step after the definition."""

    def pool_uuid(self, run: Run) -> UUID:
        return UUID(_defined(run)["uuid"])

    def pool_type(self, run: Run) -> str:
        return str(_defined(run)["pool_type"])


class BuildStoragePool(_OnDefined):
    """`building` is one of create_storage_pool.BUILDINGS."""

    name = "build"
    label = gettext_lazy("Make what it is on")

    def __init__(self, building: str) -> None:
        self._building = building

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.pool_uuid(run)
        if self._building == "folder" and self.pool_type(run) == "dir":
            return {"made_folder": _make_folder(run, uuid)}
        if self.pool_type(run) in _MOUNTED_TYPES and self._building in ("", "folder"):
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
            uuid = self.pool_uuid(run)
            run.ask(lambda connection: stop_storage_pool(connection, uuid), seconds=CALL_SECONDS)
            run.ask(lambda connection: delete_storage_behind(connection, uuid), seconds=CALL_SECONDS)
        elif made.get("formatted"):
            raise HypervisorError(_("It was formatted."))

    def leftover(self, intent: Made, made: Made) -> str:
        if made.get("made_folder"):
            return _("Its folder stays.")
        return _("What was on its disk is gone.") if made.get("formatted") else ""


class StartStoragePool(_OnDefined):
    name = "start"
    label = gettext_lazy("Start the storage pool")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.pool_uuid(run)
        try:
            run.ask(lambda connection: start_storage_pool(connection, uuid), seconds=CALL_SECONDS)
        except FolderMissing as error:
            if self.pool_type(run) != "dir":
                raise
            raise FolderMissing(
                _("The folder is not there on %(host)s. Choose “Create the folder”, or make it there first. %(error)s")
                % {"host": run.source.name, "error": error}
            ) from error
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self.pool_uuid(run)
        return run.ask(lambda connection: is_storage_pool_active(connection, uuid))

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        uuid = self.pool_uuid(run)
        run.ask(lambda connection: stop_storage_pool(connection, uuid), seconds=CALL_SECONDS)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It stays started.")


class AutostartStoragePool(_OnDefined):
    name = "autostart"
    label = gettext_lazy("Start it with its host")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.pool_uuid(run)
        run.ask(lambda connection: set_storage_pool_autostart(connection, uuid, autostart=True))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self.pool_uuid(run)
        facts = run.ask(lambda connection: read_storage_pool(connection, uuid))
        return facts is not None and facts.autostart


def _make_folder(run: Run, uuid: UUID) -> bool:
    """False when it was there: only what was made here is undone. Leaves the storage pool as it was."""
    try:
        run.ask(lambda connection: start_storage_pool(connection, uuid), seconds=CALL_SECONDS)
    except FolderMissing:
        run.ask(lambda connection: build_storage_pool(connection, uuid, "folder"), seconds=CALL_SECONDS)
        return True
    run.ask(lambda connection: stop_storage_pool(connection, uuid), seconds=CALL_SECONDS)
    return False


def _defined(run: Run) -> Made:
    """What the first step wrote down."""
    intent: Made = next(entry["intent"] for entry in run.operation.steps if entry["name"] == DefineStoragePool.name)
    return intent
