"""Look into a volume that is to be imported: an OVA, an OVF descriptor, or a foreign disk. Nothing is changed."""

from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from hypervisors.errors import HypervisorError
from hypervisors.imaging.appliance_json import appliance_to_json
from hypervisors.imaging.appliances import ExaminedAppliance, StoredFile, examine
from hypervisors.models import Appliance, Volume
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.operations.engine.runs import Result, Run, failed, succeeded
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.storage_operations import why_no_storage_pool
from hypervisors.operations.storage.volume_readers import needed_file, stored_file
from hypervisors.privileges import Privilege


class ReadAppliance(OperationType[Volume]):
    kind = "read_appliance"
    subject_type = "volume"
    label = gettext_lazy("Look into the appliance")
    icon = "package"
    privilege = Privilege.DOMAIN_CREATE
    queue = OPERATIONS_QUEUE

    def why_gone(self, volume: Volume) -> str:
        if volume.vanished_at is not None:
            return _("The volume is gone; it was last seen at %(time)s.") % {"time": clock(volume.vanished_at)}
        return ""

    def why_not(self, volume: Volume) -> str:
        return self.why_gone(volume) or why_no_storage_pool(volume.storage_pool)

    def is_offered(self, volume: Volume) -> bool:
        return volume.name.lower().endswith((".ova", ".ovf", ".vmdk", ".vdi", ".vhd"))

    def subject_name(self, volume: Volume, parameters: Any) -> str:
        return f"{volume.storage_pool.name}/{volume.name}"

    def run(self, run: Run) -> Result:
        volume = Volume.objects.select_related("storage_pool__hypervisor").get(pk=int(run.operation.subject_key))
        try:
            examined = examine_volume(run, volume)
        except ValueError as error:
            note_appliance(volume, problem=str(error))
            return failed(str(error))
        except HypervisorError as error:
            note_appliance(volume, problem=str(error))
            raise
        note_appliance(volume, examined=examined)
        count = len(examined.disks)
        return succeeded(ngettext("It has %(count)d disk.", "It has %(count)d disks.", count) % {"count": count})


def examine_volume(run: Run, volume: Volume) -> ExaminedAppliance:
    """As it is now. Raises: ValueError, fit for people; errors.HypervisorError."""

    def find(name: str) -> StoredFile | None:
        return stored_file(run, volume.storage_pool, name)

    return examine(needed_file(run, volume.storage_pool, volume.name), name=volume.name, find=find)


def note_appliance(volume: Volume, *, examined: ExaminedAppliance | None = None, problem: str = "") -> None:
    content = {} if examined is None else appliance_to_json(examined)
    Appliance.objects.update_or_create(
        volume=volume, defaults={"content": content, "problem": problem, "read_at": timezone.now()}
    )
