"""How a deletion ended, and what it left: the list by which "Delete what is left" tries again."""

from dataclasses import dataclass

from django.utils.translation import ngettext

from hypervisors.models import Domain, Operation, StoragePool, VolumeOrigin
from hypervisors.operations.domains.deletion.steps import VOLUME_STEP, DoomedDisk, doomed_disk
from hypervisors.operations.engine.runs import Outcome, Result, Run, failed, succeeded
from hypervisors.operations.engine.steps import DONE
from hypervisors.states import OperationState

# Kinds that delete disks, each with its `disks` and a step for each of them.
DELETING_KINDS = ("delete_domain", "delete_leftovers")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A disk that was to be deleted, and is still there as far as is known; `reason` may be empty."""

    disk: DoomedDisk
    reason: str


def deletion_outcome(run: Run, result: Result) -> Result:
    """The result of its steps, with the disks that are left."""
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    disks, left = run.operation.parameters.get("disks", []), leftovers_of(run.operation)
    if not left:
        if not disks:
            return result
        count = len(disks)
        text = ngettext("%(done)s %(count)d disk is deleted.", "%(done)s %(count)d disks are deleted.", count)
        return succeeded(text % {"done": result.text, "count": count})
    text = ngettext(
        "%(done)s %(count)d of its disks is left; “Delete what is left” on its page tries again. %(left)s",
        "%(done)s %(count)d of its disks are left; “Delete what is left” on its page tries again. %(left)s",
        len(left),
    )
    said = " ".join(f"{one.disk.name}: {one.reason}" for one in left)
    return failed(text % {"done": result.text, "count": len(left), "left": said})


def leftovers_of(operation: Operation) -> list[Leftover]:
    """What it was to delete and did not, in the order asked for."""
    entries = {entry["name"]: entry for entry in operation.steps}
    left = []
    for number, stored in enumerate(operation.parameters.get("disks", []), start=1):
        entry = entries.get(f"{VOLUME_STEP}{number}", {})
        problem = str((entry.get("made") or {}).get("problem", ""))
        if entry.get("state") != DONE or problem:
            left.append(Leftover(disk=doomed_disk(stored), reason=problem))
    return left


def leftovers(domain: Domain) -> list[Leftover]:
    """Of a domain that is gone: what its latest deletion left; nothing while one is under way."""
    latest = domain.operations.filter(kind__in=DELETING_KINDS).order_by("-requested_at").first()
    if latest is None or not latest.is_finished:
        return []
    return [one for one in leftovers_of(latest) if not _is_made_anew(domain, one.disk, latest)]


def _is_made_anew(domain: Domain, disk: DoomedDisk, deletion: Operation) -> bool:
    """Whether another volume of that name was made since: that one is nobody's leftover."""
    if not disk.storage_pool_uuid:
        return False
    same = StoragePool.objects.filter(hypervisor=domain.hypervisor_id, uuid=disk.storage_pool_uuid).first()
    if same is None:
        return False
    made = VolumeOrigin.objects.filter(storage_pool__in=StoragePool.objects.same_storage_as(same), name=disk.volume)
    return made.filter(noted_at__gt=deletion.requested_at).exists()
