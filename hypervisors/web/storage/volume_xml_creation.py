"""The dialog of a new volume, written as XML: it begins with what the form says, and is reviewed before it is made."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.libvirtxml.storage_volumes import VolumeSpec, build_volume
from hypervisors.libvirtxml.typed_documents import MalformedXml
from hypervisors.libvirtxml.typed_volumes import TypedVolume, read_typed_volume
from hypervisors.models import StoragePool, Volume
from hypervisors.models.xml_versions import digest
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.schemas.relax_ng import schema_faults
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import needs, person
from hypervisors.web.storage.forms import CreateVolumeForm
from hypervisors.web.storage.volume_forms import UNITS
from hypervisors.web.xml.reviews import Review
from hypervisors.web.xml.subjects import typed_text

_KIND = "create_volume_xml"
_DEFAULT_BYTES = 20 * UNITS["GiB"]


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def volume_create_xml(request: HttpRequest, pk: int) -> HttpResponse:
    """POST without XML begins with what the form's fields say; with `to` it goes back to them; with `apply` it asks."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.all())
    storage_pool = get_object_or_404(rows.select_related("hypervisor"), pk=pk)
    require(request.user, Privilege.STORAGE_MANAGE, storage_pool, what=_KIND)
    if "xml" not in request.POST:
        return _shown(request, storage_pool, text=_xml_of_fields(request, storage_pool))
    text = typed_text(request)
    review, typed = _review(storage_pool, text, overcommitted="overcommitted" in request.POST)
    if "to" in request.POST and typed is not None:
        return _fields(request, storage_pool, typed)
    context: dict[str, Any] = {"text": text, "review": review, "typed": typed}
    if "apply" in request.POST and review.can_apply and request.POST.get("reviewed") == review.reviewed:
        try:
            return _ask(request, storage_pool, text)
        except (Conflict, NotPossible) as error:
            context["refusal"] = str(error)
    return _shown(request, storage_pool, **context)


def _ask(request: HttpRequest, storage_pool: StoragePool, text: str) -> HttpResponse:
    """Raises: errors.Conflict, errors.NotPossible, errors.NotPermitted."""
    given = _given(text, overcommitted="overcommitted" in request.POST)
    operation = request_operation(user=person(request), kind=_KIND, subject=storage_pool, parameters=given)
    said = _("The volume “%(name)s” is being created.") % {"name": operation.parameters["name"]}
    return done(request, said, back=storage_pool.get_absolute_url())


def _given(text: str, *, overcommitted: bool) -> dict[str, Any]:
    return {"xml": text, "overcommitted": overcommitted}


def _review(storage_pool: StoragePool, text: str, *, overcommitted: bool) -> tuple[Review, TypedVolume | None]:
    """What speaks against it, and what was understood of it; rows alone are asked."""
    reviewed = digest(text)
    try:
        typed = read_typed_volume(text)
    except MalformedXml as error:
        return Review(reviewed=reviewed, base="", malformed=str(error), line=error.line), None
    problem = why_not(storage_pool, _KIND)
    try:
        operation_type(_KIND).check(storage_pool, _given(text, overcommitted=overcommitted))
    except (NotPossible, Conflict) as error:
        problem = problem or str(error)
    faults = schema_faults(typed.root)
    return Review(reviewed=reviewed, base="", faults=faults, problem=problem), typed


def _shown(request: HttpRequest, storage_pool: StoragePool, **given: Any) -> HttpResponse:
    typed: TypedVolume | None = given.get("typed")
    context = {
        "storage_pool": storage_pool,
        "url": reverse("volume_create_xml", args=[storage_pool.pk]),
        "reason": why_not(storage_pool, _KIND),
        "may_grow": typed is not None and typed.capacity_bytes > storage_pool.available_bytes,
        "overcommitted": "overcommitted" in request.POST,
        **given,
    }
    template = "storage/create_volume_xml.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def _xml_of_fields(request: HttpRequest, storage_pool: StoragePool) -> str:
    """What is not filled in, or cannot be, is as the form proposes it."""
    form = CreateVolumeForm(request.POST or None, subject=storage_pool)
    form.is_valid()
    said: dict[str, Any] = getattr(form, "cleaned_data", {})
    backing = Volume.objects.filter(pk=said["backing"]).first() if said.get("backing") else None
    format_ = "qcow2" if backing else said.get("format") or "qcow2"
    values: dict[str, Any] = {
        "format": format_,
        "capacity_bytes": int(said["size"] * UNITS[said.get("unit") or "GiB"]) if said.get("size") else _DEFAULT_BYTES,
        **({"backing_path": backing.path, "backing_format": backing.format} if backing else {}),
    }
    if said.get("preallocation") == "full" and not backing and format_ == "raw":
        values["preallocation"] = "full"
    try:
        return build_volume(VolumeSpec(name=said.get("name") or f"new.{format_}", **values))
    except ValueError:
        return build_volume(VolumeSpec(name=f"new.{format_}", **values))


def _fields(request: HttpRequest, storage_pool: StoragePool, typed: TypedVolume) -> HttpResponse:
    """The form, with what it has fields for."""
    unit = "GiB" if typed.capacity_bytes % UNITS["GiB"] == 0 else "MiB"
    same_host = Volume.objects.present().filter(storage_pool__hypervisor=storage_pool.hypervisor_id)
    backing = same_host.filter(path=typed.backing_path).first() if typed.backing_path else None
    initial = {
        "name": typed.name,
        "format": typed.format,
        "size": f"{typed.capacity_bytes / UNITS[unit]:.3f}".rstrip("0").rstrip("."),
        "unit": unit,
        "preallocation": "full" if typed.reserved_bytes else "off",
        "backing": str(backing.pk) if backing else "",
    }
    context = {
        "storage_pool": storage_pool,
        "form": CreateVolumeForm(subject=storage_pool, initial=initial),
        "url": reverse("volume_create", args=[storage_pool.pk]),
        "xml_url": reverse("volume_create_xml", args=[storage_pool.pk]),
        "reason": why_not(storage_pool, "create_volume"),
    }
    template = "storage/create_volume.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


urlpatterns = [path("storage/<row:pk>/volumes/create/xml/", volume_create_xml, name="volume_create_xml")]
