"""Create a storage pool on a host: define it, make what it needs, start it. Many hosts at once: each by itself.

Its UUID is chosen before anything is done: by that alone a worker that adopts the operation knows it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.storage_pool_builder import build_storage_pool, read_storage_pool_spec
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec, name_problem, spec_problems
from hypervisors.models import Hypervisor, StoragePool
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.storage_pool_steps import (
    AutostartStoragePool,
    BuildStoragePool,
    DefineStoragePool,
    StartStoragePool,
)
from hypervisors.privileges import Privilege

# What can be asked to be made, by what a type's "build" is: see libvirtxml/storage_pool_types.py.
BUILDINGS: dict[str, tuple[str, ...]] = {
    "": ("",),
    "folder": ("", "folder"),
    "disk": ("", "format", "overwrite"),
}


@dataclass(frozen=True, kw_only=True)
class CreateStoragePoolParameters:
    """`spec` as JSON, or `xml` that somebody wrote. `building`: "folder", "format", "overwrite", or "" for nothing."""

    name: str
    spec: dict[str, Any] = field(default_factory=dict)
    xml: str = ""
    building: str = ""
    start: bool = True
    autostart: bool = True

    def definition(self) -> str:
        """Raises: ValueError."""
        return self.xml or build_storage_pool(StoragePoolSpec.from_json(self.spec))

    def read_spec(self) -> StoragePoolSpec:
        """Raises: ValueError."""
        return read_storage_pool_spec(self.xml) if self.xml else StoragePoolSpec.from_json(self.spec)


class CreateStoragePool(OperationType[Hypervisor]):
    kind = "create_storage_pool"
    subject_type = "hypervisor"
    label = gettext_lazy("Create storage pool")
    icon = "database-plus"
    privilege = Privilege.STORAGE_MANAGE
    queue = OPERATIONS_QUEUE
    in_bulk = True
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = CreateStoragePoolParameters

    def why_not(self, hypervisor: Hypervisor) -> str:
        return why_unreachable(hypervisor)

    def locks(self, hypervisor: Hypervisor, parameters: CreateStoragePoolParameters) -> tuple[str, ...]:
        keys = [f"name:storage_pool:{hypervisor.pk}/{parameters.name}"]
        path = parameters.read_spec().target_path
        return (*keys, f"path:{hypervisor.pk}{path}") if path and not path.startswith("/dev") else tuple(keys)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateStoragePoolParameters:
        spec = checked_spec(given)
        building = str(given.get("building") or "")
        if building not in BUILDINGS["" if spec.type is None else spec.type.building]:
            raise NotPossible(_("A storage pool of this type is not made that way."))
        reason = why_taken(hypervisor, spec)
        if reason:
            raise NotPossible(reason)
        start = bool(given.get("start", True))
        return CreateStoragePoolParameters(
            name=spec.name,
            spec={} if given.get("xml") else spec.to_json(),
            xml=str(given.get("xml") or ""),
            building=building,
            start=start,
            autostart=bool(given.get("autostart", True)),
        )

    def subject_name(self, hypervisor: Hypervisor, parameters: CreateStoragePoolParameters) -> str:
        return parameters.name

    def run(self, run: Run) -> Result:
        wanted: CreateStoragePoolParameters = run.parameters
        steps: list[Step] = [DefineStoragePool(wanted.definition()), BuildStoragePool(wanted.building)]
        if wanted.start:
            steps.append(StartStoragePool())
        if wanted.autostart:
            steps.append(AutostartStoragePool())
        return run_steps(run, steps, done=_("It is created and started.") if wanted.start else _("It is created."))


def checked_spec(given: Mapping[str, Any]) -> StoragePoolSpec:
    """Of the `spec` or the `xml` that was given. Raises: errors.NotPossible with the first thing that is wrong."""
    try:
        if given.get("xml"):
            spec = read_storage_pool_spec(str(given["xml"]))
            # What else is in it is libvirt's to judge.
            problems = {"name": name_problem(spec.name)}
        else:
            spec = StoragePoolSpec.from_json(given.get("spec") or {})
            problems = spec_problems(spec)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    wrong = next((problem for problem in problems.values() if problem), "")
    if wrong:
        raise NotPossible(wrong)
    return spec


def why_taken(hypervisor: Hypervisor, spec: StoragePoolSpec) -> str:
    """Why the host cannot have it beside the storage pools that it has, from rows; "" when it can."""
    present = StoragePool.objects.present().filter(hypervisor=hypervisor)
    if present.filter(name=spec.name).exists():
        return _("%(host)s has a storage pool called “%(name)s” already.") % {
            "host": hypervisor.name,
            "name": spec.name,
        }
    if not spec.target_path or spec.target_path.startswith("/dev"):
        return ""
    there = present.filter(target_path__in=(spec.target_path, f"{spec.target_path}/")).first()
    if there is None:
        return ""
    text = (
        _("The storage pool “%(name)s” of %(host)s is at %(path)s already: use that one.")
        if there.active
        else _("The storage pool “%(name)s” of %(host)s is at %(path)s already, and is stopped: start that one.")
    )
    return text % {"name": there.name, "host": hypervisor.name, "path": spec.target_path}
