"""Clone a machine: its disks copied (or put on top of a template's), its definition with new names and addresses."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.cloudinit.seeds import SAME_HEAD_BYTES, build_seed
from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.volumes import VolumeFacts, read_volume
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.domain_clones import (
    CloneChanges,
    DiskChange,
    add_seed_drive,
    clone_domain,
    free_drive_target,
)
from hypervisors.libvirtxml.install_marker import InstallMarker, build_install_marker
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Operation, StoragePool
from hypervisors.operations.domains.cloning.parameters import (
    ClonedDisk,
    CloneDomainParameters,
    checked_parameters,
)
from hypervisors.operations.domains.cloning.plan import CloneAction
from hypervisors.operations.domains.cloning.steps import (
    BackUpDisks,
    CopyNvram,
    Look,
    NoteSeed,
    check_unchanged,
    original_of,
)
from hypervisors.operations.domains.creation.define_steps import DefineDomain, StartDomain
from hypervisors.operations.domains.creation.disk_steps import (
    CopiedDisk,
    OverlayDisk,
    TellStorage,
    VolumeStep,
    WrittenDisk,
)
from hypervisors.operations.domains.creation.places import is_block, storage_pool_on, volume_on
from hypervisors.operations.domains.domain_operations import (
    POWER,
    DomainOperation,
    needs_state,
    not_answering,
    saved,
    transient,
)
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.storage.image_checks import check_copied
from hypervisors.privileges import Privilege
from hypervisors.states import DomainState, OperationState

_CLONABLE = needs_state({DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED, DomainState.SHUTOFF})


class CloneDomain(DomainOperation):
    kind = "clone_domain"
    label = gettext_lazy("Clone")
    icon = "copy"
    position = 50
    privilege = Privilege.DOMAIN_CREATE
    queue = STORAGE_QUEUE
    # Those of templates are an overlay and a definition: the host is not what they wait for.
    own_slots_per_hypervisor = 4
    can_be_cancelled = True
    is_for_templates = True
    obstacles = (_CLONABLE, transient, saved, not_answering)
    Parameters: ClassVar[type[Any]] = CloneDomainParameters
    secret_parameters = frozenset({"cloud_init"})

    def group_of(self, domain: Domain) -> str:
        """What a template is for comes first."""
        return POWER if domain.is_template else self.group

    def word(self, domain: Domain) -> str:
        return _("New machine from it…") if domain.is_template else _("Clone…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> CloneDomainParameters:
        if domain.hypervisor is not None and domain.hypervisor.in_maintenance:
            raise NotPossible(
                _("%(host)s is in maintenance: nothing new goes there.") % {"host": domain.hypervisor.name}
            )
        return checked_parameters(domain, given)

    def also_needs(
        self, domain: Domain, parameters: CloneDomainParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        return [(Privilege.DOMAIN_CREATE, domain.hypervisor)]

    def locks(self, domain: Domain, parameters: CloneDomainParameters) -> tuple[str, ...]:
        """What is made, and the original; a template stays as it is, so that many may be made of it at once."""
        assert domain.hypervisor is not None
        host, pool = domain.hypervisor, domain.hypervisor.hypervisor_pool_id
        made = [(disk.storage_pool_id, disk.volume_name) for disk in parameters.made_disks]
        if parameters.seed_name:
            made.append((parameters.made_disks[0].storage_pool_id, parameters.seed_name))
        return (
            *(() if domain.is_template else super().locks(domain, parameters)),
            f"name:{pool}/{parameters.name}",
            f"domain:{parameters.uuid}",
            *(f"mac:{pool}/{mac}" for mac in parameters.macs),
            *(volume_lock_key(storage_pool_on(host, pk), name) for pk, name in made),
        )

    def title(self, operation: Operation) -> str:
        name = operation.parameters.get("name")
        return _("Clone as %(name)s") % {"name": name} if name else str(self.label)

    def run(self, run: Run) -> Result:
        result = run_steps(run, _Clone(run).steps(), done=_done(run))
        return _with_notes(run, result)


class _Clone:
    """The steps of one operation, and the XML that they end in."""

    def __init__(self, run: Run) -> None:
        self._operation = str(run.operation.pk)
        self._parameters: CloneDomainParameters = run.parameters
        self._host = run.source

    def steps(self) -> list[Step]:
        parameters, uuid = self._parameters, self._parameters.domain_uuid
        steps: list[Step] = [Look(parameters), *self._disk_steps(), CopyNvram(parameters.name)]
        if parameters.seed_name:
            steps.append(self._seed_step())
        steps.append(DefineDomain(uuid, parameters.name, self._xml))
        if parameters.seed_name:
            steps.append(NoteSeed(parameters, self._seed_pool))
        if parameters.start:
            steps.append(StartDomain(uuid))
        pools = [self._pool(disk) for disk in parameters.made_disks]
        if pools:
            steps.append(TellStorage(pools))
        return steps

    def _disk_steps(self) -> list[Step]:
        made = self._parameters.made_disks
        if self._parameters.is_live:
            return [BackUpDisks(made)] if made else []
        return [self._disk_step(disk, number) for number, disk in enumerate(made, start=1)]

    def _disk_step(self, disk: ClonedDisk, number: int) -> VolumeStep:
        pool, source = self._pool(disk), volume_on(self._host, disk.source_volume_id or 0)
        is_overlay = disk.action == CloneAction.OVERLAY
        spec = VolumeSpec(
            name=disk.volume_name,
            format="raw" if disk.format == "raw" else "qcow2",
            capacity_bytes=disk.capacity_bytes,
            backing_path=source.path if is_overlay else "",
            backing_format=("qcow2" if source.format == "qcow2" else "raw") if is_overlay else "",
        )
        if is_overlay:
            return OverlayDisk(pool, spec, number=number)
        return CopiedDisk(
            pool,
            spec,
            source_storage_pool=source.storage_pool,
            source_name=source.name,
            number=number,
            check=partial(check_copied, volume=source.row),
        )

    def _seed_step(self) -> WrittenDisk:
        spec = VolumeSpec(name=self._parameters.seed_name, format="raw", capacity_bytes=0)
        return WrittenDisk(self._seed_pool, spec, content=self._seed, same_head_bytes=SAME_HEAD_BYTES)

    def _seed(self) -> list[bytes]:
        settings = self._parameters.seed
        if settings is None:
            raise NotPossible(_("The settings of cloud-init are gone."))
        return [build_seed(settings, machine_name=self._parameters.name, uuid=self._parameters.domain_uuid)]

    @property
    def _seed_pool(self) -> StoragePool:
        return self._pool(self._parameters.made_disks[0])

    def _pool(self, disk: ClonedDisk) -> StoragePool:
        return storage_pool_on(self._host, disk.storage_pool_id)

    def _xml(self, run: Run) -> str:
        facts, parameters = original_of(run), self._parameters
        check_unchanged(facts, parameters.cloned_disks)
        changes = CloneChanges(
            name=parameters.name,
            uuid=parameters.domain_uuid,
            macs=tuple(parameters.macs),
            disks={disk.target: self._change(run, disk) for disk in parameters.cloned_disks},
            nvram=_copied_nvram(run) if "<nvram" in facts.inactive_xml else "",
            vcpus=parameters.vcpus,
            memory_kib=parameters.memory_kib,
            network=parameters.network,
        )
        xml = clone_domain(facts.inactive_xml, changes)
        if not parameters.seed_name:
            return xml
        target = free_drive_target(parse_document(xml))
        marker = build_install_marker(InstallMarker(phase="seeded", media=(target,), operation=self._operation))
        path = self._made(run, self._seed_pool, parameters.seed_name).path
        return add_seed_drive(xml, path=path, marker=marker)

    def _change(self, run: Run, disk: ClonedDisk) -> DiskChange:
        if disk.action == CloneAction.SKIP:
            return DiskChange(is_gone=True)
        if disk.action == CloneAction.EMPTY:
            return DiskChange(is_empty=True)
        if disk.action == CloneAction.SHARE:
            return DiskChange()
        pool = self._pool(disk)
        facts = self._made(run, pool, disk.volume_name)
        return DiskChange(
            path=facts.path,
            is_block=is_block(pool),
            format=disk.format,
            is_overlay=disk.action == CloneAction.OVERLAY,
        )

    def _made(self, run: Run, pool: StoragePool, name: str) -> VolumeFacts:
        facts = run.ask(partial(read_volume, pool_uuid=pool.uuid, name=name))
        if facts is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
        return facts


def _done(run: Run) -> str:
    text = _("“%(name)s” runs on %(host)s.") if run.parameters.start else _("“%(name)s” is defined on %(host)s.")
    return text % {"name": run.parameters.name, "host": run.source.name}


def _with_notes(run: Run, result: Result) -> Result:
    """What could not be as in the original is said."""
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    made = {entry["name"]: entry.get("made") or {} for entry in run.operation.steps}
    problem, notes = made.get("copy_nvram", {}).get("problem"), []
    if problem:
        notes.append(_("Its UEFI variables are new: they could not be copied (%(why)s).") % {"why": problem})
    if made.get("back_up", {}).get("frozen") is False:
        notes.append(_("Without a guest agent, its disks are as if the original's plug had been pulled."))
    return succeeded(" ".join([result.text, *notes]))


def _copied_nvram(run: Run) -> str:
    made = next((entry.get("made") or {} for entry in run.operation.steps if entry["name"] == "copy_nvram"), {})
    return str(made.get("copy", ""))
