"""The steps of a deletion: ask who needs the disks, pull the plug, take the definition away, then delete the disks.

The definition goes first: a machine without its disks is worse than disks without a machine. A disk that cannot be
deleted is noted, and keeps none of the others from being deleted.
"""

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible, StorageBusy, VmportalError
from hypervisors.gateway.domains.actions import force_off_domain
from hypervisors.gateway.domains.definitions import set_install_marker
from hypervisors.gateway.domains.reading import DomainFacts, domain_state, read_domain
from hypervisors.gateway.domains.removal import undefine_domain
from hypervisors.gateway.storage.loose_files import delete_loose_file, loose_file_exists
from hypervisors.gateway.storage.volumes import delete_volume, read_volume
from hypervisors.inventory.storage.origins import forget_origin
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.models import Domain, StoragePool, Volume
from hypervisors.operations.domains.creation.disk_steps import TellStorage
from hypervisors.operations.domains.domain_operations import IS_OFF
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.latest_volume_users import why_file_in_use_now, why_in_use_now
from hypervisors.states import DomainState

_CALL_SECONDS = 600.0
_FORCE_OFF_SECONDS = 60.0
VOLUME_STEP = "volume_"


@dataclass(frozen=True, kw_only=True)
class DoomedDisk:
    """What is to be deleted: what the XML calls it, and the volume, as far as it is one that is known.

    `is_file`: vmportal made it for this machine's first boots; it may be in none of its drives any more.
    """

    source: str
    storage_pool_uuid: str = ""
    volume: str = ""
    is_file: bool = False

    @property
    def name(self) -> str:
        return self.volume or posixpath.basename(self.source) or self.source

    def find_volume(self, run: Run) -> Volume | None:
        """The row, also where it was read for the last time before it was there. None for a file in no pool."""
        if not self.storage_pool_uuid:
            return None
        pools = StoragePool.objects.select_related("hypervisor").filter(hypervisor=run.source)
        storage_pool = pools.filter(uuid=self.storage_pool_uuid).first()
        if storage_pool is None:
            return None
        known = Volume.objects.filter(storage_pool=storage_pool, name=self.volume)
        found = known.select_related("storage_pool__hypervisor").first()
        return found or Volume(storage_pool=storage_pool, name=self.volume, path=self.source)


def doomed_disk(stored: Mapping[str, Any]) -> DoomedDisk:
    """Of JSON."""
    names = ("source", "storage_pool_uuid", "volume")
    return DoomedDisk(is_file=bool(stored.get("is_file")), **{name: str(stored.get(name, "")) for name in names})


class Examine(Step):
    """Look once more who else needs the disks, before anything is touched."""

    name = "examine"
    label = gettext_lazy("Look who else needs its disks")

    def __init__(self, disks: Collection[DoomedDisk]) -> None:
        self._disks = disks

    def do(self, run: Run, intent: Made) -> Made:
        facts = run.ask(lambda connection: read_domain(connection, run.uuid))
        if facts is None:
            raise NotPossible(_("%(host)s does not have it any more.") % {"host": run.source.name})
        domain = run.operation.domain
        if domain is not None and Domain.objects.filter(pk=domain.pk, delete_protected=True).exists():
            raise NotPossible(_("It is protected from deletion; take the protection back first."))
        named = _sources(facts)
        for disk in self._disks:
            if disk.source not in named and not disk.is_file:
                raise NotPossible(
                    _("“%(disk)s” is not its disk any more. Look at it, and try again.") % {"disk": disk.source}
                )
            reason = _why_needed(run, disk, even_by_itself=False)
            if reason:
                raise NotPossible(f"{disk.name}: {reason}")
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Asking again does no harm.
        return False


class ForgetInstall(Step):
    """Take our marker away, so that nobody starts a machine again that is being deleted."""

    name = "forget_install"
    label = gettext_lazy("End its installation")

    def do(self, run: Run, intent: Made) -> Made:
        run.ask(lambda connection: set_install_marker(connection, run.uuid, None))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


class PullThePlug(Step):
    """Force it off where it runs; what is transient is gone with that."""

    name = "force_off"
    label = gettext_lazy("Force it off")

    def __init__(self, *, may_run: bool) -> None:
        self._may_run = may_run

    def do(self, run: Run, intent: Made) -> Made:
        if self.is_done(run, intent):
            return {}
        if not self._may_run:
            raise NotPossible(_("It runs by now. Shut it down, or say that it is to be forced off."))
        run.ask(lambda connection: force_off_domain(connection, run.uuid), seconds=_FORCE_OFF_SECONDS)
        if not self.is_done(run, intent):
            raise HypervisorError(_("It was forced off, and still runs."))
        return {"forced": True}

    def is_done(self, run: Run, intent: Made) -> bool:
        return _state(run) in IS_OFF

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """It stays off, which is said."""
        if made.get("forced"):
            raise NotPossible("")

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It was forced off.")


class Undefine(Step):
    """Take the definition away, with all that libvirt keeps beside it."""

    name = "undefine"
    label = gettext_lazy("Delete the virtual machine")

    def do(self, run: Run, intent: Made) -> Made:
        if _state(run) not in IS_OFF:
            raise NotPossible(_("It was started meanwhile."))
        run.ask(lambda connection: undefine_domain(connection, run.uuid), seconds=_CALL_SECONDS)
        if not self.is_done(run, intent):
            raise HypervisorError(_("%(host)s still has it.") % {"host": run.source.name})
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return _state(run) is None

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        raise NotPossible(_("It stays deleted."))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The virtual machine is deleted; look which of its disks are left.")


class DeleteDisk(Step):
    """Delete one disk, unless somebody needs it by now. What speaks against it is noted as `problem`: no failure.

    Only what cannot be asked now makes it wait.
    """

    def __init__(self, number: int, disk: DoomedDisk) -> None:
        self.name = f"{VOLUME_STEP}{number}"
        self.label = _("Delete %(disk)s") % {"disk": disk.name}
        self._disk = disk

    def intend(self, run: Run) -> Made:
        return asdict(self._disk)

    def do(self, run: Run, intent: Made) -> Made:
        try:
            reason = _why_needed(run, self._disk, even_by_itself=True)
            if reason:
                return {"problem": reason}
            self._delete(run)
            return {"problem": _("It is still there.")} if self._is_there(run) else {}
        except UNASKABLE:
            raise
        except VmportalError as error:
            return {"problem": str(error)}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Deleting what is gone does no harm, and who needs it is asked again.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """What is deleted stays so."""

    def _delete(self, run: Run) -> None:
        volume = self._disk.find_volume(run)
        token = run.operation.pk.hex
        if volume is None:
            source = self._disk.source
            run.ask(lambda connection: delete_loose_file(connection, source, token=token), seconds=_CALL_SECONDS)
            return
        uuid, name = volume.storage_pool.uuid, volume.name
        run.ask(lambda connection: delete_volume(connection, uuid, name), seconds=_CALL_SECONDS)
        if not self._is_there(run):
            forget_origin(volume.storage_pool, name)

    def _is_there(self, run: Run) -> bool:
        volume = self._disk.find_volume(run)
        if volume is None:
            source, token = self._disk.source, run.operation.pk.hex
            return run.ask(lambda connection: loose_file_exists(connection, source, token=token))
        uuid, name = volume.storage_pool.uuid, volume.name
        return run.ask(lambda connection: read_volume(connection, uuid, name)) is not None


def tell_storage_of(run: Run, disks: Collection[DoomedDisk]) -> TellStorage:
    """The last step: the other hosts of the storage hear of nothing by themselves."""
    uuids = {disk.storage_pool_uuid for disk in disks if disk.storage_pool_uuid}
    storage_pools = StoragePool.objects.select_related("hypervisor").filter(hypervisor=run.source, uuid__in=uuids)
    return TellStorage(list(storage_pools))


def _why_needed(run: Run, disk: DoomedDisk, *, even_by_itself: bool) -> str:
    """Who needs it now; "" when nobody does, or only the machine that is deleted."""
    apart_from = None if even_by_itself else run.operation.domain
    volume = disk.find_volume(run)
    if volume is None and disk.storage_pool_uuid:
        raise StorageBusy(_("Its storage pool is not known any more."))
    if volume is None:
        return why_file_in_use_now(run, disk.source, apart_from=apart_from)
    return why_in_use_now(run, volume, apart_from=apart_from)


def _sources(facts: DomainFacts) -> set[str]:
    return {disk.source for xml in (facts.live_xml, facts.inactive_xml) if xml for disk in parse_domain(xml).disks}


def _state(run: Run) -> DomainState | None:
    uuid: UUID = run.uuid
    return run.ask(lambda connection: domain_state(connection, uuid))
