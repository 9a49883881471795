"""The page on which a storage pool's definition is changed, by its fields or as XML; guarded by what was seen."""

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.storage_pool_builder import definition_digest, edit_storage_pool, read_storage_pool_spec
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec, spec_problems
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.models import StoragePool
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import needs, person
from hypervisors.web.storage.storage_pool_actions import visible_storage_pool
from hypervisors.web.storage.storage_pool_forms import StoragePoolForm, initial_of

KIND = "edit_storage_pool"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def storage_pool_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """POST with `to` shows the form anew; without, it asks for the change."""
    row = visible_storage_pool(request, pk)
    require(person(request), Privilege.STORAGE_MANAGE, row, what=KIND)
    seen = _definition(row)
    if request.method != "POST":
        form = StoragePoolForm(fixed=seen, initial=_initial(row, seen))
        return _page(request, row, form, digest=_digest(row))
    form = StoragePoolForm(request.POST, fixed=seen)
    spec, reason = form.read(), ""
    if "to" in request.POST:
        return _page(request, row, _turned(request, row, form, spec), digest=request.POST.get("digest", ""))
    if spec is not None and not _has_new_problems(form, seen):
        try:
            _ask(request, row, form, spec)
        except (Conflict, NotPossible) as error:
            reason = str(error)
        else:
            response = done(
                request, _("“%(name)s” is being changed.") % {"name": row.name}, back=row.get_absolute_url()
            )
            if wants_part(request):
                return HttpResponse(headers={"HX-Redirect": row.get_absolute_url()})
            return response
    return _page(request, row, form, digest=request.POST.get("digest", ""), reason=reason, status=422)


def _definition(row: StoragePool) -> StoragePoolSpec:
    try:
        return read_storage_pool_spec(row.definition_xml)
    except ValueError:
        return StoragePoolSpec(pool_type=row.pool_type, name=row.name)


def _digest(row: StoragePool) -> str:
    try:
        return definition_digest(row.definition_xml)
    except ValueError:
        return ""


def _initial(row: StoragePool, seen: StoragePoolSpec) -> dict[str, object]:
    # Of a type that has no fields here there is the XML alone.
    view = "form" if seen.pool_type in POOL_TYPES else "xml"
    return {**initial_of(seen), "view": view, "xml": row.definition_xml}


def _turned(
    request: HttpRequest, row: StoragePool, form: StoragePoolForm, spec: StoragePoolSpec | None
) -> StoragePoolForm:
    """The form that shows the same as XML, or in fields."""
    to, seen = request.POST.get("to", ""), _definition(row)
    values: dict[str, object] = {}
    try:
        if to == "xml" and not form.is_xml and spec is not None:
            values = form.turned_to_xml(edit_storage_pool(row.definition_xml, spec))
        elif to == "form" and form.is_xml:
            values = form.turned_to_fields()
    except ValueError as error:
        form.problems["xml"] = str(error)
    if not values:
        form.mute_what_is_missing()
        return form
    data = QueryDict(mutable=True)
    for name, value in values.items():
        data[name] = str(value)
    turned = StoragePoolForm(data, fixed=seen)
    turned.read()
    return turned


def _has_new_problems(form: StoragePoolForm, seen: StoragePoolSpec) -> bool:
    """What was so before, made by others, is nobody's mistake now."""
    before = spec_problems(seen).values()
    return any(text not in before for text in form.problems.values())


def _ask(request: HttpRequest, row: StoragePool, form: StoragePoolForm, spec: StoragePoolSpec) -> None:
    """Raises: errors.Conflict, errors.NotPossible."""
    said = {"xml": form.cleaned_data["xml"]} if form.is_xml else {"spec": spec.to_json()}
    given = {"digest": request.POST.get("digest", ""), **said}
    request_operation(user=person(request), kind=KIND, subject=row, parameters=given)


def _page(
    request: HttpRequest, row: StoragePool, form: StoragePoolForm, *, digest: str, reason: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "storage_pool": row,
        "form": form,
        "digest": digest,
        "reason": reason or why_not(row, KIND),
        "action_url": reverse("storage_pool_edit", args=[row.pk]),
        "back_url": row.get_absolute_url(),
    }
    template = "storage/pool_form.html"
    if wants_part(request):
        return render(request, f"{template}#form", context)
    return render(request, template, context, status=status)


urlpatterns = [path("storage/<row:pk>/edit/", storage_pool_edit, name="storage_pool_edit")]
