"""The page on which a network's definition is changed, by its fields or as XML; guarded by what was seen."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.network_builder import edit_network
from hypervisors.libvirtxml.network_kinds import NETWORK_KINDS
from hypervisors.libvirtxml.network_reader import definition_digest, read_network_spec
from hypervisors.libvirtxml.network_spec_checks import spec_problems
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Network
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.networks.forms import NetworkForm, initial_of
from hypervisors.web.networks.network_actions import visible_network
from hypervisors.web.networks.network_creation import bound
from hypervisors.web.permissions import needs, person

KIND = "edit_network"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.NETWORK_VIEW)
def network_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """POST with `to` shows the form anew; without, it asks for the change."""
    row = visible_network(request, pk)
    require(person(request), Privilege.NETWORK_MANAGE, row, what=KIND)
    seen = _definition(row)
    if request.method != "POST":
        return _page(request, row, NetworkForm(fixed=seen, initial=_initial(row, seen)), digest=_digest(row))
    form = NetworkForm(request.POST, fixed=seen)
    spec, reason = form.read(), ""
    if "to" in request.POST:
        return _page(request, row, _turned(request, row, form, spec), digest=request.POST.get("digest", ""))
    if spec is not None and not _has_new_problems(form, seen):
        try:
            _ask(request, row, form, spec)
        except (Conflict, NotPossible) as error:
            reason = str(error)
        else:
            text = _("“%(name)s” is being changed.") % {"name": row.name}
            response = done(request, text, back=row.get_absolute_url())
            if wants_part(request):
                return HttpResponse(headers={"HX-Redirect": row.get_absolute_url()})
            return response
    return _page(request, row, form, digest=request.POST.get("digest", ""), reason=reason, status=422)


def _definition(row: Network) -> NetworkSpec:
    try:
        return read_network_spec(row.definition_xml)
    except ValueError:
        return NetworkSpec(kind=row.kind, name=row.name)


def _digest(row: Network) -> str:
    try:
        return definition_digest(row.definition_xml)
    except ValueError:
        return ""


def _initial(row: Network, seen: NetworkSpec) -> dict[str, object]:
    # Of a kind that has no fields here there is the XML alone.
    view = "form" if seen.kind in NETWORK_KINDS else "xml"
    return {**initial_of(seen), "view": view, "xml": row.definition_xml}


def _turned(request: HttpRequest, row: Network, form: NetworkForm, spec: NetworkSpec | None) -> NetworkForm:
    """The form that shows the same as XML, or in fields."""
    to, seen = request.POST.get("to", ""), _definition(row)
    values: dict[str, object] = {}
    try:
        if to == "xml" and not form.is_xml and spec is not None and not form.problems:
            values = form.turned_to_xml(edit_network(row.definition_xml, spec))
        elif to == "form" and form.is_xml:
            values = form.turned_to_fields()
    except ValueError as error:
        form.problems["xml"] = str(error)
    if not values:
        form.mute_what_is_missing()
        return form
    turned = bound(values, fixed=seen)
    turned.read()
    return turned


def _has_new_problems(form: NetworkForm, seen: NetworkSpec) -> bool:
    """What was so before, made by others, is nobody's mistake now."""
    before = spec_problems(seen).values()
    return any(text not in before for text in form.problems.values())


def _ask(request: HttpRequest, row: Network, form: NetworkForm, spec: NetworkSpec) -> None:
    """Raises: errors.Conflict, errors.NotPossible."""
    said = {"xml": form.cleaned_data["xml"]} if form.is_xml else {"spec": spec.to_json()}
    given = {"digest": request.POST.get("digest", ""), **said}
    request_operation(user=person(request), kind=KIND, subject=row, parameters=given)


def _page(
    request: HttpRequest, row: Network, form: NetworkForm, *, digest: str, reason: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "network": row,
        "form": form,
        "digest": digest,
        "reason": reason or why_not(row, KIND),
        "interface_names": sorted(set(row.hypervisor.interface_names or ()) - {"lo"}),
        "action_url": reverse("network_edit", args=[row.pk]),
        "back_url": row.get_absolute_url(),
    }
    template = "networks/form.html"
    if wants_part(request):
        return render(request, f"{template}#form", context)
    return render(request, template, context, status=status)


urlpatterns = [path("networks/<row:pk>/edit/", network_edit, name="network_edit")]
