"""Create a virtual machine: look, make its disks and files, define it, start it, tell the other hosts.

Cancelled or failed, all of it is undone in reverse; see creation/ for each step, and creation/requests.py for who asks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.cloudinit.seeds import SAME_HEAD_BYTES, build_seed
from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.volumes import read_volume
from hypervisors.libvirtxml.domain_builder import build_domain
from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Hypervisor, Installation, StoragePool
from hypervisors.operations.domains.creation.checks import checked
from hypervisors.operations.domains.creation.define_steps import DefineDomain, StartDomain
from hypervisors.operations.domains.creation.disk_checks import spec_of_plan
from hypervisors.operations.domains.creation.disk_steps import (
    CopiedDisk,
    NewDisk,
    OverlayDisk,
    TellStorage,
    VolumeStep,
    WrittenDisk,
)
from hypervisors.operations.domains.creation.install_notes import NoteInstallation
from hypervisors.operations.domains.creation.parameters import (
    CreateDomainParameters,
    DiskAction,
    DiskPlan,
)
from hypervisors.operations.domains.creation.places import storage_pool_on, volume_on
from hypervisors.operations.domains.creation.source_checks import CheckSources
from hypervisors.operations.domains.creation.specs import (
    files_of,
    files_storage_pool,
    filled_spec,
    has_install_kernel,
    has_sources,
    install_spec,
    marked,
    names_of_the_host,
    spec_of,
    uuid_of,
)
from hypervisors.operations.domains.creation.trees import tree_arguments, tree_file
from hypervisors.operations.domains.creation.unattended import answers_iso, install_script, ramdisk_with_answers
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.image_checks import check_copied
from hypervisors.privileges import Privilege


class CreateDomain(OperationType[Hypervisor]):
    kind = "create_domain"
    subject_type = "hypervisor"
    label = gettext_lazy("Create virtual machine")
    icon = "square-plus"
    privilege = Privilege.DOMAIN_CREATE
    queue = STORAGE_QUEUE
    # Most are overlays and a start: the host is not what they wait for.
    own_slots_per_hypervisor = 4
    can_be_cancelled = True
    makes_machine = True
    Parameters: ClassVar[type[Any]] = CreateDomainParameters
    secret_parameters = frozenset({"cloud_init", "unattended"})

    def why_not(self, hypervisor: Hypervisor) -> str:
        if hypervisor.in_maintenance:
            return _("%(host)s is in maintenance: nothing new goes there.") % {"host": hypervisor.name}
        return why_unreachable(hypervisor)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateDomainParameters:
        return checked(hypervisor, given)

    def also_needs(
        self, hypervisor: Hypervisor, parameters: CreateDomainParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """Volumes are named by who may see them, and what else is the host's by who may manage it, as in XML."""
        needs: list[tuple[Privilege, models.Model | None]] = []
        if has_sources(parameters):
            needs.append((Privilege.STORAGE_VIEW, hypervisor))
        if names_of_the_host(spec_of(parameters)):
            needs.append((Privilege.HYPERVISOR_MANAGE, hypervisor))
        return needs

    def locks(self, hypervisor: Hypervisor, parameters: CreateDomainParameters) -> tuple[str, ...]:
        """Its name, UUID and addresses, and each volume that is its own. What it is made of may be so for many."""
        pool = hypervisor.hypervisor_pool_id
        spec = spec_of(parameters)
        own = [plan for plan in parameters.disk_plans if not plan.shareable]
        disks = [volume_lock_key(storage_pool_on(hypervisor, p.storage_pool_id), p.volume_name) for p in own]
        files = files_of(parameters)
        names = [name for name in (files.seed, files.kernel, files.initrd) if name]
        return (
            f"name:{pool}/{parameters.name}",
            f"domain:{spec.uuid}",
            *(f"mac:{pool}/{card.mac}" for card in spec.interfaces),
            *disks,
            *(volume_lock_key(files_storage_pool(parameters, hypervisor), name) for name in names),
        )

    def subject_name(self, hypervisor: Hypervisor, parameters: CreateDomainParameters) -> str:
        return parameters.name

    def run(self, run: Run) -> Result:
        return run_steps(run, _Creation(run).steps(), done=self._done(run))

    def _done(self, run: Run) -> str:
        text = _("It runs on %(host)s.") if run.parameters.start else _("It is defined on %(host)s.")
        return text % {"host": run.source.name}


class _Creation:
    """The steps of one operation, and the XML that they end in."""

    def __init__(self, run: Run) -> None:
        self._operation = str(run.operation.pk)
        self._parameters: CreateDomainParameters = run.parameters
        self._host = run.source
        self._files = files_of(self._parameters)

    def steps(self) -> list[Step]:
        parameters = self._parameters
        uuid, spec = uuid_of(parameters), spec_of(parameters)
        volumes = [*self._disks(), *self._file_steps()]
        steps: list[Step] = [CheckSources(parameters), *volumes]
        steps.append(DefineDomain(uuid, parameters.name, self._xml, autostart=spec.autostart))
        if parameters.install or parameters.cloud_init is not None:
            steps.append(NoteInstallation(parameters))
        if parameters.start:
            first = self._first_xml if has_install_kernel(parameters) else None
            steps.append(StartDomain(uuid, build_first=first))
        if volumes:
            steps.append(TellStorage([volume.storage_pool for volume in volumes]))
        return steps

    def _disks(self) -> list[VolumeStep]:
        plans = enumerate(self._parameters.disk_plans, start=1)
        return [self._disk(plan, number) for number, plan in plans if plan.action != DiskAction.EXISTING]

    def _disk(self, plan: DiskPlan, number: int) -> VolumeStep:
        pool, spec = storage_pool_on(self._host, plan.storage_pool_id), spec_of_plan(self._host, plan)
        if plan.action == DiskAction.NEW:
            return NewDisk(pool, spec, number=number)
        if plan.action == DiskAction.OVERLAY:
            return OverlayDisk(pool, spec, number=number)
        source = volume_on(self._host, plan.source_volume_id or 0)
        return CopiedDisk(
            pool,
            spec,
            source_storage_pool=source.storage_pool,
            source_name=source.name,
            number=number,
            check=partial(check_copied, volume=source.row),
        )

    def _file_steps(self) -> list[VolumeStep]:
        steps: list[VolumeStep] = []
        if self._files.seed:
            steps.append(self._written(self._files.seed, self._seed, 1, same_head_bytes=SAME_HEAD_BYTES))
        for number, kind in ((2, "kernel"), (3, "initrd")):
            name = getattr(self._files, kind)
            if name:
                steps.append(self._written(name, self._tree_file(kind), number))
        return steps

    def _tree_file(self, kind: str) -> Callable[[], Iterable[bytes]]:
        fetch = tree_file(self._parameters.tree_url, kind)
        if kind == "initrd" and self._parameters.unattended is not None:
            return lambda: ramdisk_with_answers(fetch(), self._parameters)
        return fetch

    def _written(self, name: str, content: Any, number: int, *, same_head_bytes: int = 4096) -> WrittenDisk:
        pool = files_storage_pool(self._parameters, self._host)
        spec = VolumeSpec(name=name, format="raw", capacity_bytes=0)
        return WrittenDisk(pool, spec, content=content, same_head_bytes=same_head_bytes, number=number)

    def _seed(self) -> Iterable[bytes]:
        settings = self._parameters.seed
        if self._parameters.unattended is not None:
            return answers_iso(self._parameters)
        if settings is None:
            raise NotPossible(_("The settings of cloud-init are gone."))
        return [build_seed(settings, machine_name=self._parameters.name, uuid=uuid_of(self._parameters))]

    def _xml(self, run: Run) -> str:
        return build_domain(self._whole(run))

    def _first_xml(self, run: Run) -> str:
        parameters = self._parameters
        if not parameters.tree_url:
            chosen = (parameters.kernel_volume_id, parameters.initrd_volume_id)
            kernel, initrd = (volume_on(self._host, one).path if one is not None else "" for one in chosen)
            cmdline = parameters.cmdline
        else:
            paths = self._paths(run)
            kernel, initrd = paths[self._files.kernel], paths[self._files.initrd]
            told = "" if parameters.unattended is None else install_script(parameters).command_line
            cmdline = tree_arguments(parameters.tree_url, f"{told} {parameters.cmdline}".strip())
        # To install again, should this run come to nothing.
        values = {"kernel": kernel, "initrd": initrd, "cmdline": cmdline}
        Installation.objects.filter(operation_id=run.operation.pk).update(kernel=values)
        return build_domain(install_spec(self._whole(run), kernel=kernel, initrd=initrd, cmdline=cmdline))

    def _whole(self, run: Run) -> DomainSpec:
        spec = filled_spec(self._parameters, self._host, paths=self._paths(run))
        return marked(spec, self._parameters, operation=self._operation)

    def _paths(self, run: Run) -> dict[str, str]:
        """Where libvirt put each volume that was made, by its name. Raises: errors.NotPossible."""
        paths = {}
        for pool, name in self._volumes():
            facts = run.ask(partial(read_volume, pool_uuid=pool.uuid, name=name))
            if facts is None:
                raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
            paths[name] = facts.path
        return paths

    def _volumes(self) -> list[tuple[StoragePool, str]]:
        return [(step.storage_pool, step.volume_name) for step in (*self._disks(), *self._file_steps())]
