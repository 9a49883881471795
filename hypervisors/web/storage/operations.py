"""Asking for operations on storage pools and volumes, and what of them is under way."""

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Operation, StoragePool, Volume
from hypervisors.models.rights import Requester
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person
from hypervisors.web.storage.forms import CreateVolumeForm

_SHOWN = 10


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def volume_create(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog of a new volume; POST asks for it, and comes back with what is wrong."""
    storage_pool = _storage_pool(request, pk)
    require(request.user, Privilege.STORAGE_MANAGE, storage_pool, what="create_volume")
    form = CreateVolumeForm(request.POST or None, subject=storage_pool)
    if request.method == "POST" and "check" in request.GET:
        form.is_valid()
        return render(request, "storage/volume_check.html", {"form": form})
    if request.method == "POST" and form.is_valid():
        try:
            request_operation(
                user=person(request), kind="create_volume", subject=storage_pool, parameters=form.parameters
            )
        except (Conflict, NotPossible) as error:
            form.add_error(None, str(error))
        else:
            text = _("The volume “%(name)s” is being created.") % {"name": form.parameters["name"]}
            return done(request, text, back=storage_pool.get_absolute_url())
    context = {
        "storage_pool": storage_pool,
        "form": form,
        "url": reverse("volume_create", args=[storage_pool.pk]),
        "xml_url": reverse("volume_create_xml", args=[storage_pool.pk]),
        "reason": why_not(storage_pool, "create_volume"),
    }
    template = "storage/create_volume.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


@require_POST
@needs(Privilege.STORAGE_VIEW)
def volume_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks for it; the page has asked the person."""
    volumes = permitted(request.user, Privilege.STORAGE_VIEW, Volume.objects.all())
    volume = get_object_or_404(volumes.select_related("storage_pool__hypervisor"), pk=pk)
    try:
        request_operation(user=person(request), kind="delete_volume", subject=volume)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    text = _("The volume “%(name)s” is being deleted.") % {"name": volume.name}
    return done(request, text, back=volume.storage_pool.get_absolute_url())


@require_safe
@needs(Privilege.STORAGE_VIEW)
def storage_pool_operations(request: HttpRequest, pk: int) -> HttpResponse:
    """What is being done to the storage pool and its volumes now."""
    storage_pool = _storage_pool(request, pk)
    context = {"storage_pool": storage_pool, "operations": unfinished_operations(storage_pool, request.user)}
    return render(request, "storage/operations.html", context)


def unfinished_operations(storage_pool: StoragePool, user: Requester) -> list[Operation]:
    """Those on the storage pool and on its volumes, the latest first; one query."""
    on_pool = Q(subject_type="storage_pool", subject_key=str(storage_pool.pk))
    on_volumes = Q(
        subject_type="volume",
        hypervisor=storage_pool.hypervisor_id,
        subject_name__startswith=f"{storage_pool.name}/",
    )
    # Their own uploads have lines of their own on the page (templates/storage/upload.html).
    own_uploads = Q(kind="upload_volume", requested_by=user.pk)
    return list(Operation.objects.unfinished().filter(on_pool | on_volumes).exclude(own_uploads)[:_SHOWN])


def _storage_pool(request: HttpRequest, pk: int) -> StoragePool:
    """Raises: Http404."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.all())
    return get_object_or_404(rows.select_related("hypervisor"), pk=pk)


urlpatterns = [
    path("storage/<row:pk>/volumes/create/", volume_create, name="volume_create"),
    path("storage/<row:pk>/operations/", storage_pool_operations, name="storage_pool_operations"),
    path("storage/volumes/<row:pk>/delete/", volume_delete, name="volume_delete"),
]
