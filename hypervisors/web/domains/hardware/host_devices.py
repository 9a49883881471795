"""The devices of a machine's host that it can be given, and which machines have them already; from rows."""

from collections import defaultdict
from collections.abc import Mapping

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.models import Domain, DomainDefinition, NodeDevice
from hypervisors.privileges import Privilege
from hypervisors.web.domains.creation.fields import Option
from hypervisors.web.naming import natural_key, visible

# Of libvirt's node devices, by the type of device that a machine has it as.
CAPABILITIES = {"hostdev_usb": "usb_device", "hostdev_pci": "pci", "hostdev_mdev": "mdev"}


def host_device_options(domain: Domain, type_key: str, user: User | AnonymousUser) -> tuple[Option, ...]:
    """By what a domain's XML calls them ("pci 0000:03:00.0"); nothing for who may not see the host."""
    if domain.hypervisor is None or not can(user, Privilege.HYPERVISOR_VIEW, domain.hypervisor):
        return ()
    rows = NodeDevice.objects.filter(hypervisor=domain.hypervisor_id, capability=CAPABILITIES[type_key])
    held = _holders(domain, user)
    found = sorted((row for row in rows if row.host_device), key=lambda row: natural_key(row.host_device))
    return tuple(Option(value=row.host_device, text=_text(row, held)) for row in found)


def interface_options(domain: Domain, user: User | AnonymousUser) -> tuple[Option, ...]:
    """The host's interfaces."""
    if domain.hypervisor is None or not can(user, Privilege.HYPERVISOR_VIEW, domain.hypervisor):
        return ()
    rows = NodeDevice.objects.filter(hypervisor=domain.hypervisor_id, capability="net").exclude(interface="")
    names = sorted(set(rows.values_list("interface", flat=True)), key=natural_key)
    return tuple(Option(value=name, text=name) for name in names)


def picked_values(type_key: str, picked: str) -> dict[str, Value]:
    """The fields of the device that was picked; nothing where none was, or what is no device's name.

    USB devices are told by where they are plugged in: of two alike either could be meant otherwise.
    """
    _kind, _blank, place = picked.partition(" ")
    try:
        if type_key == "hostdev_usb":
            bus, device = place.split(":")
            return {"bus": int(bus[:3]), "device": int(device[:3]), "vendor": "", "product": ""}
        if type_key == "hostdev_pci":
            domain, bus, rest = place.split(":")
            slot, function = rest.split(".")
            numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
            return {name: f"0x{number}" for name, number in numbers.items()}
    except ValueError:
        return {}
    return {"uuid": place} if type_key == "hostdev_mdev" and place else {}


def _holders(domain: Domain, user: User | AnonymousUser) -> Mapping[str, list[str]]:
    """Names of the machines, that this person may see, by the device's name."""
    seen = Domain.objects.visible_to(user).present().filter(hypervisor=domain.hypervisor_id)
    rows = DomainDefinition.objects.filter(domain__in=seen.order_by().values("pk")).select_related("domain")
    held: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows.only("live_parsed", "inactive_parsed", "domain__name"):
        for parsed in (row.live_parsed, row.inactive_parsed):
            for name in parsed_from_json(parsed).host_devices:
                held[name][row.domain.name] = None
    return {name: list(machines) for name, machines in held.items()}


def _text(row: NodeDevice, held: Mapping[str, list[str]]) -> str:
    maker = " ".join(visible(part) for part in (row.vendor, row.product) if part) or visible(row.name)
    parts = [maker, row.host_device.partition(" ")[2]]
    if row.iommu_group is not None:
        parts.append(_("IOMMU group %(number)d") % {"number": row.iommu_group})
    holders = [*held.get(row.host_device, []), *held.get(row.host_device_model or "-", [])]
    if holders:
        names = ", ".join(visible(name) for name in dict.fromkeys(holders))
        parts.append(_("held by %(names)s") % {"names": names})
    return " · ".join(parts)
