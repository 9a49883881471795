"""Uploads as the page asks for them: begun, found again after a reload, and how each stands. The bytes go elsewhere.

The element that asks is static/elements/vp-upload.js.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import StoragePool, Upload, Volume
from hypervisors.operations.storage.uploads import begin_upload
from hypervisors.privileges import Privilege
from hypervisors.states import UploadState
from hypervisors.web.naming import visible
from hypervisors.web.permissions import needs, person

TRANSFER_PATH = "/transfer/uploads/"
_MOST_DIGITS = 16


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def uploads(request: HttpRequest, pk: int) -> HttpResponse:
    """One's own unfinished uploads into a storage pool; POST begins one, or finds the one that broke off."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.all())
    storage_pool = get_object_or_404(rows.select_related("hypervisor"), pk=pk)
    require(person(request), Privilege.STORAGE_MANAGE, storage_pool, what="upload_volume")
    if request.method == "POST":
        return _begin(request, storage_pool)
    same = StoragePool.objects.present().same_storage_as(storage_pool)
    own = Upload.objects.unfinished().filter(owner=person(request), storage_pool__in=same)
    return JsonResponse({"uploads": [_told(upload) for upload in own.select_related("storage_pool")]})


@never_cache
@require_safe
def upload(request: HttpRequest, token: str) -> JsonResponse:
    """How one's own upload stands; with the volume, once that is known."""
    row = get_object_or_404(Upload.objects.select_related("storage_pool"), token=token, owner=person(request))
    return JsonResponse(_told(row))


def _begin(request: HttpRequest, storage_pool: StoragePool) -> JsonResponse:
    given = request.POST
    length = given.get("length", "")
    parameters = {
        "name": given.get("name", ""),
        "length_bytes": int(length) if length.isascii() and length.isdigit() and len(length) <= _MOST_DIGITS else None,
        "sha256": given.get("sha256", ""),
        "purpose": given.get("purpose", ""),
    }
    try:
        row = begin_upload(
            user=person(request),
            storage_pool=storage_pool,
            parameters=parameters,
            fingerprint=given.get("fingerprint", "").replace("\x00", ""),
        )
    except (Conflict, NotPossible) as error:
        status = 409 if isinstance(error, Conflict) else 422
        return JsonResponse({"reason": visible(str(error))}, status=status)
    return JsonResponse(_told(row))


def _told(row: Upload) -> dict[str, Any]:
    return {
        "token": row.token,
        "url": f"{TRANSFER_PATH}{row.token}",
        "operation": str(row.operation_id),
        "name": row.volume_name,
        "fingerprint": row.fingerprint,
        "state": UploadState.FAILED if row.is_given_up else row.state,
        "length_bytes": row.length_bytes,
        "received_bytes": row.received_bytes,
        "sha256": row.sha256,
        "sha256_expected": row.sha256_expected,
        "problem": visible(_problem(row)),
        "volume": _volume_id(row),
    }


def _problem(row: Upload) -> str:
    if row.is_given_up:
        return row.operation.outcome
    match row.state:
        case UploadState.FAILED:
            return row.problem
        case UploadState.DISCARDED:
            return _("It was cancelled.")
        case UploadState.MISMATCHED:
            return _("Its SHA-256 is not the expected one. It is kept; delete it, or use it knowingly.")
        case _:
            return ""


def _volume_id(row: Upload) -> int | None:
    if row.state not in (UploadState.DONE, UploadState.MISMATCHED):
        return None
    found = Volume.objects.present().filter(storage_pool=row.storage_pool_id, name=row.volume_name)
    return found.values_list("pk", flat=True).first()


urlpatterns = [
    path("storage/<row:pk>/uploads/", uploads, name="uploads"),
    path("storage/uploads/<token:token>/", upload, name="upload"),
]
