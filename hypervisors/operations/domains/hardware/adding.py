"""A device that is to be added: checked, built, and plugged in on both sides at once, so that it is one device."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.domains.hardware import Hardware, Sides, attach_device, change_definition, request_removal
from hypervisors.gateway.storage.volumes import read_volume
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import (
    Device,
    build_device,
    completed_device,
    list_devices,
    parse_one_device,
    with_device,
    without_device,
)
from hypervisors.libvirtxml.hardware.differences import lost_parts
from hypervisors.libvirtxml.hardware.live_rules import rule_for_adding
from hypervisors.models import Domain, Hypervisor
from hypervisors.operations.domains.creation.names import new_mac
from hypervisors.operations.domains.creation.places import VolumePlace, volume_on
from hypervisors.operations.domains.hardware.checks import (
    check_card,
    check_mac,
    check_room,
    check_storage,
    checked_base,
    checked_device_xml,
    checked_values,
    checked_when,
    definition_of,
    host_of,
    stored_xml,
)
from hypervisors.operations.domains.hardware.disks import (
    check_content,
    checked_new_disk,
    checked_volume,
    place_of_new,
    volume_values,
    with_image_chain,
)
from hypervisors.operations.domains.hardware.host_devices import check_host_device
from hypervisors.operations.domains.hardware.host_reach import names_of_the_host
from hypervisors.operations.domains.hardware.looking import (
    ask_live,
    check_live,
    find_in,
    hardware_of,
    looked,
    sides_for,
    sides_looked,
)
from hypervisors.operations.domains.hardware.parameters import AddDeviceParameters
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.operations.engine.types import checked_choice

_CALL_SECONDS = 40.0
# Until a guest that lets go of a device has done so.
_LOOKS, _LOOK_SECONDS = 50, 0.2


def checked_addition(domain: Domain, given: Mapping[str, Any]) -> AddDeviceParameters:
    """Raises: errors.NotPossible, errors.Conflict."""
    definition = definition_of(domain)
    base, when = checked_base(given, definition), checked_when(given, domain)
    xml = checked_device_xml(given.get("xml"))
    try:
        parameters = _checked_xml(domain, xml) if xml else _checked_form(domain, given)
        check_storage(domain, NewDevice(host_of(domain), parameters).added(stored_xml(definition)))
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return AddDeviceParameters(**(vars(parameters) | {"base_sha256": base, "when": when}))


def _checked_xml(domain: Domain, xml: str) -> AddDeviceParameters:
    device = parse_one_device(xml)
    if device.type_key in DEVICE_TYPES:
        check_room(device.type_key, definition_of(domain))
    check_mac(domain, str(device.values.get("mac", "")).lower() if device.type_key == "interface" else "")
    check_host_device(domain, xml)
    return AddDeviceParameters(device_type=device.type_key, xml=xml)


def _checked_form(domain: Domain, given: Mapping[str, Any]) -> AddDeviceParameters:
    type_key = checked_choice(given.get("device_type"), DEVICE_TYPES, what=_("kind of device"))
    values, secrets = checked_values(given.get("values"), DEVICE_TYPES[type_key].fields)
    check_room(type_key, definition_of(domain))
    if type_key == "interface":
        values["mac"] = str(values.get("mac") or "").strip().lower() or new_mac()
        check_mac(domain, str(values["mac"]))
        check_card(host_of(domain), values)
    parameters = AddDeviceParameters(
        device_type=type_key,
        values=values,
        secret_values=secrets,
        volume_id=checked_volume(domain, type_key, given.get("volume_id"), values),
        new_disk=checked_new_disk(domain, given.get("new_disk")) if type_key == "disk" else None,
    )
    check_host_device(domain, NewDevice(host_of(domain), parameters).expected())
    return parameters


class NewDevice:
    """The device of one operation."""

    def __init__(self, host: Hypervisor, parameters: AddDeviceParameters) -> None:
        self._host = host
        self._parameters = parameters

    @property
    def tag(self) -> str:
        return str(parse_document(self.expected()).tag)

    def names_of_the_host(self) -> frozenset[str]:
        return names_of_the_host(self.expected(), has_chosen_volume=self._has_volume)

    def expected(self) -> str:
        """Its XML, as far as rows tell. Raises: ValueError, errors.NotPossible."""
        parameters = self._parameters
        if parameters.xml:
            return parameters.xml
        chosen = volume_values(self._place(), is_drive=self._is_drive) if self._has_volume else {}
        return build_device(parameters.device_type, {**parameters.all_values, **chosen})

    def added(self, xml: str) -> str:
        """The machine with it, as far as rows tell. Raises: ValueError when it has no place for it."""
        return with_device(xml, self.expected())

    def complete(self, run: Run, hardware: Hardware) -> str:
        """Its XML with all that it needs, free on both sides. Raises: ValueError, errors.VmportalError."""
        xml, parameters = self.expected(), self._parameters
        if parameters.new_disk is not None:
            place = self._made(run)
            xml = build_device(parameters.device_type, volume_values(place), onto=xml)
        elif self._has_volume:
            check_content(run, parameters.device_type, self._place())
        if self._has_volume:
            xml = with_image_chain(self._host, self._place(), xml, is_drive=self._is_drive)
        return completed_device(xml, *filter(None, (hardware.live_xml, hardware.inactive_xml)))

    def decide(self, run: Run, hardware: Hardware) -> Mapping[str, Any]:
        """Raises: errors.NotPossible, ValueError."""
        sides = sides_for(hardware, self._parameters.when)
        if sides.live:
            device = parse_one_device(self.expected())
            check_live(rule_for_adding(device.type_key, device.values, hardware.live_xml))
        return {
            "live": sides.live,
            "config": sides.config,
            "is_active": hardware.is_active,
            "live_ids": self._ids(hardware.live_xml),
            "config_ids": self._ids(hardware.inactive_xml),
        }

    def added_to(self, xml: str, known_ids: Iterable[str]) -> Device | None:
        """The device of its kind that was not there before."""
        known = set(known_ids)
        return next((one for one in self._alike(xml) if one.id not in known), None)

    def _alike(self, xml: str) -> list[Device]:
        return [one for one in list_devices(xml) if one.type_key == self._parameters.device_type] if xml else []

    def _ids(self, xml: str) -> list[str]:
        return [one.id for one in self._alike(xml)]

    @property
    def _has_volume(self) -> bool:
        return self._parameters.volume_id is not None or self._parameters.new_disk is not None

    @property
    def _is_drive(self) -> bool:
        return self._parameters.device_type != "disk"

    def _place(self) -> VolumePlace:
        """Raises: errors.NotPossible."""
        if self._parameters.new_disk is not None:
            return place_of_new(self._host, self._parameters.new_disk)
        return volume_on(self._host, self._parameters.volume_id or 0)

    def _made(self, run: Run) -> VolumePlace:
        """The new volume where libvirt put it. Raises: errors.NotPossible."""
        place = self._place()
        facts = run.ask(partial(read_volume, pool_uuid=place.storage_pool.uuid, name=place.name))
        if facts is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": place.name})
        return replace(place, path=facts.path)


class Attach(Step):
    """Plug it in: in what runs and in what is stored by one call, which does both or nothing."""

    name = "attach"
    label = gettext_lazy("Add the device")

    def __init__(self, device: NewDevice) -> None:
        self._device = device

    def do(self, run: Run, intent: Made) -> Made:
        hardware = hardware_of(run)
        missing = self._missing(run, hardware)
        try:
            # What one side has already is given to the other as it is.
            there = self._there(run, hardware)
            xml = there.xml if there is not None else self._device.complete(run, hardware)
            if missing.live:
                ask_live(run, lambda connection: attach_device(connection, run.uuid, xml, missing))
            elif missing.config:
                run.ask(
                    lambda connection: change_definition(connection, run.uuid, lambda text: with_device(text, xml)),
                    seconds=_CALL_SECONDS,
                )
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return self._seen(run, xml)

    def is_done(self, run: Run, intent: Made) -> bool:
        return not self._missing(run, hardware_of(run))

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Raises: errors.NotPossible when the guest does not let go of it at once."""
        live, stored = self._found(run, hardware_of(run))
        if stored is not None:
            run.ask(
                lambda connection: change_definition(connection, run.uuid, lambda xml: without_device(xml, stored.id))
            )
        if live is not None:
            live_xml = live.xml
            run.ask(lambda connection: request_removal(connection, run.uuid, live_xml), seconds=_CALL_SECONDS)
            self._wait_until_gone(run, live.id)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The machine keeps the device until it is off.")

    def _missing(self, run: Run, hardware: Hardware) -> Sides:
        """The sides that do not have it yet."""
        wanted, (live, stored) = sides_looked(run), self._found(run, hardware)
        return Sides(live=wanted.live and live is None, config=wanted.config and stored is None)

    def _there(self, run: Run, hardware: Hardware) -> Device | None:
        live, stored = self._found(run, hardware)
        return stored or live

    def _found(self, run: Run, hardware: Hardware) -> tuple[Device | None, Device | None]:
        """As it runs and as it is stored."""
        before = looked(run)
        return (
            self._device.added_to(hardware.live_xml, before.get("live_ids", ())),
            self._device.added_to(hardware.inactive_xml, before.get("config_ids", ())),
        )

    def _seen(self, run: Run, xml: str) -> Made:
        """What became of it. Raises: errors.HypervisorError when it is not there."""
        hardware = hardware_of(run)
        if self._missing(run, hardware):
            raise HypervisorError(_("The host says that it is done, and the device is not there."))
        added = self._there(run, hardware)
        return {} if added is None else {"device_id": added.id, "lost": list(lost_parts(xml, added.xml))}

    def _wait_until_gone(self, run: Run, device_id: str) -> None:
        for _look in range(_LOOKS):
            if find_in(hardware_of(run).live_xml, device_id) is None:
                return
            run.lost.wait(_LOOK_SECONDS)
        raise NotPossible(_("The guest does not let go of it."))
