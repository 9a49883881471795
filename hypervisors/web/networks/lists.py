"""The list of networks: those of every host, by hypervisor pool."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_safe

from hypervisors.access import can_somewhere, permitted
from hypervisors.broadcast import changes_group
from hypervisors.models import HypervisorPool, Network
from hypervisors.models.rights import Requester
from hypervisors.privileges import Privilege
from hypervisors.web.naming import natural_key
from hypervisors.web.networks.words import kind_label
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number


@dataclass(frozen=True, kw_only=True)
class NetworkLine:
    network: Network
    kind_label: str


@require_safe
@needs(Privilege.NETWORK_VIEW)
def networks(request: HttpRequest) -> HttpResponse:
    """All of them, by hypervisor pool."""
    sequence = sequence_number(changes_group(request.user))
    pools = list(permitted(request.user, Privilege.NETWORK_VIEW, HypervisorPool.objects.all()))
    text = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    lines = network_lines(request.user)
    parts: list[dict[str, Any]] = []
    for pool in pools:
        own = [line for line in lines if line.network.hypervisor.hypervisor_pool_id == pool.pk]
        parts.append({"pool": pool, "lines": [line for line in own if _matches(line, text)], "count": len(own)})
    context = {
        "sequence": sequence,
        "parts": parts,
        "text": text,
        "may_create": can_somewhere(request.user, Privilege.NETWORK_MANAGE),
    }
    return render(request, "networks/list.html", context)


def network_lines(user: Requester, *, hypervisor_id: int | None = None) -> list[NetworkLine]:
    """Of all hosts, or of one; one query, however many machines there are."""
    rows = Network.objects.present().select_related("hypervisor").only(*_SHOWN)
    if hypervisor_id is not None:
        rows = rows.filter(hypervisor=hypervisor_id)
    found = list(permitted(user, Privilege.NETWORK_VIEW, rows))
    lines = [NetworkLine(network=row, kind_label=kind_label(row.kind or row.forward_mode)) for row in found]
    return sorted(lines, key=lambda line: (natural_key(line.network.name), natural_key(line.network.hypervisor.name)))


_SHOWN = (
    *("name", "active", "autostart", "kind", "forward_mode", "bridge", "addresses", "pending", "connection_count"),
    *("hypervisor__name", "hypervisor__hypervisor_pool"),
)


def _matches(line: NetworkLine, text: str) -> bool:
    network = line.network
    words = (network.name, network.hypervisor.name, network.bridge, network.addresses, line.kind_label)
    return any(text.casefold() in word.casefold() for word in words)


urlpatterns = [path("networks/", networks, name="networks")]
