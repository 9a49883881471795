"""What is done to a volume: the menu of its line, the dialogs behind that, and whether it is an image."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.access import can, permitted, require
from hypervisors.administration.volume_purposes import set_is_image
from hypervisors.errors import Conflict, NotPossible
from hypervisors.inventory.storage.origins import find_origin
from hypervisors.models import Volume, VolumeOrigin
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.operations.storage.downloads import why_no_download
from hypervisors.operations.storage.volume_copies import needed_bytes
from hypervisors.operations.storage.volume_users import volume_users
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person
from hypervisors.web.storage.volume_forms import FORMS, ParametersForm

# Of the transfer process: see hypervisors/transfer/server.py.
_DOWNLOADS = "/transfer/volumes/"
_DIALOGS = ("resize_volume", "clone_volume", "convert_volume", "wipe_volume")


@dataclass(frozen=True, kw_only=True)
class VolumeAction:
    """One entry of the menu. `reason` says why it cannot be done now; `url` opens a dialog."""

    kind: str
    word: str
    icon: str
    url: str
    reason: str = ""
    is_dangerous: bool = False


@require_safe
@needs(Privilege.STORAGE_VIEW)
def volume_menu(request: HttpRequest, pk: int) -> HttpResponse:
    """All that can be done with it, as entries of its line's menu."""
    volume = _visible(request, pk)
    context: dict[str, Any] = {"volume": volume, "may_manage": can(request.user, Privilege.STORAGE_MANAGE, volume)}
    if context["may_manage"]:
        context |= {
            "actions": [_action(kind, volume) for kind in _DIALOGS if _is_offered(kind, volume)],
            "download_url": f"{_DOWNLOADS}{volume.pk}",
            "why_no_download": why_no_download(volume),
            "why_no_delete": why_not(volume, "delete_volume"),
            "is_image": _is_image(volume),
            "trust": why_not(volume, "trust_volume") if volume.quarantine else None,
        }
    return render(request, "storage/volume_entries.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def volume_dialog(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """The dialog of one kind; POST asks for it, or with `?check` only says what would come of it."""
    volume = _visible(request, pk)
    found = operation_type(kind)
    require(request.user, found.privilege, volume, what=kind)
    form = FORMS[kind](request.POST or None, subject=volume)
    if request.method == "POST" and "check" in request.GET:
        form.is_valid()
        return render(request, "storage/volume_check.html", {"form": form, **_at_stake(kind, volume, form)})
    if request.method == "POST" and form.is_valid():
        try:
            operation = request_operation(user=person(request), kind=kind, subject=volume, parameters=form.parameters)
        except (Conflict, NotPossible) as error:
            form.add_error(None, str(error))
        else:
            back = volume.storage_pool.get_absolute_url()
            return done(request, f"{found.label}: {volume.name}", back=back, operation=operation)
    template = "storage/volume_dialog.html"
    context = {
        "volume": volume,
        "form": form,
        "kind": found,
        "url": reverse(kind, args=[volume.pk]),
        "reason": why_not(volume, kind),
        "users": volume_users(volume),
        **_at_stake(kind, volume, form),
    }
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


@require_POST
@needs(Privilege.STORAGE_VIEW)
def volume_trust(request: HttpRequest, pk: int) -> HttpResponse:
    volume = _visible(request, pk)
    try:
        request_operation(user=person(request), kind="trust_volume", subject=volume)
    except (Conflict, NotPossible) as error:
        return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
    text = _("What is in “%(name)s” is looked at.") % {"name": volume.name}
    return done(request, text, back=volume.storage_pool.get_absolute_url())


@require_POST
@needs(Privilege.STORAGE_VIEW)
def volume_image(request: HttpRequest, pk: int) -> HttpResponse:
    """Show it among the images, or (`image=0`) no longer."""
    volume = _visible(request, pk)
    is_image = request.POST.get("image") != "0"
    set_is_image(person(request), volume, is_image=is_image)
    words = _("“%(name)s” is among the images.") if is_image else _("“%(name)s” is no longer among the images.")
    return done(request, words % {"name": volume.name}, back=reverse("images"))


def _action(kind: str, volume: Volume) -> VolumeAction:
    found = operation_type(kind)
    return VolumeAction(
        kind=kind,
        word=str(found.label),
        icon=found.icon,
        url=reverse(kind, args=[volume.pk]),
        reason=why_not(volume, kind),
        is_dangerous=found.is_dangerous,
    )


def _is_offered(kind: str, volume: Volume) -> bool:
    """A conversion only of what can be converted."""
    found: Any = operation_type(kind)
    return not hasattr(found, "formats_of") or bool(found.formats_of(volume)) or kind == "clone_volume"


def _is_image(volume: Volume) -> bool:
    origin = find_origin(volume)
    return origin is not None and origin.purpose == VolumeOrigin.IMAGE


def _at_stake(kind: str, volume: Volume, form: ParametersForm) -> dict[str, Any]:
    """What the dialog says beside the fields."""
    return {"needed_bytes": needed_bytes(volume)} if kind in ("clone_volume", "convert_volume") else {}


def _visible(request: HttpRequest, pk: int) -> Volume:
    """Raises: Http404."""
    volumes = permitted(request.user, Privilege.STORAGE_VIEW, Volume.objects.all())
    return get_object_or_404(volumes.select_related("storage_pool__hypervisor"), pk=pk)


def _dialog_path(word: str, kind: str) -> Any:
    return path(f"storage/volumes/<row:pk>/{word}/", volume_dialog, {"kind": kind}, name=kind)


urlpatterns = [
    path("storage/volumes/<row:pk>/menu/", volume_menu, name="volume_menu"),
    _dialog_path("resize", "resize_volume"),
    _dialog_path("clone", "clone_volume"),
    _dialog_path("convert", "convert_volume"),
    _dialog_path("wipe", "wipe_volume"),
    path("storage/volumes/<row:pk>/trust/", volume_trust, name="volume_trust"),
    path("storage/volumes/<row:pk>/image/", volume_image, name="volume_image"),
]
