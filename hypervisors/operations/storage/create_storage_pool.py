"""Create a storage pool on a host: define it, make what it needs, start it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.storage_pool_actions import STORAGE_POOLS
from hypervisors.libvirtxml.storage_pool_builder import STORAGE_POOL_XML
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.models import Hypervisor, StoragePool
from hypervisors.operations.definitions.creation import CreateDefinition, CreateParameters
from hypervisors.operations.engine.steps import Step
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
class CreateStoragePoolParameters(CreateParameters):
    """`building`: "folder", "format", "overwrite", or "" for nothing."""

    building: str = ""


class CreateStoragePool(CreateDefinition):
    kind = "create_storage_pool"
    noun = "storage_pool"
    label = gettext_lazy("Create storage pool")
    icon = "database-plus"
    privilege = Privilege.STORAGE_MANAGE
    definitions = STORAGE_POOLS
    xml = STORAGE_POOL_XML
    start_step = StartStoragePool
    autostart_step = AutostartStoragePool
    Parameters: ClassVar[type[Any]] = CreateStoragePoolParameters

    def locks(self, hypervisor: Hypervisor, parameters: CreateStoragePoolParameters) -> tuple[str, ...]:
        keys = super().locks(hypervisor, parameters)
        path = self.xml.read(self.definition(parameters)).target_path
        return (*keys, f"path:{hypervisor.pk}{path}") if path and not path.startswith("/dev") else keys

    def own_parameters(self, given: Mapping[str, Any], spec: StoragePoolSpec) -> dict[str, Any]:
        building = str(given.get("building") or "")
        if building not in BUILDINGS["" if spec.type is None else spec.type.building]:
            raise NotPossible(_("A storage pool of this type is not made that way."))
        return {"building": building}

    def why_not_there(self, hypervisor: Hypervisor, spec: StoragePoolSpec, *, is_xml: bool) -> str:
        return why_taken(hypervisor, spec)

    def first_steps(self, parameters: CreateStoragePoolParameters) -> list[Step]:
        return [DefineStoragePool(self.definition(parameters)), BuildStoragePool(parameters.building)]


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
