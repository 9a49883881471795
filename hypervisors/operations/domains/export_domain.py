"""Export a virtual machine that is off: as an OVA, or its disks as qcow2; into volumes, which can be downloaded.

The host flattens and converts each disk; an OVA's are then compressed on their way into the archive. Nothing of it ever
lies on a disk of vmportal's own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.gateway.storage.volumes import read_volume
from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head
from hypervisors.imaging.ovf_writer import ExportedMachine
from hypervisors.libvirtxml.storage_volumes import VolumeSpec, check_volume_name
from hypervisors.models import Domain, StoragePool, Volume
from hypervisors.operations.domains.creation.disk_steps import CopiedDisk, TellStorage
from hypervisors.operations.domains.creation.places import is_block, storage_pool_on
from hypervisors.operations.domains.domain_operations import OFF, DomainOperation, saved
from hypervisors.operations.domains.exporting.machines import DiskSource, disk_sources, exported_machine
from hypervisors.operations.domains.exporting.packing import BeginArchive, FinishArchive, PackDisk
from hypervisors.operations.domains.importing.extraction import DropVolume, check_room, temporary_name
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.subjects import lock_key, volume_lock_key
from hypervisors.operations.engine.types import checked_choice
from hypervisors.operations.storage.volume_readers import needed_file
from hypervisors.operations.storage.volume_users import why_running
from hypervisors.privileges import Privilege
from hypervisors.states import DomainState

OVA, QCOW2 = "ova", "qcow2"
FORMATS = {
    OVA: gettext_lazy("OVA: for VMware, VirtualBox and vmportal"),
    QCOW2: gettext_lazy("qcow2: each disk by itself"),
}
_FOREIGN = frozenset({"qcow2", "vmdk", "vdi", "vpc", "vhdx", "qed", "cow", "parallels", "bochs", "cloop"})


@dataclass(frozen=True, kw_only=True)
class ExportParameters:
    """`stem`: what the files are called, without an extension. `disks`: DiskSources as JSON; `machine`: of an OVA."""

    format: str
    stem: str
    storage_pool_id: int
    disks: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[DiskSource, ...]:
        return tuple(DiskSource(**disk) for disk in self.disks)

    @property
    def volume_names(self) -> tuple[str, ...]:
        """What is there afterwards."""
        if self.format == OVA:
            return (f"{self.stem}.ova",)
        return tuple(f"{self.stem}-{number}.qcow2" for number in range(1, len(self.disks) + 1))

    @property
    def file_names(self) -> tuple[str, ...]:
        """Of the disks inside an OVA."""
        return tuple(f"{self.stem}-{number}.vmdk" for number in range(1, len(self.disks) + 1))


class ExportDomain(DomainOperation):
    kind = "export_domain"
    label = gettext_lazy("Export")
    icon = "package-export"
    privilege = Privilege.DOMAIN_CREATE
    queue = STORAGE_QUEUE
    can_be_cancelled = True
    obstacles = (saved, OFF)
    Parameters: ClassVar[type[Any]] = ExportParameters

    def check(self, domain: Domain, given: Mapping[str, Any]) -> ExportParameters:
        format_ = checked_choice(given.get("format"), FORMATS, what=_("format"))
        sources = disk_sources(domain)
        parameters = ExportParameters(
            format=format_,
            stem=_stem(given.get("name") or domain.name),
            storage_pool_id=_storage_pool(domain, given.get("storage_pool_id"), sources).pk,
            disks=[asdict(source) for source in sources],
            machine=asdict(exported_machine(domain)) if format_ == OVA else {},
        )
        _check_names(parameters)
        return parameters

    def locks(self, domain: Domain, parameters: ExportParameters) -> tuple[str, ...]:
        """The machine, so that it is not started meanwhile; its disks, so that nobody changes them; what is made."""
        pools = StoragePool.objects.in_bulk(
            [parameters.storage_pool_id, *(source.storage_pool_id for source in parameters.sources)]
        )
        return (
            lock_key(domain),
            *(volume_lock_key(pools[source.storage_pool_id], source.volume_name) for source in parameters.sources),
            *(volume_lock_key(pools[parameters.storage_pool_id], name) for name in parameters.volume_names),
        )

    def run(self, run: Run) -> Result:
        parameters: ExportParameters = run.parameters
        pools = StoragePool.objects.select_related("hypervisor")
        storage_pool = pools.get(pk=parameters.storage_pool_id)
        sources = {pool.pk: pool for pool in pools.filter(pk__in=[one.storage_pool_id for one in parameters.sources])}
        steps: list[Step] = [_Look(storage_pool, parameters, sources)]
        steps += (_ova_steps if parameters.format == OVA else _qcow2_steps)(run, parameters, storage_pool, sources)
        steps.append(TellStorage([storage_pool]))
        names = ", ".join(parameters.volume_names)
        done = _("It is exported: %(names)s in “%(pool)s”.") % {"names": names, "pool": storage_pool.name}
        return run_steps(run, steps, done=done)


def _ova_steps(
    run: Run, parameters: ExportParameters, storage_pool: StoragePool, pools: dict[int, StoragePool]
) -> list[Step]:
    (archive,) = parameters.volume_names
    steps: list[Step] = [BeginArchive(storage_pool, archive)]
    count = len(parameters.sources)
    for number, source in enumerate(parameters.sources, start=1):
        temporary = temporary_name(run, number)
        steps += [
            CopiedDisk(
                storage_pool,
                VolumeSpec(name=temporary, format="vmdk", capacity_bytes=0),
                source_storage_pool=pools[source.storage_pool_id],
                source_name=source.volume_name,
                number=number,
                check=partial(_checked_bytes, pool=pools[source.storage_pool_id], source=source),
            ),
            PackDisk(
                storage_pool,
                archive,
                source_name=temporary,
                file_name=parameters.file_names[number - 1],
                number=number,
                count=count,
            ),
            DropVolume(storage_pool, temporary, number=number),
        ]
    machine = ExportedMachine(**parameters.machine)
    steps.append(
        FinishArchive(storage_pool, archive, machine=machine, stem=parameters.stem, files=parameters.file_names)
    )
    return steps


def _qcow2_steps(
    run: Run, parameters: ExportParameters, storage_pool: StoragePool, pools: dict[int, StoragePool]
) -> list[Step]:
    return [
        CopiedDisk(
            storage_pool,
            VolumeSpec(name=name, format="qcow2", capacity_bytes=0),
            source_storage_pool=pools[source.storage_pool_id],
            source_name=source.volume_name,
            number=number,
            check=partial(_checked_bytes, pool=pools[source.storage_pool_id], source=source),
        )
        for number, (name, source) in enumerate(zip(parameters.volume_names, parameters.sources, strict=True), start=1)
    ]


class _Look(Step):
    """Look that it is off, that its disks are what it takes them for, and that there is room for one more of each."""

    name = "look"
    label = gettext_lazy("Look at the disks")

    def __init__(self, storage_pool: StoragePool, parameters: ExportParameters, pools: dict[int, StoragePool]) -> None:
        self._storage_pool = storage_pool
        self._parameters = parameters
        self._pools = pools

    def do(self, run: Run, intent: Made) -> Made:
        if run.ask(lambda connection: domain_state(connection, run.uuid)) != DomainState.SHUTOFF:
            raise NotPossible(_("It is not off any more."))
        sources = self._parameters.sources
        needed = sum(_checked_bytes(run, self._pools[source.storage_pool_id], source) for source in sources)
        check_room(run, self._storage_pool, needed)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows it, and twice does no harm.
        return False


def _checked_bytes(run: Run, pool: StoragePool, source: DiskSource) -> int:
    """What it takes on the storage now.

    Raises: errors.NotPossible where the content claims to be something else than the machine takes it for: a guest can
    write any header into a raw disk, and the host would follow what that names. Another machine may have it, too.
    """
    facts = run.ask(lambda connection: read_volume(connection, pool.uuid, source.volume_name))
    if facts is None:
        raise NotPossible(_("The volume of its disk %(target)s is gone.") % {"target": source.target})
    volume = Volume.objects.present().filter(storage_pool=pool, name=source.volume_name).first()
    reason = "" if volume is None else why_running(volume)
    if reason:
        raise NotPossible(reason)
    head = needed_file(run, pool, source.volume_name).read(0, HEAD_BYTES)
    found = inspect_head(head).format
    is_foreign = source.format != "qcow2" and found in _FOREIGN
    if is_foreign or (source.format == "qcow2") != (facts.format == "qcow2"):
        raise NotPossible(
            _("The disk %(target)s is %(format)s for the machine, and its content claims to be %(found)s.")
            % {"target": source.target, "format": source.format, "found": found}
        )
    return facts.allocation_bytes


def _stem(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or '"' in name or not name.isprintable():
        raise NotPossible(_("What is exported needs a name, without quotes."))
    stem = name.strip()
    try:
        check_volume_name(f"{stem}.ova")
    except ValueError as error:
        raise NotPossible(str(error)) from error
    # A name in a tar archive has a hundred bytes.
    if len(stem.encode()) > 90:
        raise NotPossible(_("The name is too long: at most 90 bytes."))
    return stem


def _storage_pool(domain: Domain, storage_pool_id: object, sources: list[DiskSource]) -> StoragePool:
    if domain.hypervisor is None:
        raise NotPossible(_("No host has it any more."))
    chosen = storage_pool_id if isinstance(storage_pool_id, int) else sources[0].storage_pool_id
    storage_pool = storage_pool_on(domain.hypervisor, chosen)
    if not storage_pool.active or is_block(storage_pool) or not storage_pool.target_path:
        raise NotPossible(_("What is exported is a file: choose a storage pool that is started and has files."))
    return storage_pool


def _check_names(parameters: ExportParameters) -> None:
    same = StoragePool.objects.present().same_storage_as(StoragePool.objects.get(pk=parameters.storage_pool_id))
    taken = Volume.objects.present().filter(storage_pool__in=same, name__in=parameters.volume_names).first()
    if taken is not None:
        raise NotPossible(
            _("There is a volume called “%(name)s” in this storage pool already; choose another name.")
            % {"name": taken.name}
        )
