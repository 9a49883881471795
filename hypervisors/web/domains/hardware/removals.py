"""What is asked before a device is taken away."""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.operations.domains.hardware.guards import needs_to_remove
from hypervisors.web.domains.hardware.entries import device_name
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.timing import Timing, rule_to_remove, timing_of

_WITH_BYTES = ("source_file", "source_dev", "source_volume", "source_name")


@dataclass(frozen=True, kw_only=True)
class Removal:
    """`kept`: the volume or file that stays, of a disk; `is_running`: the guest has it now."""

    device: Device
    name: str
    timing: Timing
    kept: str = ""
    is_running: bool = False

    @property
    def asks_for_mounts(self) -> bool:
        return self.device.type_key == "disk" and self.is_running


def removal_of(hardware: MachineHardware, device_id: str, *, wished: str = "") -> Removal | None:
    """None when the machine does not have it any more."""
    device = hardware.device(device_id)
    if device is None:
        return None
    kept = next((str(device.values[name]) for name in _WITH_BYTES if device.values.get(name)), "")
    return Removal(
        device=device,
        name=device_name(device),
        timing=timing_of(hardware, rule_to_remove(hardware, device), wished=wished),
        kept=kept if device.type_key == "disk" else "",
        is_running=hardware.live_device(device_id) is not None,
    )


def why_not_removed(user: User | AnonymousUser, hardware: MachineHardware, removal: Removal | None) -> str:
    """What stands in the question's place for who may not; "" for who may."""
    needs = needs_to_remove(hardware.domain, removal.device) if removal is not None else ()
    if all(can(user, privilege, on) for privilege, on in needs):
        return ""
    return _("A network filter is assigned to this card: only who manages the networks of its host takes it away.")


def beyond_the_role() -> str:
    """Configuring a machine is not enough: what it needs besides is not named, nor whether it is there."""
    return _("Your role does not allow this: it takes rights on the machine's host, its storage or its networks.")
