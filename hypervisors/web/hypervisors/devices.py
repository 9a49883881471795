"""A host's devices and interfaces, and which machines have them."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from hypervisors.access import permitted
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Network, NodeDevice
from hypervisors.privileges import Privilege
from hypervisors.web.hypervisors.pages import host_page
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import needs

GROUPS: dict[str, Any] = {
    "net": _("Network interfaces"),
    "pci": _("PCI devices"),
    "usb_device": _("USB devices"),
    "mdev": _("Mediated devices"),
    "storage": _("Disks"),
    "scsi": _("SCSI devices"),
    "scsi_host": _("SCSI hosts"),
}


@dataclass(frozen=True, kw_only=True)
class DeviceLine:
    """`holders` are machines, with whether they run; `networks` names of networks that lead to an interface."""

    device: NodeDevice
    holders: tuple[tuple[Domain, bool], ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def address(self) -> str:
        """Where it is, in the words of its kind."""
        details = self.device.details
        return str(self.device.host_device or details.get("block") or details.get("address") or self.device.name)


@require_safe
@needs(Privilege.HYPERVISOR_VIEW)
def hypervisor_devices(request: HttpRequest, pk: int) -> HttpResponse:
    rows = permitted(request.user, Privilege.HYPERVISOR_VIEW, NodeDevice.objects.filter(hypervisor=pk))
    lines = _lines(request, pk, list(rows))
    groups = [
        {"name": name, "label": label, "lines": own}
        for name, label in GROUPS.items()
        if (own := [line for line in lines if line.device.capability == name])
    ]
    return host_page(request, pk, "devices", {"groups": groups, "device_count": len(lines)})


def _lines(request: HttpRequest, pk: int, rows: list[NodeDevice]) -> list[DeviceLine]:
    """Three queries."""
    machines = Domain.objects.visible_to(request.user).present().filter(hypervisor=pk)
    definitions = DomainDefinition.objects.filter(domain__in=machines.order_by().values("pk"))
    definitions = definitions.select_related("domain").only(
        "live_parsed", "inactive_parsed", *(f"domain__{name}" for name in ("uuid", "name", "state", "natural_name"))
    )
    held: dict[str, dict[int, tuple[Domain, bool]]] = {}
    for definition in definitions.order_by("domain__natural_name"):
        for parsed, is_live in ((definition.inactive_parsed, False), (definition.live_parsed, True)):
            for key in _devices_of(parsed_from_json(parsed)):
                held.setdefault(key, {})[definition.domain_id] = (definition.domain, is_live)
    networks = list(permitted(request.user, Privilege.NETWORK_VIEW, Network.objects.present().filter(hypervisor=pk)))
    lines = [_line(row, held, networks) for row in rows]
    return sorted(lines, key=lambda line: natural_key(_shown_name(line.device)))


def _shown_name(device: NodeDevice) -> str:
    return device.interface or device.host_device or device.name


def _devices_of(parsed: ParsedDomain) -> list[str]:
    on_host = [card.source for card in parsed.interfaces if card.kind in ("direct", "bridge")]
    return [*parsed.host_devices, *(f"net {name}" for name in on_host if name)]


def _line(row: NodeDevice, held: dict[str, dict[int, tuple[Domain, bool]]], networks: list[Network]) -> DeviceLine:
    keys = [row.host_device, row.host_device_model, f"net {row.interface}" if row.interface else ""]
    holders: dict[int, tuple[Domain, bool]] = {}
    for key in filter(None, keys):
        holders |= held.get(key, {})
    on_it = [one for one in networks if row.interface and _leads_to(one, row.interface)]
    return DeviceLine(device=row, holders=tuple(holders.values()), networks=tuple(on_it))


def _leads_to(network: Network, interface: str) -> bool:
    return network.bridge == interface or f"dev='{interface}'" in network.xml


urlpatterns = [path("hypervisors/<row:pk>/devices/", hypervisor_devices, name="hypervisor_devices")]
