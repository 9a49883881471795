"""Make a virtual machine of an appliance: an OVA, an OVF descriptor with its files, or a foreign disk, in a volume.

Each disk is unpacked into a volume of its own, judged there, converted by the host, and what was unpacked is deleted;
then the machine is defined, and started. A failure undoes all of it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.volumes import read_volume
from hypervisors.imaging.appliances import PackagedDisk
from hypervisors.libvirtxml.domain_builder import build_domain
from hypervisors.libvirtxml.domain_spec import domain_spec_from_json
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Hypervisor, StoragePool, Volume
from hypervisors.operations.domains.creation.define_steps import DefineDomain, StartDomain
from hypervisors.operations.domains.creation.disk_steps import CopiedDisk, NewDisk, TellStorage
from hypervisors.operations.domains.importing.extraction import DropVolume, ExtractDisk, JudgeDisk, temporary_name
from hypervisors.operations.domains.importing.machines import with_disks
from hypervisors.operations.domains.importing.parameters import ImportParameters, checked_import
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.read_appliance import examine_volume
from hypervisors.privileges import Privilege


class ImportAppliance(OperationType[Hypervisor]):
    kind = "import_appliance"
    subject_type = "hypervisor"
    label = gettext_lazy("Import an appliance")
    icon = "package-import"
    privilege = Privilege.DOMAIN_CREATE
    queue = STORAGE_QUEUE
    can_be_cancelled = True
    makes_machine = True
    Parameters: ClassVar[type[Any]] = ImportParameters

    def is_offered(self, hypervisor: Hypervisor) -> bool:
        """It has a page of its own."""
        return False

    def why_not(self, hypervisor: Hypervisor) -> str:
        if hypervisor.in_maintenance:
            return _("%(host)s is in maintenance: nothing new goes there.") % {"host": hypervisor.name}
        return why_unreachable(hypervisor)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> ImportParameters:
        return checked_import(hypervisor, given)

    def also_needs(
        self, hypervisor: Hypervisor, parameters: ImportParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """Volumes are named by who may see them."""
        return [(Privilege.STORAGE_VIEW, hypervisor)]

    def locks(self, hypervisor: Hypervisor, parameters: ImportParameters) -> tuple[str, ...]:
        storage_pool = StoragePool.objects.get(pk=parameters.storage_pool_id)
        source = Volume.objects.select_related("storage_pool").get(pk=parameters.volume_id)
        sources = {source.name, *(disk.volume_name for disk in parameters.packaged_disks if disk.volume_name)}
        return (
            f"name:{hypervisor.hypervisor_pool_id}/{parameters.name}",
            *(volume_lock_key(source.storage_pool, name) for name in sources),
            *(volume_lock_key(storage_pool, name) for name in parameters.disk_names),
        )

    def subject_name(self, hypervisor: Hypervisor, parameters: ImportParameters) -> str:
        return parameters.name

    def run(self, run: Run) -> Result:
        parameters: ImportParameters = run.parameters
        steps = _Plan(run, parameters).steps()
        done = _("It is imported and started.") if parameters.start else _("It is imported.")
        return run_steps(run, steps, done=done)


class _Plan:
    """The steps, the same each time that a worker takes the operation up."""

    def __init__(self, run: Run, parameters: ImportParameters) -> None:
        self._run = run
        self._parameters = parameters
        self._storage_pool = StoragePool.objects.select_related("hypervisor").get(pk=parameters.storage_pool_id)
        volume = Volume.objects.select_related("storage_pool__hypervisor").filter(pk=parameters.volume_id).first()
        if volume is None:
            raise NotPossible(_("The volume that was chosen is gone."))
        self._volume = volume
        self._uuid = UUID(str(parameters.spec["uuid"]))

    def steps(self) -> list[Step]:
        parameters = self._parameters
        steps: list[Step] = [_SameAppliance(self._volume, parameters)]
        before_bytes, total_bytes = 0, sum(disk.size_bytes for disk in parameters.packaged_disks)
        for number, disk in enumerate(parameters.packaged_disks, start=1):
            steps += self._disk_steps(disk, number, before_bytes, total_bytes)
            before_bytes += disk.size_bytes
        steps.append(DefineDomain(self._uuid, parameters.name, self._build))
        if parameters.start:
            steps.append(StartDomain(self._uuid))
        steps.append(TellStorage([self._storage_pool]))
        return steps

    def _disk_steps(self, disk: PackagedDisk, number: int, before_bytes: int, total_bytes: int) -> list[Step]:
        storage_pool, name = self._storage_pool, self._parameters.disk_names[number - 1]
        if not disk.disk.file_name:
            spec = VolumeSpec(name=name, format="qcow2", capacity_bytes=disk.disk.capacity_bytes)
            return [NewDisk(storage_pool, spec, number=number)]
        capacity = disk.facts.virtual_size_bytes if disk.facts is not None else disk.disk.capacity_bytes
        spec = VolumeSpec(name=name, format="qcow2", capacity_bytes=capacity)
        here = self._source_here(disk)
        if here is not None:
            judging = JudgeDisk(here, disk, number=number)
            copied = CopiedDisk(
                storage_pool,
                spec,
                source_storage_pool=here,
                source_name=disk.volume_name,
                number=number,
                check=partial(judging.do, intent={}),
            )
            return [judging, copied]
        temporary = temporary_name(self._run, number)
        extracted = ExtractDisk(
            storage_pool,
            disk,
            source_storage_pool=self._volume.storage_pool,
            volume_name=temporary,
            number=number,
            before_bytes=before_bytes,
            total_bytes=total_bytes,
        )
        copied = CopiedDisk(storage_pool, spec, source_storage_pool=storage_pool, source_name=temporary, number=number)
        return [extracted, copied, DropVolume(storage_pool, temporary, number=number)]

    def _source_here(self, disk: PackagedDisk) -> StoragePool | None:
        """Where the machine's host itself has the disk as a whole volume; None where it must be unpacked or fetched.

        One with a digest is unpacked too: what is verified must be what is converted.
        """
        is_whole = disk.offset == 0 and disk.digest is None and not self._is_archive()
        if not is_whole:
            return None
        source = self._volume.storage_pool
        if source.hypervisor_id == self._run.source.pk:
            return source
        same = StoragePool.objects.present().same_storage_as(source).filter(hypervisor=self._run.source)
        return same.select_related("hypervisor").first()

    def _is_archive(self) -> bool:
        return any(disk.offset for disk in self._parameters.packaged_disks)

    def _build(self, run: Run) -> str:
        paths = []
        for name in self._parameters.disk_names:
            facts = run.ask(partial(read_volume, pool_uuid=self._storage_pool.uuid, name=name))
            if facts is None or facts.format != "qcow2" or facts.backing_path:
                raise NotPossible(_("The disk “%(name)s” is not as it was made.") % {"name": name})
            paths.append(facts.path)
        spec = domain_spec_from_json(self._parameters.spec)
        return build_domain(with_disks(spec, paths, bus=self._parameters.bus))


class _SameAppliance(Step):
    """Look that it still is what the person saw."""

    name = "look"
    label = gettext_lazy("Look into the appliance")

    def __init__(self, volume: Volume, parameters: ImportParameters) -> None:
        self._volume = volume
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        try:
            examined = examine_volume(run, self._volume)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        before, now = self._parameters.packaged_disks, examined.disks
        if examined.descriptor_sha256 != self._parameters.descriptor_sha256 or before != now:
            raise NotPossible(_("It has changed since it was looked into: look again."))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows it, and twice does no harm.
        return False
