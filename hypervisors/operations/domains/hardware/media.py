"""What is in a drive of a machine, and what is to be in it."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.domains.hardware import Hardware, Sides, update_device
from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.hardware.devices import Device, build_device, parse_one_device, with_changed_device
from hypervisors.libvirtxml.media import without_medium
from hypervisors.models import Hypervisor
from hypervisors.operations.domains.creation.places import volume_on
from hypervisors.operations.domains.hardware.disks import check_content, volume_values, with_image_chain
from hypervisors.operations.domains.hardware.looking import find_in, hardware_of, sides_for, sides_looked
from hypervisors.operations.domains.hardware.parameters import ChangeMediaParameters, When
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step

_CALL_SECONDS = 40.0


class Medium:
    """The drive and the medium of one operation."""

    def __init__(self, host: Hypervisor, parameters: ChangeMediaParameters) -> None:
        self._host = host
        self._parameters = parameters

    @property
    def device_id(self) -> str:
        return self._parameters.device_id

    @property
    def is_forced(self) -> bool:
        return self._parameters.force

    def decide(self, run: Run, hardware: Hardware) -> Mapping[str, Any]:
        """Raises: errors.NotPossible when no side has the drive."""
        sides = sides_for(hardware, When.NOW)
        is_live = sides.live and find_in(hardware.live_xml, self.device_id) is not None
        is_stored = sides.config and find_in(hardware.inactive_xml, self.device_id) is not None
        if not (is_live or is_stored):
            raise NotPossible(_("It does not have this drive any more."))
        return {"live": is_live, "config": is_stored, "is_active": hardware.is_active}

    def check_content(self, run: Run, drive: Device) -> None:
        """Raises: errors.NotPossible, errors.HypervisorError."""
        if self._parameters.volume_id is not None:
            check_content(run, drive.type_key, volume_on(self._host, self._parameters.volume_id))

    def in_drive(self, drive: Device) -> Device:
        """The drive with it, or empty. Raises: ValueError, errors.NotPossible."""
        empty = without_medium(parse_document(drive.xml))
        if self._parameters.volume_id is None:
            return parse_one_device(empty)
        place = volume_on(self._host, self._parameters.volume_id)
        # It is no reason not to start that an image was removed meanwhile.
        values = volume_values(place, is_drive=True) | {"startup_policy": "optional"}
        xml = build_device(drive.type_key, values, onto=empty)
        return parse_one_device(with_image_chain(self._host, place, xml, is_drive=True))

    def edit(self, run: Run, xml: str) -> str:
        """What is stored, with it in the drive. Raises: ValueError."""
        drive = find_in(xml, self.device_id)
        if drive is None:
            return xml
        wanted = self.in_drive(drive)
        return xml if is_same_medium(drive, wanted) else with_changed_device(xml, self.device_id, wanted.xml)


class ChangeMedium(Step):
    """In what runs; by the same call in what is stored too, where the drive holds the same there."""

    name = "change"
    label = gettext_lazy("Change the medium in the drive")

    def __init__(self, medium: Medium) -> None:
        self._medium = medium

    def do(self, run: Run, intent: Made) -> Made:
        hardware, sides = hardware_of(run), sides_looked(run)
        live = find_in(hardware.live_xml, self._medium.device_id) if sides.live else None
        stored = find_in(hardware.inactive_xml, self._medium.device_id) if sides.config else None
        drive = live or stored
        if drive is None:
            raise NotPossible(_("It does not have this drive any more."))
        self._medium.check_content(run, drive)
        if live is None:
            return {}
        try:
            self._change(run, live, stored)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return {}

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Raises: errors.NotPossible; a medium that was taken out may be gone."""
        if sides_looked(run).live:
            raise NotPossible(_("What is stored could not be changed too."))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The running machine has the new medium in the drive.")

    def is_done(self, run: Run, intent: Made) -> bool:
        # The same medium once more changes nothing.
        return False

    def _change(self, run: Run, live: Device, stored: Device | None) -> None:
        is_both = stored is not None and is_same_medium(live, stored)
        sides = Sides(live=True, config=is_both)
        xml = self._medium.in_drive(stored if stored is not None and is_both else live).xml
        force = self._medium.is_forced
        try:
            run.ask(
                lambda connection: update_device(connection, run.uuid, xml, sides, force=force), seconds=_CALL_SECONDS
            )
        except HypervisorError as error:
            if force or "locked" not in str(error).lower():
                raise
            raise NotPossible(
                _("The guest has locked the drive: eject the medium there, or force it. %(error)s") % {"error": error}
            ) from error


def is_same_medium(one: Device, other: Device) -> bool:
    names = {name for name in (*one.values, *other.values) if name.startswith("source_") or name == "type"}
    return all(one.values.get(name, "") == other.values.get(name, "") for name in names)
