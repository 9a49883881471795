"""What can be done to a storage pool, as buttons and menus: whether it is possible, and if not why."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import StoragePool
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import possible_kinds, request_operation, why_not
from hypervisors.operations.storage.delete_storage_pool import why_contents_stay
from hypervisors.operations.storage.storage_pool_users import storage_pool_users, users_text
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person


@dataclass(frozen=True, kw_only=True)
class StoragePoolAction:
    """An entry of the menu. With `has_form` it opens a page or a dialog; with a `question` it asks first."""

    kind: str
    word: str
    icon: str
    url: str
    reason: str = ""
    question: str = ""
    warning: str = ""
    has_form: bool = False
    is_page: bool = False
    is_dangerous: bool = False
    values: dict[str, str] = field(default_factory=dict)


def actions_of(storage_pool: StoragePool) -> list[StoragePoolAction]:
    """In the order of the menu."""
    reasons = possible_kinds(storage_pool)

    def action(kind: str, view: str, **other: object) -> StoragePoolAction:
        found = operation_type(kind)
        values: dict[str, object] = {
            "kind": kind,
            "word": found.word(storage_pool),
            "icon": found.icon,
            "url": reverse(view, args=[storage_pool.pk]),
            "reason": reasons[kind],
        }
        return StoragePoolAction(**(values | other))  # type: ignore[arg-type]

    actions = []
    if storage_pool.active:
        stop = operation_type("stop_storage_pool")
        stopping = action(
            "stop_storage_pool",
            "storage_pool_stop",
            word=_("Stop"),
            question=str(stop.question),
            warning=_stop_warning(storage_pool),
        )
        actions.append(stopping)
    else:
        actions.append(action("start_storage_pool", "storage_pool_start", word=_("Start")))
        if storage_pool.pool_type == "dir":
            words = _("Create the folder and start")
            making = {"word": words, "icon": "folder-plus", "values": {"makes_folder": "1"}}
            actions.append(action("start_storage_pool", "storage_pool_start", **making))
    autostart = operation_type("set_storage_pool_autostart").click_values(storage_pool)
    actions.append(action("set_storage_pool_autostart", "storage_pool_autostart", values=autostart))
    if storage_pool.shared_storage_id is not None:
        actions.append(action("prove_sharing", "storage_pool_prove", word=_("Look who sees it")))
    actions.append(action("edit_storage_pool", "storage_pool_edit", word=_("Edit…"), has_form=True, is_page=True))
    deleting = {"word": _("Delete…"), "has_form": True, "is_dangerous": True}
    actions.append(action("delete_storage_pool", "storage_pool_delete", **deleting))
    return actions


def _stop_warning(storage_pool: StoragePool) -> str:
    text = str(operation_type("stop_storage_pool").warning)
    users = [user for user in storage_pool_users(storage_pool) if user.is_active]
    if users:
        return _("Running machines have disks in it and go on with them: %(users)s. %(text)s") % {
            "users": users_text(users),
            "text": text,
        }
    if not storage_pool.persistent:
        return _("It was started without being defined: this host forgets it. %(text)s") % {"text": text}
    return text


def _asking_for(kind: str, said: Callable[[StoragePool], str]) -> Callable[..., HttpResponse]:
    """A view that asks for the kind, with whatever its form says."""

    @require_POST
    @needs(Privilege.STORAGE_VIEW)
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        row = visible_storage_pool(request, pk)
        given = {name: request.POST[name] for name in request.POST if name != "csrfmiddlewaretoken"}
        try:
            request_operation(user=person(request), kind=kind, subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
        return done(request, said(row), back=row.get_absolute_url())

    return view


def _named(text: str) -> Callable[[StoragePool], str]:
    return lambda row: _(text) % {"name": row.name, "host": row.hypervisor.name}


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.STORAGE_VIEW)
def storage_pool_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog that asks what becomes of what is in it; POST asks for the deletion."""
    row = visible_storage_pool(request, pk)
    require(person(request), Privilege.STORAGE_MANAGE, row, what="delete_storage_pool")
    problem, deletes_volumes = "", bool(request.POST.get("deletes_volumes"))
    if request.method == "POST":
        problem = _delete(request, row, deletes_volumes=deletes_volumes)
        if not problem:
            text = _("The storage pool “%(name)s” of %(host)s is being deleted.")
            back = reverse("hypervisor_storage_pools", args=[row.hypervisor_id])
            return done(request, text % {"name": row.name, "host": row.hypervisor.name}, back=back)
    context = {
        "storage_pool": row,
        "problem": problem,
        "deletes_volumes": deletes_volumes,
        "reason": why_not(row, "delete_storage_pool"),
        "why_contents_stay": why_contents_stay(row),
        "volume_count": row.volumes.present().count(),
    }
    template = "storage/delete_pool.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def _delete(request: HttpRequest, row: StoragePool, *, deletes_volumes: bool) -> str:
    """Asks for it; what is wrong, else ""."""
    if deletes_volumes and request.POST.get("typed_name", "").strip() != row.name:
        return _("Type the storage pool's name to have all that is in it deleted.")
    given = {"deletes_volumes": deletes_volumes}
    try:
        request_operation(user=person(request), kind="delete_storage_pool", subject=row, parameters=given)
    except (Conflict, NotPossible) as error:
        return str(error)
    return ""


def visible_storage_pool(request: HttpRequest, pk: int) -> StoragePool:
    """Raises: Http404."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.all())
    related = ("hypervisor__hypervisor_pool", "shared_storage")
    return get_object_or_404(
        rows.select_related(*related).defer("hypervisor__cpu_xml", "hypervisor__machine_types"), pk=pk
    )


_ROUTES = {
    "start": ("start_storage_pool", "“%(name)s” is being started on %(host)s."),
    "stop": ("stop_storage_pool", "“%(name)s” is being stopped on %(host)s."),
    "autostart": ("set_storage_pool_autostart", "“%(name)s” is being changed on %(host)s."),
    "refresh": ("refresh_storage_pool", "“%(name)s” is being read again."),
    "prove": ("prove_sharing", "The hosts look whether they see the same storage as “%(name)s”."),
}

urlpatterns = [
    *(
        path(f"storage/<row:pk>/{word}/", _asking_for(kind, _named(text)), name=f"storage_pool_{word}")
        for word, (kind, text) in _ROUTES.items()
    ),
    path("storage/<row:pk>/delete/", storage_pool_delete, name="storage_pool_delete"),
]
