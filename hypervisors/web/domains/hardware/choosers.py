"""What can be added to a machine, in groups, and why not what cannot."""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.sections import section_values
from hypervisors.privileges import Privilege
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.suggestions import is_without_usb, new_values
from hypervisors.web.domains.hardware.timing import rule_to_add
from hypervisors.web.domains.hardware.type_words import GROUPS, TYPES

_ON_USB = frozenset({"hostdev_usb", "redirdev", "smartcard"})
# A piece of the host, or what leads out of the machine: only who manages the host gives it.
_OF_THE_HOST = frozenset({"hostdev_usb", "hostdev_pci", "hostdev_mdev", "filesystem", "shmem", "lease", "vsock"})


@dataclass(frozen=True, kw_only=True)
class TypeChoice:
    """`reason`: why it cannot be added; `waits`: it comes at the next start."""

    show: str
    icon: str
    name: str
    about: str
    reason: str = ""
    waits: bool = False


def type_choices(hardware: MachineHardware, user: User | AnonymousUser) -> list[tuple[str, list[TypeChoice]]]:
    """Title and types of each group."""
    has_host = hardware.domain.hypervisor is not None
    manages = has_host and can(user, Privilege.HYPERVISOR_MANAGE, hardware.domain.hypervisor)
    found = {key: _choice(hardware, key, manages=manages) for key in TYPES if key in DEVICE_TYPES}
    groups = []
    for group in GROUPS:
        choices = [choice for key, choice in found.items() if TYPES[key].group == group]
        if choices:
            groups.append((str(group), choices))
    return groups


def _choice(hardware: MachineHardware, key: str, *, manages: bool) -> TypeChoice:
    words = TYPES[key]
    rule = rule_to_add(hardware, key, new_values(key, hardware.stored)) if hardware.is_active else None
    return TypeChoice(
        show=f"add:{key}",
        icon=words.icon,
        name=str(words.name),
        about=str(words.about),
        reason=_reason(hardware, key, manages=manages),
        waits=rule is not None and not rule.is_live,
    )


def _reason(hardware: MachineHardware, key: str, *, manages: bool) -> str:
    most = DEVICE_TYPES[key].most
    present = sum(device.type_key == key for device in hardware.stored)
    if most is not None and present >= most:
        return _("It has one already.") if most == 1 else _("It has %(most)d already.") % {"most": most}
    if key in _OF_THE_HOST and not manages:
        return _("Only who manages the host may give a machine a piece of it.")
    if key in _ON_USB and is_without_usb(hardware.stored):
        return _("USB is switched off: remove the controller USB “none” first.")
    if key == "memory" and not _has_room_for_modules(hardware):
        return _("First give it slots and a maximum in Memory, and a node in NUMA.")
    if key == "redirdev" and not _has_spice(hardware):
        return _("USB redirection needs a SPICE screen.")
    return ""


def _has_room_for_modules(hardware: MachineHardware) -> bool:
    try:
        memory, numa = (section_values(hardware.stored_xml, key) for key in ("memory", "numa"))
    except ValueError:
        return True
    return bool(memory.get("slots") and numa.get("cells"))


def _has_spice(hardware: MachineHardware) -> bool:
    return any(one.type_key == "graphics" and one.values.get("type") == "spice" for one in hardware.stored)
