"""Change a device: in what runs and in what is stored, or from the next start on."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.libvirtxml.hardware.devices import with_changed_device
from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.hardware.changing import ChangedDevice, UpdateLive, checked_change
from hypervisors.operations.domains.hardware.checks import (
    definition_of,
    device_of,
    host_of,
    stored_xml,
    volume_locks,
)
from hypervisors.operations.domains.hardware.device_names import name_by_identity
from hypervisors.operations.domains.hardware.guards import needs_to_change
from hypervisors.operations.domains.hardware.host_reach import new_names_of_the_host
from hypervisors.operations.domains.hardware.kinds import HardwareChange
from hypervisors.operations.domains.hardware.looking import Look
from hypervisors.operations.domains.hardware.outcomes import Words, with_words
from hypervisors.operations.domains.hardware.parameters import ChangeDeviceParameters
from hypervisors.operations.domains.hardware.storing import Store, lost_by
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.privileges import Privilege

_WORDS = Words(
    both=gettext_lazy("It is changed, now and after every start."),
    live=gettext_lazy("It is changed for as long as the machine runs."),
    next_start=gettext_lazy("It is changed from the next start on."),
    off=gettext_lazy("It is changed."),
)
# Of a network card: what it is plugged into.
_PLUGS = ("type", "source_network", "source_bridge", "source_dev", "source_mode", "portgroup", "vlan_tags")


class ChangeDevice(HardwareChange):
    kind = "change_device"
    label = gettext_lazy("Change hardware")
    icon = "adjustments"
    Parameters: ClassVar[type[Any]] = ChangeDeviceParameters
    secret_parameters = frozenset({"secret_values", "xml"})

    def check(self, domain: Domain, given: Mapping[str, Any]) -> ChangeDeviceParameters:
        return checked_change(domain, given)

    def also_needs(
        self, domain: Domain, parameters: ChangeDeviceParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """As when it is added, for what becomes another."""
        host = host_of(domain)
        before = device_of(definition_of(domain), parameters.device_id)
        after = ChangedDevice(host, parameters).changed(before)
        has_volume = parameters.volume_id is not None
        needs: list[tuple[Privilege, models.Model | None]] = []
        if parameters.xml or new_names_of_the_host(before.xml, after.xml, has_chosen_volume=has_volume):
            needs.append((Privilege.HYPERVISOR_MANAGE, host))
        if has_volume:
            needs.append((Privilege.STORAGE_VIEW, host))
        if before.type_key == "interface":
            is_replugged = any(before.values.get(name) != after.values.get(name) for name in _PLUGS)
            needs += [(Privilege.NETWORK_VIEW, host)] if is_replugged else []
            needs += needs_to_change(domain, before, after, is_whole=bool(parameters.xml))
        return needs

    def locks(self, domain: Domain, parameters: ChangeDeviceParameters) -> tuple[str, ...]:
        host = host_of(domain)
        keys = list(super().locks(domain, parameters))
        mac = str(parameters.values.get("mac", "")).lower()
        if mac:
            keys.append(f"mac:{host.hypervisor_pool_id}/{mac}")
        definition = definition_of(domain)
        before = device_of(definition, parameters.device_id)
        after = ChangedDevice(host, parameters).changed(before)
        keys += volume_locks(domain, with_changed_device(stored_xml(definition), before.id, after.xml))
        return tuple(keys)

    def title(self, operation: Operation) -> str:
        device_id = operation.parameters.get("device_id")
        name = name_by_identity(str(device_id)) if device_id else ""
        return _("Change hardware: %(device)s") % {"device": name} if name else str(self.label)

    def run(self, run: Run) -> Result:
        parameters: ChangeDeviceParameters = run.parameters
        device = ChangedDevice(run.source, parameters)
        steps = [Look(parameters.base_sha256, device.decide), UpdateLive(device), Store(device.edit)]
        return with_words(run, run_steps(run, steps, done=""), _WORDS, lost=lost_by(run))
