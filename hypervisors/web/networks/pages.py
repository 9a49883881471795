"""One network's page: what it is, who is plugged into it, what its DHCP server gave, and what can be added to it."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from hypervisors.access import can, permitted
from hypervisors.broadcast import changes_group
from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.network_reader import read_network_spec
from hypervisors.libvirtxml.network_specs import Bandwidth, DnsHost, NetworkSpec, StaticHost
from hypervisors.models import Domain, Network, Operation
from hypervisors.models.rights import Requester
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.networks.network_entries import dns_key
from hypervisors.operations.networks.network_users import NetworkUser, network_users
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.methods import require_POST
from hypervisors.web.networks.definitions import NETWORK
from hypervisors.web.networks.network_actions import actions_of, restart_warning
from hypervisors.web.networks.words import kind_label, part_labels
from hypervisors.web.permissions import needs, person
from hypervisors.web.sequences import sequence_number

_MOST_OPERATIONS = 10
# More take seconds; who asks for all of them gets all.
_MOST_HOSTS = 500
_MOST_LEASES = 500


@dataclass(frozen=True, kw_only=True)
class Lease:
    """An address that DHCP gave, and to whom, where that is known."""

    address: str
    mac: str
    domain: Domain | None
    is_static: bool


@require_safe
@needs(Privilege.NETWORK_VIEW)
def network(request: HttpRequest, pk: int) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    row = NETWORK.row_of(request, pk)
    context: dict[str, Any] = {"sequence": sequence, "network": row, "kind_label": kind_label(row.kind)}
    if row.vanished_at is not None:
        if wants_part(request):
            # The page of what was there has more than is fetched anew.
            return HttpResponse(headers={"HX-Refresh": "true"})
        return render(request, "networks/tombstone.html", context)
    all_users, spec = network_users(row), _spec(row)
    hosts = _static_hosts(spec)
    may_manage = can(request.user, Privilege.NETWORK_MANAGE, row)
    users = _seen(request.user, all_users)
    context |= {
        "pool": row.hypervisor.hypervisor_pool,
        "spec": spec,
        "limits": [text for text in (_limit(_("in"), spec.inbound), _limit(_("out"), spec.outbound)) if text],
        "users": _with_addresses(users, row),
        "unseen_count": len(all_users) - len(users),
        "leases": _leases(row, users, spec),
        "static_hosts": hosts if "all" in request.GET else hosts[:_MOST_HOSTS],
        "static_host_count": len(hosts),
        "dns_hosts": [{"host": host, "key": dns_key(host)} for host in sorted(spec.dns_hosts, key=_by_address)],
        "pending": part_labels(row.pending),
        "operations": unfinished_operations(row),
        "may_manage": may_manage,
        "may_change": may_manage and row.persistent,
        "actions": actions_of(row, all_users) if may_manage else [],
        "restart_warning": restart_warning(all_users),
    }
    return render(request, "networks/page.html", context)


@require_safe
@needs(Privilege.NETWORK_VIEW)
def network_operations(request: HttpRequest, pk: int) -> HttpResponse:
    """What is being done to the network now."""
    row = NETWORK.row_of(request, pk)
    return render(request, "networks/operations.html", {"network": row, "operations": unfinished_operations(row)})


@require_POST
@needs(Privilege.NETWORK_VIEW)
def network_entry_add(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for another fixed address, name or port group."""
    values = {name: value for name, value in request.POST.items() if name not in ("csrfmiddlewaretoken", "section")}
    given = {"section": request.POST.get("section", ""), "values": values}
    return _entry(request, pk, "add_network_entry", given)


@require_POST
@needs(Privilege.NETWORK_VIEW)
def network_entry_remove(request: HttpRequest, pk: int) -> HttpResponse:
    given = {"section": request.POST.get("section", ""), "key": request.POST.get("key", "")}
    return _entry(request, pk, "remove_network_entry", given)


def _entry(request: HttpRequest, pk: int, kind: str, given: dict[str, Any]) -> HttpResponse:
    row = NETWORK.row_of(request, pk)
    try:
        operation = request_operation(user=person(request), kind=kind, subject=row, parameters=given)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    text = _("“%(name)s” is being changed.") % {"name": row.name}
    return done(request, text, back=row.get_absolute_url(), operation=operation)


def unfinished_operations(row: Network) -> list[Operation]:
    on_it = Q(subject_type="network", subject_key=str(row.pk))
    return list(Operation.objects.unfinished().filter(on_it)[:_MOST_OPERATIONS])


def _spec(row: Network) -> NetworkSpec:
    """What it is defined as, else what runs; empty for what cannot be read."""
    try:
        return read_network_spec(row.definition_xml or row.live_xml)
    except ValueError:
        return NetworkSpec(kind=row.kind, name=row.name)


def _limit(direction: str, bandwidth: Bandwidth) -> str:
    if bandwidth.average_kib is None:
        return ""
    return _("%(direction)s %(amount)s KiB/s") % {"direction": direction, "amount": bandwidth.average_kib}


def _seen(user: Requester, users: list[NetworkUser]) -> list[NetworkUser]:
    """Those whose machines the person may see."""
    pks = [one.domain.pk for one in users]
    seen = set(permitted(user, Privilege.DOMAIN_VIEW, Domain.objects.filter(pk__in=pks)).values_list("pk", flat=True))
    return [one for one in users if one.domain.pk in seen]


def _with_addresses(users: list[NetworkUser], row: Network) -> list[dict[str, Any]]:
    """A line for each card."""
    return [
        {"domain": user.domain, "card": card, "is_active": user.is_active, "addresses": row.leases.get(card.mac, [])}
        for user in users
        for card in user.cards
    ]


def _leases(row: Network, users: list[NetworkUser], spec: NetworkSpec) -> list[Lease]:
    owners = {card.mac: user.domain for user in users for card in user.cards}
    kept = {host.mac.lower() for address in spec.addresses for host in address.hosts}
    found = [
        Lease(address=address, mac=mac, domain=owners.get(mac), is_static=mac in kept)
        for mac, addresses in row.leases.items()
        for address in addresses
    ]
    return sorted(found, key=_by_address)[:_MOST_LEASES]


def _static_hosts(spec: NetworkSpec) -> list[StaticHost]:
    return sorted((host for address in spec.addresses for host in address.hosts), key=_by_address)


def _by_address(entry: Lease | StaticHost | DnsHost) -> tuple[int, int, str]:
    try:
        address = ip_address(entry.address)
    except ValueError:
        return (9, 0, entry.address)
    return (address.version, int(address), "")


urlpatterns = [
    path("networks/<row:pk>/", network, name="network"),
    path("networks/<row:pk>/operations/", network_operations, name="network_operations"),
    path("networks/<row:pk>/entries/add/", network_entry_add, name="network_entry_add"),
    path("networks/<row:pk>/entries/remove/", network_entry_remove, name="network_entry_remove"),
]
