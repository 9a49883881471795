"""A device that is to be changed: what somebody changed in the form, applied to the device as each side has it.

A form is made of what is stored. Where what runs differs already, only what was changed in the form is changed there.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.domains.hardware import Hardware, Sides, update_device
from hypervisors.gateway.domains.live_settings import set_disk_limits, set_memory_report_period
from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import (
    Device,
    build_device,
    find_device,
    parse_one_device,
    with_changed_device,
)
from hypervisors.libvirtxml.hardware.differences import pending_differences
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.live_rules import rule_for_changing
from hypervisors.libvirtxml.secret_restoring import restore_secrets
from hypervisors.models import Domain, Hypervisor
from hypervisors.operations.domains.creation.places import volume_on
from hypervisors.operations.domains.hardware.checks import (
    check_card,
    check_mac,
    check_storage,
    checked_base,
    checked_device_xml,
    checked_values,
    checked_when,
    definition_of,
    device_of,
    host_of,
    stored_xml,
)
from hypervisors.operations.domains.hardware.disks import (
    check_content,
    checked_volume,
    volume_values,
    with_image_chain,
)
from hypervisors.operations.domains.hardware.host_devices import check_host_device
from hypervisors.operations.domains.hardware.looking import (
    ask_live,
    check_live,
    find_in,
    hardware_of,
    looked,
    sides_for,
    sides_looked,
)
from hypervisors.operations.domains.hardware.parameters import ChangeDeviceParameters
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step

# Of a disk: what a call of its own sets while it runs.
_LIMITS = frozenset(field.name for field in DEVICE_TYPES["disk"].fields if field.path.startswith("iotune/"))


def checked_change(domain: Domain, given: Mapping[str, Any]) -> ChangeDeviceParameters:
    """Raises: errors.NotPossible, errors.Conflict."""
    definition = definition_of(domain)
    base, when = checked_base(given, definition), checked_when(given, domain)
    before = device_of(definition, given.get("device_id"))
    xml = checked_device_xml(given.get("xml"))
    try:
        parameters = _checked_xml(domain, before, xml) if xml else _checked_form(domain, before, given)
        after = ChangedDevice(host_of(domain), parameters).changed(before)
        _check_card(domain, before, after)
        check_storage(domain, with_changed_device(stored_xml(definition), before.id, after.xml))
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return ChangeDeviceParameters(**(vars(parameters) | {"base_sha256": base, "when": when}))


def _checked_xml(domain: Domain, before: Device, xml: str) -> ChangeDeviceParameters:
    device = parse_one_device(xml)
    if device.type_key != before.type_key:
        raise NotPossible(_("It is another kind of device: remove this one, and add that."))
    if device.id != before.id:
        check_host_device(domain, xml)
    return ChangeDeviceParameters(device_id=before.id, device_type=before.type_key, xml=xml)


def _checked_form(domain: Domain, before: Device, given: Mapping[str, Any]) -> ChangeDeviceParameters:
    kind = DEVICE_TYPES.get(before.type_key)
    if kind is None:
        raise NotPossible(_("This device has no form: change its XML."))
    values, secrets = checked_values(given.get("values"), kind.fields)
    return ChangeDeviceParameters(
        device_id=before.id,
        device_type=before.type_key,
        values=values,
        secret_values=secrets,
        volume_id=checked_volume(domain, before.type_key, given.get("volume_id"), values),
    )


def _check_card(domain: Domain, before: Device, after: Device) -> None:
    if before.type_key != "interface":
        return
    mac = str(after.values.get("mac", "")).lower()
    if mac != str(before.values.get("mac", "")).lower():
        check_mac(domain, mac, own_device_id=before.id)
    plugs = ("type", "source_network", "source_bridge", "source_dev")
    if any(before.values.get(name) != after.values.get(name) for name in plugs):
        check_card(host_of(domain), after.values)


class ChangedDevice:
    """The device of one operation, as it becomes."""

    def __init__(self, host: Hypervisor, parameters: ChangeDeviceParameters) -> None:
        self._host = host
        self._parameters = parameters

    @property
    def device_id(self) -> str:
        return self._parameters.device_id

    def changed(self, before: Device, shown: Device | None = None) -> Device:
        """All that was given, on the device as it is stored. Raises: ValueError, errors.NotPossible.

        `shown` is the device without its passwords: XML that was made of that gets them back.
        """
        parameters = self._parameters
        if parameters.xml and shown is not None:
            return parse_one_device(restore_secrets(parameters.xml, shown=shown.xml, secure=before.xml).xml)
        if parameters.xml:
            return parse_one_device(parameters.xml)
        xml = build_device(parameters.device_type, {**parameters.all_values, **self._volume_values()}, onto=before.xml)
        return parse_one_device(self._with_chain(xml))

    def changed_where_it_runs(self, live: Device, stored: Device | None, shown: Device | None) -> Device:
        """The same changes on the device as it runs. Raises: ValueError, errors.NotPossible."""
        if self._parameters.xml:
            return self.changed(stored or live, shown)
        if stored is None:
            return self.changed(live)
        after = self.changed(stored)
        changes = changed_values(stored.values, after.values)
        xml = build_device(live.type_key, {**changes, **self._parameters.secret_values}, onto=live.xml)
        return parse_one_device(self._with_chain(xml))

    def shown(self, hardware: Hardware) -> Device | None:
        """As it was shown to whoever typed XML; None where there is none."""
        return find_in(hardware.shown_xml, self.device_id) if self._parameters.xml else None

    def check_content(self, run: Run) -> None:
        """Raises: errors.NotPossible, errors.HypervisorError."""
        parameters = self._parameters
        if parameters.volume_id is not None:
            check_content(run, parameters.device_type, volume_on(self._host, parameters.volume_id))

    def decide(self, run: Run, hardware: Hardware) -> Mapping[str, Any]:
        """Raises: errors.NotPossible, ValueError."""
        sides = sides_for(hardware, self._parameters.when)
        stored = find_in(hardware.inactive_xml, self.device_id) if sides.config else None
        if sides.config and stored is None:
            raise NotPossible(_("What is stored does not have this device: it is gone with the next start."))
        shown = self.shown(hardware)
        after_id, before = self.changed(stored, shown).id if stored is not None else "", {}
        if sides.live:
            live = find_in(hardware.live_xml, self.device_id)
            if live is None:
                raise NotPossible(
                    _("What runs does not have this device yet: it comes with the next start. Change it for that.")
                )
            basis = stored if stored is not None and are_alike(hardware, live, stored) else live
            after = self.changed(basis, shown) if basis is stored else self.changed_where_it_runs(live, stored, shown)
            check_live(rule_for_changing(live.type_key, basis.values, after.values))
            before = {name: basis.values.get(name, "") for name in changed_values(basis.values, after.values)}
        return {
            "live": sides.live,
            "config": sides.config,
            "is_active": hardware.is_active,
            "after_id": after_id,
            "before": before,
        }

    def edit(self, run: Run, xml: str) -> str:
        """What is stored, with the device changed; as it was where it is so already. Raises: ValueError."""
        stored = find_device(xml, self.device_id)
        if stored is None and find_device(xml, str(looked(run).get("after_id"))) is not None:
            # Another address is another id: a worker that died since has changed it already.
            return xml
        if stored is None:
            raise ValueError(_("It does not have this device any more."))
        # Its passwords are asked for only where they could be lost.
        after = self.changed(stored, self.shown(hardware_of(run)) if self._parameters.xml else None)
        is_so = after.values == stored.values and not self._parameters.xml and not self._parameters.secret_values
        return xml if is_so else with_changed_device(xml, self.device_id, after.xml)

    def _volume_values(self) -> Mapping[str, Value]:
        parameters = self._parameters
        if parameters.volume_id is None:
            return {}
        place = volume_on(self._host, parameters.volume_id)
        return volume_values(place, is_drive=parameters.device_type != "disk")

    def _with_chain(self, xml: str) -> str:
        parameters = self._parameters
        if parameters.volume_id is None:
            return xml
        place = volume_on(self._host, parameters.volume_id)
        return with_image_chain(self._host, place, xml, is_drive=parameters.device_type != "disk")


def changed_values(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """The fields that are others; those that exist no more are empty."""
    names = {**before, **after}
    return {name: after.get(name, "") for name in names if before.get(name) != after.get(name)}


class UpdateLive(Step):
    """Change the device in what runs; by the same call in what is stored too, where both are alike."""

    name = "update"
    label = gettext_lazy("Change the running machine")

    def __init__(self, device: ChangedDevice) -> None:
        self._device = device

    def do(self, run: Run, intent: Made) -> Made:
        sides = sides_looked(run)
        self._device.check_content(run)
        if not sides.live:
            return {}
        hardware = hardware_of(run)
        live = find_in(hardware.live_xml, self._device.device_id)
        stored = find_in(hardware.inactive_xml, self._device.device_id) if sides.config else None
        if live is None:
            raise NotPossible(_("The running machine does not have this device any more."))
        try:
            shown = self._device.shown(hardware)
            if stored is not None and are_alike(hardware, live, stored):
                self._call(run, stored, self._device.changed(stored, shown), sides)
            else:
                after = self._device.changed_where_it_runs(live, stored, shown)
                self._call(run, live, after, Sides(live=True, config=False))
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return {"live": True}

    def has_made(self, intent: Made, made: Made) -> bool:
        return bool(made)

    def is_done(self, run: Run, intent: Made) -> bool:
        # The same values once more change nothing.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """As it ran before, but for passwords."""
        live = find_in(hardware_of(run).live_xml, self._device.device_id) if sides_looked(run).live else None
        if live is not None:
            before = build_device(live.type_key, looked(run).get("before", {}), onto=live.xml)
            self._call(run, live, parse_one_device(before), Sides(live=True, config=False))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It holds until the machine is off.")

    def _call(self, run: Run, before: Device, after: Device, sides: Sides) -> None:
        changes = changed_values(before.values, after.values)
        if before.type_key == "disk" and changes and set(changes) <= _LIMITS:
            limits, target = _numbers(changes), str(before.values["target_dev"])
            ask_live(run, lambda connection: set_disk_limits(connection, run.uuid, target, limits))
        elif before.type_key == "memballoon" and set(changes) == {"stats_period_seconds"}:
            seconds = int(changes["stats_period_seconds"] or 0)
            ask_live(run, lambda connection: set_memory_report_period(connection, run.uuid, seconds))
        else:
            ask_live(run, lambda connection: update_device(connection, run.uuid, after.xml, sides))


def are_alike(hardware: Hardware, live: Device, stored: Device) -> bool:
    """Whether the stored device's XML fits both sides. A card that runs on a network is told as what that is."""
    if dict(live.values) == dict(stored.values):
        return True
    if stored.type_key != "interface":
        return False
    waiting = pending_differences(hardware.live_xml, hardware.inactive_xml)
    return stored.id not in {one.device_id for one in waiting}


def _numbers(changes: Mapping[str, Value]) -> dict[str, Any]:
    """As libvirt's typed parameters: no limit is 0."""
    numbers: dict[str, Any] = {name: int(value or 0) for name, value in changes.items() if name != "limit_group"}
    return numbers | ({"group_name": str(changes["limit_group"])} if changes.get("limit_group") else {})
