"""Devices of the host that a machine is given: one that another machine runs with is not free."""

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.hardware.devices import list_devices, parse_one_device
from hypervisors.models import Domain, DomainDefinition
from hypervisors.operations.domains.hardware.checks import host_of

_MENTIONED = "<hostdev"


def check_host_device(domain: Domain, device_xml: str) -> None:
    """Raises: errors.NotPossible, which names who holds it."""
    device = parse_one_device(device_xml)
    if not device.type_key.startswith("hostdev"):
        return
    holder = machine_with_device(domain, device.id)
    if holder:
        raise NotPossible(_("The host's device is held by “%(name)s”, which runs.") % {"name": holder})


def machine_with_device(domain: Domain, device_id: str) -> str:
    """The name of a running machine of the same host that has the device; "" for none."""
    others = DomainDefinition.objects.filter(
        domain__hypervisor=host_of(domain), domain__vanished_at=None, live_xml__contains=_MENTIONED
    )
    for definition in others.exclude(domain=domain).select_related("domain"):
        if any(device.id == device_id for device in list_devices(definition.live_xml)):
            return definition.domain.name
    return ""
