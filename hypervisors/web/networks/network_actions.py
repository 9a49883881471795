"""What can be done to a network, as buttons and menus: whether it is possible, and if not why."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import permitted, require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Network
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import possible_kinds, request_operation, why_not
from hypervisors.operations.networks.network_users import NetworkUser, active_names, network_users, users_text
from hypervisors.privileges import Privilege
from hypervisors.web.answers import done, refused
from hypervisors.web.boosting import wants_part
from hypervisors.web.methods import require_POST
from hypervisors.web.permissions import needs, person


@dataclass(frozen=True, kw_only=True)
class NetworkAction:
    """A button. With `has_form` it opens a page or a dialog; with a `question` it asks first."""

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


def actions_of(network: Network, users: list[NetworkUser]) -> list[NetworkAction]:
    """In the order of the menu; the first is the most likely one."""
    reasons = possible_kinds(network)

    def action(kind: str, view: str, **other: object) -> NetworkAction:
        found = operation_type(kind)
        values: dict[str, object] = {
            "kind": kind,
            "word": found.word(network),
            "icon": found.icon,
            "url": reverse(view, args=[network.pk]),
            "reason": reasons[kind],
            "question": str(found.question),
        }
        return NetworkAction(**(values | other))  # type: ignore[arg-type]

    actions = []
    if network.active:
        restarting = {"word": _("Restart"), "warning": restart_warning(users)}
        actions.append(action("restart_network", "network_restart", **restarting))
        actions.append(action("stop_network", "network_stop", word=_("Stop"), warning=_stop_warning(network, users)))
    else:
        actions.append(action("start_network", "network_start", word=_("Start")))
    autostart = operation_type("set_network_autostart").click_values(network)
    actions.append(action("set_network_autostart", "network_autostart", values=autostart))
    actions.append(action("edit_network", "network_edit", word=_("Edit…"), has_form=True, is_page=True))
    deleting = {"word": _("Delete…"), "has_form": True, "is_dangerous": True, "question": ""}
    actions.append(action("delete_network", "network_delete", **deleting))
    return actions


def restart_warning(users: list[NetworkUser]) -> str:
    text = str(operation_type("restart_network").warning)
    running = users_text(active_names(users))
    if not running:
        return text
    return _("%(text)s %(names)s lose their link for a moment, and get it back.") % {"text": text, "names": running}


def _stop_warning(network: Network, users: list[NetworkUser]) -> str:
    text = str(operation_type("stop_network").warning)
    if not network.persistent:
        text = _("It was started without being defined: this host forgets it. %(text)s") % {"text": text}
    running = users_text(active_names(users))
    if not running:
        return text
    return _("These run with a card on it and lose their link: %(names)s. %(text)s") % {"names": running, "text": text}


def _asking_for(kind: str, said: Callable[[Network], str]) -> Callable[..., HttpResponse]:
    """A view that asks for the kind, with whatever its form says."""

    @require_POST
    @needs(Privilege.NETWORK_VIEW)
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        row = visible_network(request, pk)
        given = {name: request.POST[name] for name in request.POST if name != "csrfmiddlewaretoken"}
        try:
            operation = request_operation(user=person(request), kind=kind, subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            return refused(request, str(error), status=409 if isinstance(error, Conflict) else 422)
        return done(request, said(row), back=row.get_absolute_url(), operation=operation)

    return view


def _named(text: str) -> Callable[[Network], str]:
    return lambda row: _(text) % {"name": row.name, "host": row.hypervisor.name}


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Privilege.NETWORK_VIEW)
def network_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The dialog that names who would be without it; POST asks for the deletion."""
    row = visible_network(request, pk)
    require(person(request), Privilege.NETWORK_MANAGE, row, what="delete_network")
    problem = ""
    if request.method == "POST":
        try:
            request_operation(user=person(request), kind="delete_network", subject=row)
        except (Conflict, NotPossible) as error:
            problem = str(error)
        else:
            text = _("The network “%(name)s” of %(host)s is being deleted.")
            back = reverse("hypervisor_networks", args=[row.hypervisor_id])
            return done(request, text % {"name": row.name, "host": row.hypervisor.name}, back=back)
    users = network_users(row)
    context = {
        "network": row,
        "problem": problem,
        "reason": why_not(row, "delete_network"),
        "defined": [user.domain.name for user in users if not user.is_active],
    }
    template = "networks/delete.html"
    return render(request, f"{template}#dialog" if wants_part(request) else template, context)


def visible_network(request: HttpRequest, pk: int) -> Network:
    """Raises: Http404."""
    rows = permitted(request.user, Privilege.NETWORK_VIEW, Network.objects.all())
    related = rows.select_related("hypervisor__hypervisor_pool")
    return get_object_or_404(related.defer("hypervisor__cpu_xml", "hypervisor__machine_types"), pk=pk)


_ROUTES = {
    "start": ("start_network", "“%(name)s” is being started on %(host)s."),
    "stop": ("stop_network", "“%(name)s” is being stopped on %(host)s."),
    "restart": ("restart_network", "“%(name)s” is being restarted on %(host)s."),
    "autostart": ("set_network_autostart", "“%(name)s” is being changed on %(host)s."),
}

urlpatterns = [
    *(
        path(f"networks/<row:pk>/{word}/", _asking_for(kind, _named(text)), name=f"network_{word}")
        for word, (kind, text) in _ROUTES.items()
    ),
    path("networks/<row:pk>/delete/", network_delete, name="network_delete"),
]
