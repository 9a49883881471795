"""What can be done to a network, as buttons and menus: whether it is possible, and if not why."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Network
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.networks.network_users import NetworkUser, active_names, network_users, users_text
from hypervisors.web.definitions.actions import Action, Actions, action_routes, deletion_route
from hypervisors.web.networks.definitions import NETWORK


def actions_of(network: Network, users: list[NetworkUser]) -> list[Action]:
    """In the order of the menu; the first is the most likely one."""
    actions = Actions(NETWORK, network)
    if network.active:
        actions.add("restart_network", "restart", word=_("Restart"), warning=restart_warning(users))
        actions.add("stop_network", "stop", word=_("Stop"), warning=_stop_warning(network, users))
    else:
        actions.add("start_network", "start", word=_("Start"))
    actions.add_autostart()
    actions.add_edit_and_delete()
    return actions.made


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


def _deletion_context(network: Network) -> dict[str, Any]:
    """Who would be without it."""
    return {"defined": [user.domain.name for user in network_users(network) if not user.is_active]}


def _deletion_given(request: HttpRequest, network: Network) -> dict[str, Any]:
    return {}


_ROUTES = {
    "start": ("start_network", gettext_lazy("“%(name)s” is being started on %(host)s.")),
    "stop": ("stop_network", gettext_lazy("“%(name)s” is being stopped on %(host)s.")),
    "restart": ("restart_network", gettext_lazy("“%(name)s” is being restarted on %(host)s.")),
    "autostart": ("set_network_autostart", gettext_lazy("“%(name)s” is being changed on %(host)s.")),
}

urlpatterns = [*action_routes(NETWORK, _ROUTES), deletion_route(NETWORK, _deletion_context, _deletion_given)]
