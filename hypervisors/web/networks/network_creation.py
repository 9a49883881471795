"""The page of a new network: on one host, or on every host of a pool; checked while it is filled in."""

from ipaddress import ip_interface, ip_network
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from hypervisors.access import permitted, require_somewhere
from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Hypervisor, HypervisorPool, Network
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.requests import BulkRequest, request_of_many
from hypervisors.operations.networks.network_checks import why_no_device, why_taken
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.naming import visible
from hypervisors.web.networks.forms import NetworkForm
from hypervisors.web.permissions import needs, person
from hypervisors.web.storage.storage_pool_forms import place_choices

KIND = "create_network"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.NETWORK_VIEW)
def network_create(request: HttpRequest) -> HttpResponse:
    """POST with `to` shows the form anew (checked, or as XML, or as fields); without, it asks for the network."""
    require_somewhere(person(request), Privilege.NETWORK_MANAGE, what=KIND)
    places = _Places(request)
    if request.method != "POST":
        return _page(request, NetworkForm(initial={"kind": "nat", "ipv4": _free_network(places)}), places)
    form, spec = _posted(request)
    if "to" in request.POST:
        form.mute_what_is_missing()
        return _page(request, form, places, spec)
    reason = ""
    if spec is not None and not form.problems:
        try:
            return _ask(request, places, form)
        except (Conflict, NotPossible) as error:
            reason = str(error)
    return _page(request, form, places, spec, reason=reason, status=422)


class _Places:
    """The hosts that the person may make networks on, and which of them are chosen."""

    def __init__(self, request: HttpRequest) -> None:
        hosts = permitted(request.user, Privilege.NETWORK_MANAGE, Hypervisor.objects.all())
        self.hosts = list(hosts.select_related("hypervisor_pool").defer("cpu_xml", "machine_types"))
        pools = HypervisorPool.objects.filter(pk__in={host.hypervisor_pool_id for host in self.hosts})
        self.choices = place_choices(self.hosts, list(pools))
        values = request.POST if request.method == "POST" else request.GET
        self.chosen_name = values.get("place") or _place_in_url(request) or next(iter(dict(self.choices)), "")
        if self.choices and self.chosen_name not in dict(self.choices):
            raise Http404

    @property
    def chosen(self) -> list[Hypervisor]:
        kind, _dash, key = self.chosen_name.partition("-")
        if kind == "pool":
            return [host for host in self.hosts if str(host.hypervisor_pool_id) == key]
        return [host for host in self.hosts if str(host.pk) == key]

    @property
    def interface_names(self) -> list[str]:
        """Those that every chosen host has: proposals."""
        named = [set(host.interface_names) for host in self.chosen if host.interface_names is not None]
        return sorted(set.intersection(*named) - {"lo"}) if named else []


def _place_in_url(request: HttpRequest) -> str:
    for kind in ("pool", "host"):
        if request.GET.get(kind):
            return f"{kind}-{request.GET[kind]}"
    return ""


def _free_network(places: _Places) -> str:
    """The first of 192.168.100.0/24 and after that no chosen host has; "" when all are taken."""
    rows = Network.objects.present().filter(hypervisor__in=places.chosen).values_list("addresses", flat=True)
    taken = []
    for text in " ".join(rows).split():
        try:
            taken.append(ip_interface(text).network)
        except ValueError:
            continue
    for number in range(100, 255):
        free = ip_network(f"192.168.{number}.0/24")
        if not any(one.version == 4 and free.overlaps(one) for one in taken):
            return f"192.168.{number}.1/24"
    return ""


def _posted(request: HttpRequest) -> tuple[NetworkForm, NetworkSpec | None]:
    """The form as it is shown next, and what it says."""
    form = NetworkForm(request.POST)
    to = request.POST.get("to", "")
    spec = form.read()
    if to == "xml" and not form.is_xml:
        form = bound(form.turned_to_xml())
        spec = form.read()
    elif to == "form" and form.is_xml:
        try:
            form = bound(form.turned_to_fields())
        except ValueError as error:
            form.problems["xml"] = str(error)
            return form, spec
        spec = form.read()
    return form, spec


def bound(values: dict[str, Any], *, fixed: NetworkSpec | None = None) -> NetworkForm:
    """A form that was sent with these values."""
    data = QueryDict(mutable=True)
    for name, value in values.items():
        data[name] = str(value)
    return NetworkForm(data, fixed=fixed)


def _page(
    request: HttpRequest,
    form: NetworkForm,
    places: _Places,
    spec: NetworkSpec | None = None,
    *,
    reason: str = "",
    status: int = 200,
) -> HttpResponse:
    hosts = [{"hypervisor": host, "reason": _why_not_on(host, form, spec)} for host in places.chosen]
    context = {
        "form": form,
        "places": places,
        "hosts": hosts,
        "possible_count": sum(not host["reason"] for host in hosts),
        "reason": reason,
        "interface_names": places.interface_names,
        "action_url": reverse("network_create"),
        "back_url": _back(places),
    }
    template = "networks/form.html"
    if wants_part(request):
        # htmx swaps nothing in that is not 200.
        return render(request, f"{template}#form", context)
    return render(request, template, context, status=status)


def _why_not_on(host: Hypervisor, form: NetworkForm, spec: NetworkSpec | None) -> str:
    if spec is None:
        return why_unreachable(host)
    no_device = "" if form.is_xml else why_no_device(host, spec)
    return why_unreachable(host) or why_taken(host, spec) or no_device


def _ask(request: HttpRequest, places: _Places, form: NetworkForm) -> HttpResponse:
    """Raises: errors.NotPossible when no host can do it."""
    asked = request_of_many(user=person(request), kind=KIND, subjects=places.chosen, parameters=form.parameters())
    if not asked.accepted:
        raise NotPossible(" ".join(reason for _subject, reason in asked.refusals))
    messages.success(request, visible(_said(asked)))
    response = redirect(_back(places))
    if wants_part(request):
        return HttpResponse(headers={"HX-Redirect": response.url})
    return response


def _said(asked: BulkRequest) -> str:
    count = len(asked.accepted)
    text = ngettext(
        "The network “%(name)s” is being created on %(count)d host.",
        "The network “%(name)s” is being created on %(count)d hosts.",
        count,
    ) % {"name": asked.accepted[0].subject_name, "count": count}
    refusals = " ".join(f"{subject}: {reason}" for subject, reason in asked.refusals)
    return f"{text} {_('Not on others.')} {refusals}" if refusals else text


def _back(places: _Places) -> str:
    hosts = places.chosen
    if len(hosts) == 1:
        return reverse("hypervisor_networks", args=[hosts[0].pk])
    return reverse("networks")


urlpatterns = [path("networks/create/", network_create, name="network_create")]
