"""Network filters: the list of every host's, and one with its XML, who has it, and its end."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import can, permitted, require
from hypervisors.broadcast import changes_group
from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.network_filters import build_network_filter, filter_digest, parse_network_filter
from hypervisors.models import Domain, Hypervisor, NetworkFilter
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.operations.networks.network_filter_users import FilterUsers, filter_users
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.methods import require_POST
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import needs, person
from hypervisors.web.sequences import sequence_number


@require_safe
@needs(Privilege.NETWORK_VIEW)
def network_filters(request: HttpRequest) -> HttpResponse:
    """Of the host that is chosen, else of the first."""
    sequence = sequence_number(changes_group(request.user))
    hosts = list(permitted(request.user, Privilege.NETWORK_VIEW, Hypervisor.objects.only("name", "natural_name")))
    wanted = request.GET.get("host", "")
    host = next((one for one in hosts if str(one.pk) == wanted), next(iter(hosts), None))
    rows = [] if host is None else list(host.network_filters.all())
    lines = [] if host is None else _lines(host.pk, rows)
    context = {
        "sequence": sequence,
        "lines": sorted(lines, key=lambda line: natural_key(line["filter"].name)),
        "hosts": hosts,
        "host": host,
        "may_create": host is not None and can(request.user, Privilege.NETWORK_MANAGE, host),
    }
    return render(request, "networks/filters.html", context)


def _lines(hypervisor_id: int, rows: list[NetworkFilter]) -> list[dict[str, Any]]:
    users = filter_users(hypervisor_id)
    lines = []
    for row in rows:
        try:
            parsed = parse_network_filter(row.xml)
        except ValueError:
            parsed = None
        found = users.get(row.name, FilterUsers())
        lines.append({"filter": row, "parsed": parsed, "domain_count": len(found.domains), "filters": found.filters})
    return lines


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.NETWORK_VIEW)
def network_filter_create(request: HttpRequest, pk: int) -> HttpResponse:
    """The XML of a new one on the host; POST asks for it."""
    hosts = permitted(request.user, Privilege.NETWORK_VIEW, Hypervisor.objects.all())
    host = get_object_or_404(hosts, pk=pk)
    require(person(request), Privilege.NETWORK_MANAGE, host, what="create_network_filter")
    xml, problem = request.POST.get("xml", ""), ""
    if request.method == "POST":
        try:
            request_operation(user=person(request), kind="create_network_filter", subject=host, parameters={"xml": xml})
        except (Conflict, NotPossible) as error:
            problem = str(error)
        else:
            text = _("The network filter is being created on %(host)s.") % {"host": host.name}
            return _gone_to(request, text, reverse("network_filters"))
    context = {"host": host, "xml": xml or build_network_filter("my-filter"), "problem": problem}
    return render(request, "networks/filter_new.html", context, status=422 if problem else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.NETWORK_VIEW)
def network_filter(request: HttpRequest, pk: int) -> HttpResponse:
    """One with its XML; POST asks for the change."""
    sequence = sequence_number(changes_group(request.user))
    row = _visible(request, pk)
    xml, problem, digest = row.xml, "", _digest(row)
    if request.method == "POST":
        xml, digest = request.POST.get("xml", ""), request.POST.get("digest", "")
        try:
            given = {"xml": xml, "digest": digest}
            request_operation(user=person(request), kind="edit_network_filter", subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            problem = str(error)
        else:
            text = _("“%(name)s” is being changed.") % {"name": row.name}
            return _gone_to(request, text, row.get_absolute_url())
    users = filter_users(row.hypervisor_id).get(row.name, FilterUsers())
    seen = permitted(
        request.user, Privilege.DOMAIN_VIEW, Domain.objects.filter(pk__in=[one.pk for one in users.domains])
    )
    context = {
        "sequence": sequence,
        "network_filter": row,
        "xml": xml,
        "digest": digest,
        "problem": problem,
        "domains": list(seen),
        "unseen_count": len(users.domains) - len(seen),
        "filters": users.filters,
        "may_manage": can(request.user, Privilege.NETWORK_MANAGE, row),
        "why_not_deleted": why_not(row, "delete_network_filter"),
    }
    return render(request, "networks/filter.html", context, status=422 if problem else 200)


@require_POST
@needs(Privilege.NETWORK_VIEW)
def network_filter_delete(request: HttpRequest, pk: int) -> HttpResponse:
    row = _visible(request, pk)
    try:
        request_operation(user=person(request), kind="delete_network_filter", subject=row)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    return _gone_to(request, _("“%(name)s” is being deleted.") % {"name": row.name}, reverse("network_filters"))


def _gone_to(request: HttpRequest, text: str, url: str) -> HttpResponse:
    """Said on the page that is shown next."""
    if "HX-Request" not in request.headers:
        return done(request, text, back=url)
    return HttpResponse(headers={"HX-Redirect": redirect(url).url})


def _visible(request: HttpRequest, pk: int) -> NetworkFilter:
    """Raises: Http404."""
    rows = permitted(request.user, Privilege.NETWORK_VIEW, NetworkFilter.objects.select_related("hypervisor"))
    return get_object_or_404(rows, pk=pk)


def _digest(row: NetworkFilter) -> str:
    try:
        return filter_digest(row.xml)
    except ValueError:
        return ""


urlpatterns = [
    path("networks/filters/", network_filters, name="network_filters"),
    path("networks/filters/create/<row:pk>/", network_filter_create, name="network_filter_create"),
    path("networks/filters/<row:pk>/", network_filter, name="network_filter"),
    path("networks/filters/<row:pk>/delete/", network_filter_delete, name="network_filter_delete"),
]
