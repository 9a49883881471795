"""The steps of a copy that are its own: look, copy the disks of what runs, copy UEFI variables, note the seed."""

import posixpath
from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NameTaken, NotPossible, StorageBusy, VmportalError
from hypervisors.gateway.domains.backups import begin_backup, freeze_file_systems, has_backed_up, thaw_file_systems
from hypervisors.gateway.domains.definitions import find_domain, find_domain_named
from hypervisors.gateway.domains.jobs import abort_job, read_job
from hypervisors.gateway.domains.reading import DomainFacts, read_domain
from hypervisors.gateway.storage.loose_files import copy_loose_file, delete_loose_file, loose_file_exists
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.gateway.storage.volumes import delete_volume, read_volume
from hypervisors.libvirtxml.domain_backups import BackupTarget
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.models import Installation, StoragePool, Volume
from hypervisors.operations.domains.cloning.parameters import ClonedDisk, CloneDomainParameters
from hypervisors.operations.domains.cloning.plan import CloneAction
from hypervisors.operations.domains.creation.places import path_of, storage_pool_on, volume_on
from hypervisors.operations.domains.domain_operations import IS_OFF
from hypervisors.operations.domains.jobs import JobFollower
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step
from hypervisors.operations.storage.image_checks import check_image
from hypervisors.operations.storage.latest_volume_users import why_file_in_use_now, why_in_use_now

# Where libvirt keeps them unless told otherwise.
_NVRAM = "/var/lib/libvirt/qemu/nvram"
_CALL_SECONDS, _SLOW_SECONDS = 60.0, 120.0


class Look(Step):
    """The original as it is now, and that nothing has the copy's name; makes nothing."""

    name = "check"
    label = gettext_lazy("Look at the original")

    def __init__(self, parameters: CloneDomainParameters) -> None:
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        parameters = self._parameters
        facts = original_of(run)
        if (facts.state not in IS_OFF) != parameters.is_live:
            raise NotPossible(
                _("It was stopped meanwhile; try again.") if parameters.is_live else _("It was started meanwhile.")
            )
        check_unchanged(facts, parameters.cloned_disks)
        is_linked = any(disk.action == CloneAction.OVERLAY for disk in parameters.made_disks)
        if is_linked and not parse_domain(facts.inactive_xml).template:
            raise NotPossible(_("It is no template any more: nothing can be linked to its disks."))
        if run.ask(lambda connection: find_domain_named(connection, parameters.name)) is not None:
            raise NameTaken(
                _("%(host)s has a virtual machine called “%(name)s” already.")
                % {"host": run.source.name, "name": parameters.name}
            )
        if not parameters.is_live:
            for disk in parameters.made_disks:
                check_image(run, volume_on(run.source, disk.source_volume_id or 0).row)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # What was seen minutes ago, by a worker that died, is looked at again.
        return False


class BackUpDisks(Step):
    """Copy the disks of a machine that runs, all as of one moment, into new volumes. Cancelled, it ends at once."""

    name = "back_up"
    label = gettext_lazy("Copy the disks as they are at one moment")

    def __init__(self, disks: Sequence[ClonedDisk]) -> None:
        self._disks = disks

    def intend(self, run: Run) -> Made:
        """Looks that nothing is there: what is there later is ours."""
        for disk, pool in self._places(run):
            uuid, name = pool.uuid, disk.volume_name
            run.ask(lambda connection, uuid=uuid: refresh_storage_pool(connection, uuid), seconds=_SLOW_SECONDS)  # type: ignore[misc]
            if self._is_there(run, pool, name):
                raise NameTaken(
                    _("There is a volume called “%(name)s” in the storage pool “%(pool)s” already.")
                    % {"name": name, "pool": pool.name}
                )
        return {"names": [disk.volume_name for disk in self._disks]}

    def do(self, run: Run, intent: Made) -> Made:
        self._delete_all(run)
        try:
            return self._back_up(run)
        except UNASKABLE:
            raise
        except VmportalError:
            self._delete_all(run)
            raise

    def _back_up(self, run: Run) -> Made:
        targets = [
            BackupTarget(disk=disk.target, path=path_of(pool, disk.volume_name)) for disk, pool in self._places(run)
        ]
        frozen = run.ask(lambda connection: freeze_file_systems(connection, run.uuid), seconds=_CALL_SECONDS)
        try:
            run.ask(lambda connection: begin_backup(connection, run.uuid, targets), seconds=_CALL_SECONDS)
        finally:
            self._thaw(run)
        self._follow(run)
        if run.cancel_requested.is_set():
            # The next step is not begun then.
            self._delete_all(run)
            return {}
        if not run.ask(lambda connection: has_backed_up(connection, run.uuid)):
            raise NotPossible(_("The host broke the copy off."))
        self._look_again(run)
        return {"frozen": frozen}

    def is_done(self, run: Run, intent: Made) -> bool:
        """A job that a dead worker began is followed to its end; anything less is made anew."""
        self._thaw(run)
        if run.ask(lambda connection: read_job(connection, run.uuid)) is None:
            return False
        self._follow(run)
        if not run.ask(lambda connection: has_backed_up(connection, run.uuid)):
            return False
        self._look_again(run)
        return all(self._is_there(run, pool, disk.volume_name) for disk, pool in self._places(run))

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        self._thaw(run)
        if run.ask(lambda connection: read_job(connection, run.uuid)) is not None:
            run.ask(lambda connection: abort_job(connection, run.uuid))
            raise StorageBusy(_("The copy is being broken off."))
        for disk, pool in self._places(run):
            # The copy may be there for good: somebody has started it.
            volume = Volume(storage_pool=pool, name=disk.volume_name, path=path_of(pool, disk.volume_name))
            reason = why_in_use_now(run, volume)
            if reason:
                raise NotPossible(reason)
        self._delete_all(run)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("Copies of its disks stay: %(names)s.") % {"names": ", ".join(intent.get("names", []))}

    def _follow(self, run: Run) -> None:
        if not JobFollower(run).follow_adopted():
            raise StorageBusy(_("%(host)s does not answer.") % {"host": run.source.name})

    def _thaw(self, run: Run) -> None:
        run.ask(lambda connection: thaw_file_systems(connection, run.uuid), seconds=_CALL_SECONDS)

    def _delete_all(self, run: Run) -> None:
        self._look_again(run)
        for disk, pool in self._places(run):
            uuid, name = pool.uuid, disk.volume_name
            run.ask(lambda connection, uuid=uuid, name=name: delete_volume(connection, uuid, name))  # type: ignore[misc]

    def _look_again(self, run: Run) -> None:
        """libvirt does not know files that its own jobs have made."""
        for pool in {pool.pk: pool for _disk, pool in self._places(run)}.values():
            uuid = pool.uuid
            run.ask(lambda connection, uuid=uuid: refresh_storage_pool(connection, uuid), seconds=_SLOW_SECONDS)  # type: ignore[misc]

    def _is_there(self, run: Run, pool: StoragePool, name: str) -> bool:
        return run.ask(lambda connection: read_volume(connection, pool.uuid, name)) is not None

    def _places(self, run: Run) -> list[tuple[ClonedDisk, StoragePool]]:
        return [(disk, storage_pool_on(run.source, disk.storage_pool_id)) for disk in self._disks]


class CopyNvram(Step):
    """Copy the file with its UEFI variables, beside the original's. Where that cannot be, the copy gets new ones."""

    name = "copy_nvram"
    label = gettext_lazy("Copy its UEFI variables")

    def __init__(self, name: str) -> None:
        self._name = name

    def intend(self, run: Run) -> Made:
        facts = original_of(run)
        parsed = [parse_domain(xml) for xml in (facts.live_xml, facts.inactive_xml) if xml]
        if not any(one.keeps_uefi_variables for one in parsed):
            return {}
        named = next((one.nvram for one in parsed if one.nvram), "")
        path = named or posixpath.join(_NVRAM, f"{facts.name}_VARS.fd")
        copy = posixpath.join(posixpath.dirname(path), f"{self._name}_VARS.fd")
        token = run.operation.pk.hex
        try:
            if run.ask(lambda connection: loose_file_exists(connection, copy, token=token)):
                return {"problem": _("there is such a file already")}
        except UNASKABLE:
            raise
        except VmportalError as error:
            return {"problem": str(error)}
        return {"path": path, "copy": copy}

    def do(self, run: Run, intent: Made) -> Made:
        if "copy" not in intent:
            return {"problem": intent["problem"]} if intent.get("problem") else {}
        self._delete(run, intent)
        path, name, token = intent["path"], posixpath.basename(intent["copy"]), run.operation.pk.hex
        try:
            run.ask(lambda connection: copy_loose_file(connection, path, name, token=token), seconds=_SLOW_SECONDS)
        except UNASKABLE:
            raise
        except VmportalError as error:
            return {"problem": str(error)}
        return {"copy": intent["copy"]}

    def is_done(self, run: Run, intent: Made) -> bool:
        # It may be cut off anywhere: it is copied anew.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        if "copy" not in intent:
            return
        reason = why_file_in_use_now(run, intent["copy"])
        if reason:
            raise NotPossible(reason)
        self._delete(run, intent)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The copy of its UEFI variables stays: %(path)s.") % {"path": intent.get("copy", "")}

    def _delete(self, run: Run, intent: Made) -> None:
        copy, token = intent["copy"], run.operation.pk.hex
        run.ask(lambda connection: delete_loose_file(connection, copy, token=token))


class NoteSeed(Step):
    """Remember that its first boot is to be followed by taking the seed out and away."""

    name = "note_seed"
    label = gettext_lazy("Note what its first boot needs")

    def __init__(self, parameters: CloneDomainParameters, storage_pool: StoragePool) -> None:
        self._parameters = parameters
        self._storage_pool = storage_pool

    def do(self, run: Run, intent: Made) -> Made:
        uuid, path = self._parameters.domain_uuid, path_of(self._storage_pool, self._parameters.seed_name)
        found = run.ask(lambda connection: find_domain(connection, uuid))
        marker = found.install_marker if found is not None else None
        if marker is None:
            raise NotPossible(_("The copy is gone, or was changed meanwhile."))
        Installation.objects.update_or_create(
            operation_id=run.operation.pk,
            defaults={
                "uuid": uuid,
                "hypervisor_pool": run.source.hypervisor_pool,
                "hypervisor": run.source,
                "phase": Installation.Phase.SEEDED,
                "media": dict.fromkeys(marker.media, path),
                "files": [{"storage_pool": self._storage_pool.pk, "name": self._parameters.seed_name}],
            },
        )
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return Installation.objects.filter(operation_id=run.operation.pk).exists()

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        Installation.objects.filter(operation_id=run.operation.pk).delete()


def original_of(run: Run) -> DomainFacts:
    """Raises: errors.NotPossible when it is gone."""
    facts = run.ask(lambda connection: read_domain(connection, run.uuid))
    if facts is None or not facts.inactive_xml:
        raise NotPossible(_("%(host)s does not have the original any more.") % {"host": run.source.name})
    return facts


def check_unchanged(facts: DomainFacts, disks: Sequence[ClonedDisk]) -> None:
    """Raises: errors.NotPossible when its drives hold something else than the person saw."""
    now = {disk.target: disk.source for disk in parse_domain(facts.inactive_xml).disks if disk.source}
    if now != {disk.target: disk.source for disk in disks}:
        raise NotPossible(_("The original's disks have changed meanwhile. Look at it, and try again."))
