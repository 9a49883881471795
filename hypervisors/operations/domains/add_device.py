"""Add a device: to what runs and what is stored, or from the next start on; with a new volume, where a disk has one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.libvirtxml.hardware.devices import parse_one_device
from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.creation.disk_checks import spec_of_plan
from hypervisors.operations.domains.creation.disk_steps import NewDisk, TellStorage
from hypervisors.operations.domains.creation.places import storage_pool_on
from hypervisors.operations.domains.hardware.adding import Attach, NewDevice, checked_addition
from hypervisors.operations.domains.hardware.checks import definition_of, host_of, stored_xml, volume_locks
from hypervisors.operations.domains.hardware.device_names import TYPE_NAMES
from hypervisors.operations.domains.hardware.disks import plan_of_new
from hypervisors.operations.domains.hardware.guards import needs_to_add
from hypervisors.operations.domains.hardware.kinds import HardwareChange
from hypervisors.operations.domains.hardware.looking import Look, made_by
from hypervisors.operations.domains.hardware.outcomes import Words, with_words
from hypervisors.operations.domains.hardware.parameters import AddDeviceParameters
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.subjects import volume_lock_key
from hypervisors.privileges import Privilege

_WORDS = Words(
    both=gettext_lazy("It is added: the guest has it now, and after every start."),
    live=gettext_lazy("It is added for as long as the machine runs."),
    next_start=gettext_lazy("It is added, and is there from the next start on."),
    off=gettext_lazy("It is added."),
)


class AddDevice(HardwareChange):
    kind = "add_device"
    label = gettext_lazy("Add hardware")
    icon = "plus"
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = AddDeviceParameters
    secret_parameters = frozenset({"secret_values", "xml"})

    def check(self, domain: Domain, given: Mapping[str, Any]) -> AddDeviceParameters:
        return checked_addition(domain, given)

    def also_needs(
        self, domain: Domain, parameters: AddDeviceParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """As the creation: volumes and networks by who may see them, what else is the host's by who manages it."""
        host = host_of(domain)
        needs: list[tuple[Privilege, models.Model | None]] = []
        device = NewDevice(host, parameters)
        if parameters.xml or device.names_of_the_host():
            needs.append((Privilege.HYPERVISOR_MANAGE, host))
        if parameters.volume_id is not None:
            needs.append((Privilege.STORAGE_VIEW, host))
        if parameters.new_disk is not None:
            needs.append((Privilege.DOMAIN_CREATE, host))
        if device.tag == "interface":
            needs += [(Privilege.NETWORK_VIEW, host), *needs_to_add(domain, parse_one_device(device.expected()))]
        return needs

    def locks(self, domain: Domain, parameters: AddDeviceParameters) -> tuple[str, ...]:
        """Its address, and the volume that is its own: nobody else may take them meanwhile."""
        host = host_of(domain)
        keys = list(super().locks(domain, parameters))
        mac = str(parameters.values.get("mac", ""))
        if mac:
            keys.append(f"mac:{host.hypervisor_pool_id}/{mac}")
        if parameters.new_disk is not None:
            plan = plan_of_new(parameters.new_disk)
            keys.append(volume_lock_key(storage_pool_on(host, plan.storage_pool_id), plan.volume_name))
        else:
            keys += volume_locks(domain, NewDevice(host, parameters).added(stored_xml(definition_of(domain))))
        return tuple(keys)

    def title(self, operation: Operation) -> str:
        kind = operation.parameters.get("device_type")
        name = TYPE_NAMES.get(str(kind), TYPE_NAMES["other"])
        return _("Add hardware: %(device)s") % {"device": name} if kind else str(self.label)

    def run(self, run: Run) -> Result:
        parameters: AddDeviceParameters = run.parameters
        device = NewDevice(run.source, parameters)
        steps: list[Step] = [Look(parameters.base_sha256, device.decide), *self._new_disk(run, parameters)]
        steps.append(Attach(device))
        if parameters.new_disk is not None:
            plan = plan_of_new(parameters.new_disk)
            steps.append(TellStorage([storage_pool_on(run.source, plan.storage_pool_id)]))
        return with_words(run, run_steps(run, steps, done=""), _WORDS, lost=made_by(run, "attach").get("lost", ()))

    def _new_disk(self, run: Run, parameters: AddDeviceParameters) -> list[Step]:
        if parameters.new_disk is None:
            return []
        plan = plan_of_new(parameters.new_disk)
        pool = storage_pool_on(run.source, plan.storage_pool_id)
        return [NewDisk(pool, spec_of_plan(run.source, plan))]
