"""The step that remembers a machine's first boots, so that whoever sees it stop or reboot knows what to do."""

from django.utils.translation import gettext_lazy

from hypervisors.libvirtxml.domain_disks_builder import disk_targets
from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.models import Installation
from hypervisors.operations.domains.creation.parameters import CreateDomainParameters, Method
from hypervisors.operations.domains.creation.specs import (
    INSTALLING,
    SEEDED,
    files_of,
    files_storage_pool,
    filled_spec,
    has_install_kernel,
    uuid_of,
)
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.osinfo import all_systems


class NoteInstallation(Step):
    name = "note_installation"
    label = gettext_lazy("Note what its first boots need")

    def __init__(self, parameters: CreateDomainParameters) -> None:
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        parameters = self._parameters
        files, pool = files_of(parameters), files_storage_pool(parameters, run.source)
        spec = filled_spec(parameters, run.source)
        Installation.objects.update_or_create(
            operation_id=run.operation.pk,
            defaults={
                "uuid": uuid_of(parameters),
                "hypervisor_pool": run.source.hypervisor_pool,
                "hypervisor": run.source,
                "phase": INSTALLING if parameters.install else SEEDED,
                "media": _media(spec),
                "files": [
                    {"storage_pool": pool.pk, "name": name} for name in (files.seed, files.kernel, files.initrd) if name
                ],
                "source": _source(parameters) if parameters.install else "",
                "reboots_expected": _reboots_of(spec.system),
            },
        )
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return Installation.objects.filter(operation_id=run.operation.pk).exists()

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        Installation.objects.filter(operation_id=run.operation.pk).delete()


def _source(parameters: CreateDomainParameters) -> str:
    if has_install_kernel(parameters):
        return "kernel"
    return "network" if parameters.method == Method.PXE else "cdrom"


def _media(spec: DomainSpec) -> dict[str, str]:
    drives = zip(spec.disks, disk_targets(spec.disks), strict=True)
    return {target: disk.path for disk, target in drives if disk.device in ("cdrom", "floppy") and disk.has_medium}


def _reboots_of(osinfo_id: str) -> int:
    system = next((one for one in all_systems() if osinfo_id and one.osinfo_id == osinfo_id), None)
    return 2 if system is not None and system.family == "winnt" else 1
