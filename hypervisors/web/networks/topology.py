"""The picture of networks: which machines are plugged into what, host by host; drawn as SVG, and told as a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from hypervisors.access import permitted
from hypervisors.broadcast import changes_group
from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Hypervisor, HypervisorPool, Network
from hypervisors.privileges import Privilege
from hypervisors.web.naming import natural_key
from hypervisors.web.networks.words import kind_label
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number

# So many machines are drawn of one host; the table has them all.
MOST_DRAWN = 120

WIDTH = 900
_SOURCE_X, _SOURCE_WIDTH, _SOURCE_HEIGHT, _SOURCE_GAP = 16, 250, 42, 12
_MACHINE_X, _MACHINE_WIDTH, _MACHINE_HEIGHT = 560, 324, 24
_HEAD, _FOOT, _GAP = 40, 14, 16
# Colours repeat after so many.
_COLOURS = 6


@dataclass(kw_only=True)
class Source:
    """What cards are plugged into: a network, or a bridge or interface of the host by its name."""

    key: str
    name: str
    note: str
    network: Network | None = None
    machines: list[Domain] = field(default_factory=list)
    colour: int = 0
    y: int = 0

    @property
    def x(self) -> int:
        return _SOURCE_X

    @property
    def middle(self) -> int:
        return self.y + _SOURCE_HEIGHT // 2


@dataclass(frozen=True, kw_only=True)
class Machine:
    domain: Domain
    y: int

    @property
    def middle(self) -> int:
        return self.y + _MACHINE_HEIGHT // 2


@dataclass(frozen=True, kw_only=True)
class Link:
    """A curve from a source to a machine."""

    colour: int
    path: str
    is_active: bool


@dataclass(frozen=True, kw_only=True)
class HostPart:
    """One host in the picture, with what is on it; `more` machines are not drawn."""

    host: Hypervisor
    y: int
    height: int
    sources: Sequence[Source]
    machines: Sequence[Machine]
    links: Sequence[Link]
    more: int = 0


@require_safe
@needs(Privilege.NETWORK_VIEW)
def network_map(request: HttpRequest) -> HttpResponse:
    """Of the pool that is chosen, else of the first."""
    sequence = sequence_number(changes_group(request.user))
    pools = list(permitted(request.user, Privilege.NETWORK_VIEW, HypervisorPool.objects.all()))
    wanted = request.GET.get("pool", "")
    pool = next((one for one in pools if str(one.pk) == wanted), next(iter(pools), None))
    parts = lay_out(_hosts(request, pool)) if pool is not None else []
    context: dict[str, Any] = {
        "sequence": sequence,
        "pools": pools,
        "pool": pool,
        "parts": parts,
        "width": WIDTH,
        "height": parts[-1].y + parts[-1].height + 1 if parts else 0,
    }
    return render(request, "networks/map.html", context)


def lay_out(hosts: Iterable[tuple[Hypervisor, list[Source]]]) -> list[HostPart]:
    """One below the other; of each the sources on the left, the machines on the right, those of a source together."""
    parts: list[HostPart] = []
    top = 0
    for host, sources in hosts:
        parts.append(_host_part(host, sources, top))
        top = parts[-1].y + parts[-1].height + _GAP
    return parts


def _host_part(host: Hypervisor, sources: list[Source], top: int) -> HostPart:
    domains = list({domain.pk: domain for source in sources for domain in source.machines}.values())
    drawn, first = domains[:MOST_DRAWN], top + _HEAD
    machines = [Machine(domain=one, y=first + number * _MACHINE_HEIGHT) for number, one in enumerate(drawn)]
    for number, source in enumerate(sources):
        source.colour, source.y = number % _COLOURS, first + number * (_SOURCE_HEIGHT + _SOURCE_GAP)
    places = {machine.domain.pk: machine for machine in machines}
    links = [
        Link(colour=source.colour, path=_curve(source, places[one.pk]), is_active=one.is_active)
        for source in sources
        for one in source.machines
        if one.pk in places
    ]
    inside = max(len(sources) * (_SOURCE_HEIGHT + _SOURCE_GAP), len(machines) * _MACHINE_HEIGHT, _MACHINE_HEIGHT)
    return HostPart(
        host=host,
        y=top,
        height=_HEAD + inside + _FOOT,
        sources=sources,
        machines=machines,
        links=links,
        more=len(domains) - len(drawn),
    )


def _curve(source: Source, machine: Machine) -> str:
    start, end = _SOURCE_X + _SOURCE_WIDTH, _MACHINE_X
    bend = (start + end) // 2
    return f"M{start} {source.middle}C{bend} {source.middle} {bend} {machine.middle} {end} {machine.middle}"


def _hosts(request: HttpRequest, pool: HypervisorPool) -> list[tuple[Hypervisor, list[Source]]]:
    """Four queries."""
    rows = Hypervisor.objects.filter(hypervisor_pool=pool).only("name", "natural_name", "status", "admin_state")
    networks = permitted(
        request.user, Privilege.NETWORK_VIEW, Network.objects.present().filter(hypervisor__hypervisor_pool=pool)
    ).defer("definition_xml", "live_xml")
    by_host: dict[int, list[Network]] = {}
    for network in networks:
        by_host.setdefault(network.hypervisor_id, []).append(network)
    machines = _machines(request, pool)
    hosts = permitted(request.user, Privilege.HYPERVISOR_VIEW, rows)
    return [(host, _sources(by_host.get(host.pk, []), machines.get(host.pk, []))) for host in hosts]


def _machines(request: HttpRequest, pool: HypervisorPool) -> dict[int, list[DomainDefinition]]:
    seen = Domain.objects.visible_to(request.user).present().filter(hypervisor__hypervisor_pool=pool)
    found = DomainDefinition.objects.filter(domain__in=seen.order_by().values("pk")).select_related("domain")
    by_host: dict[int, list[DomainDefinition]] = {}
    for definition in found.defer("live_xml", "inactive_xml").order_by("domain__natural_name", "domain__name"):
        by_host.setdefault(definition.domain.hypervisor_id or 0, []).append(definition)
    return by_host


def _sources(networks: list[Network], definitions: list[DomainDefinition]) -> list[Source]:
    """Networks first, those of libvirt's; then what machines name of the host; what nobody uses stays."""
    found = {
        f"network {one.name}": Source(key=f"network {one.name}", name=one.name, note=_note(one), network=one)
        for one in sorted(networks, key=lambda one: natural_key(one.name))
    }
    for definition in definitions:
        for kind, name in _plugs(definition):
            key = f"{kind} {name}"
            source = found.setdefault(key, Source(key=key, name=name or kind, note=kind))
            if definition.domain not in source.machines:
                source.machines.append(definition.domain)
    return list(found.values())


def _plugs(definition: DomainDefinition) -> list[tuple[str, str]]:
    """What it is defined by: while it runs libvirt shows other types."""
    parsed = parsed_from_json(definition.inactive_parsed or definition.live_parsed)
    return [(card.kind, card.source) for card in parsed.interfaces]


def _note(network: Network) -> str:
    first = network.addresses.split(" ")[0]
    return " · ".join(filter(None, (kind_label(network.kind or network.forward_mode), first or network.bridge)))


urlpatterns = [path("networks/map/", network_map, name="network_map")]
