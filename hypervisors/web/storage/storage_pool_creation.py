"""The page of a new storage pool: on one host, or on every host of a pool; checked while it is filled in."""

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
from hypervisors.libvirtxml.storage_pool_builder import read_storage_pool_spec
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.models import Hypervisor, HypervisorPool, StoragePool
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.requests import BulkRequest, request_of_many
from hypervisors.operations.storage.create_storage_pool import why_taken
from hypervisors.privileges import Privilege
from hypervisors.web.boosting import wants_part
from hypervisors.web.naming import visible
from hypervisors.web.permissions import needs, person
from hypervisors.web.storage.storage_pool_forms import StoragePoolForm, initial_of, place_choices

KIND = "create_storage_pool"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def storage_pool_create(request: HttpRequest) -> HttpResponse:
    """POST with `to` shows the form anew (checked, or as XML, or as fields); without, it asks for the storage pool."""
    require_somewhere(person(request), Privilege.STORAGE_MANAGE, what=KIND)
    places = _Places(request)
    if request.method != "POST":
        return _page(request, StoragePoolForm(initial=_initial(request)), places)
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


def _initial(request: HttpRequest) -> dict[str, Any]:
    """With `like` the values of that storage pool, to have another host see the same storage."""
    like = request.GET.get("like", "")
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.present())
    row = rows.filter(pk=int(like)).first() if like.isdecimal() and len(like) < 10 else None
    try:
        spec = None if row is None else read_storage_pool_spec(row.definition_xml)
    except ValueError:
        spec = None
    return initial_of(spec) if spec is not None and spec.pool_type in POOL_TYPES else {"pool_type": "dir"}


class _Places:
    """The hosts that the person may make storage pools on, and which of them are chosen."""

    def __init__(self, request: HttpRequest) -> None:
        hosts = permitted(request.user, Privilege.STORAGE_MANAGE, Hypervisor.objects.all())
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


def _place_in_url(request: HttpRequest) -> str:
    for kind in ("pool", "host"):
        if request.GET.get(kind):
            return f"{kind}-{request.GET[kind]}"
    return ""


def _posted(request: HttpRequest) -> tuple[StoragePoolForm, StoragePoolSpec | None]:
    """The form as it is shown next, and what it says."""
    form = StoragePoolForm(request.POST)
    to = request.POST.get("to", "")
    spec = form.read()
    if to == "xml" and not form.is_xml:
        form = _bound(form.turned_to_xml())
        spec = form.read()
    elif to == "form" and form.is_xml:
        try:
            form = _bound(form.turned_to_fields())
        except ValueError as error:
            form.problems["xml"] = str(error)
            return form, spec
        spec = form.read()
    return form, spec


def _bound(values: dict[str, Any]) -> StoragePoolForm:
    data = QueryDict(mutable=True)
    for name, value in values.items():
        data[name] = str(value)
    return StoragePoolForm(data)


def _page(
    request: HttpRequest,
    form: StoragePoolForm,
    places: _Places,
    spec: StoragePoolSpec | None = None,
    *,
    reason: str = "",
    status: int = 200,
) -> HttpResponse:
    hosts = [{"hypervisor": host, "reason": _why_not_on(host, spec)} for host in places.chosen]
    context = {
        "form": form,
        "places": places,
        "hosts": hosts,
        "possible_count": sum(not host["reason"] for host in hosts),
        "spec": spec,
        "reason": reason,
        "action_url": reverse("storage_pool_create"),
        "back_url": _back(places),
    }
    template = "storage/pool_form.html"
    if wants_part(request):
        # htmx swaps nothing in that is not 200.
        return render(request, f"{template}#form", context)
    return render(request, template, context, status=status)


def _why_not_on(host: Hypervisor, spec: StoragePoolSpec | None) -> str:
    return why_unreachable(host) or (why_taken(host, spec) if spec is not None else "")


def _ask(request: HttpRequest, places: _Places, form: StoragePoolForm) -> HttpResponse:
    """Raises: errors.NotPossible when no host can do it."""
    asked = request_of_many(user=person(request), kind=KIND, subjects=places.chosen, parameters=form.parameters())
    if not asked.accepted:
        raise NotPossible(" ".join(reason for _subject, reason in asked.refusals))
    text = _said(asked)
    messages.success(request, visible(text))
    response = redirect(_back(places))
    if wants_part(request):
        return HttpResponse(headers={"HX-Redirect": response.url})
    return response


def _said(asked: BulkRequest) -> str:
    count = len(asked.accepted)
    name = asked.accepted[0].subject_name
    text = ngettext(
        "The storage pool “%(name)s” is being created on %(count)d host.",
        "The storage pool “%(name)s” is being created on %(count)d hosts.",
        count,
    ) % {"name": name, "count": count}
    refusals = " ".join(f"{subject}: {reason}" for subject, reason in asked.refusals)
    return f"{text} {_('Not on others.')} {refusals}" if refusals else text


def _back(places: _Places) -> str:
    hosts = places.chosen
    if len(hosts) == 1:
        return reverse("hypervisor_storage_pools", args=[hosts[0].pk])
    return reverse("storage")


urlpatterns = [path("storage/pools/create/", storage_pool_create, name="storage_pool_create")]
