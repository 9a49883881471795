"""Delete a network: stop it and remove its definition. Refused while machines run with a card on it.

The host is asked right before anything is done.
"""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.networks.network_users import read_network_users
from hypervisors.models import Network
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.networks.network_operations import CALL_SECONDS, NetworkOperation
from hypervisors.operations.networks.network_steps import StopNetwork, UndefineNetwork, of_network
from hypervisors.operations.networks.network_users import active_names, network_users, why_used


class DeleteNetwork(NetworkOperation):
    kind = "delete_network"
    label = gettext_lazy("Delete network")
    icon = "trash"
    is_dangerous = True
    question = gettext_lazy("Delete the network “%s”?")
    warning = gettext_lazy("It is stopped, and the host forgets it.")

    def why_not_in_this_state(self, network: Network) -> str:
        return why_used(active_names(network_users(network)))

    def result_without_row(self) -> Result:
        return succeeded(_("It was gone already."))

    def run_on(self, run: Run, network: Network) -> Result:
        steps = [_StopUnused(network.uuid, network.name), UndefineNetwork(of_network(network.uuid))]
        return run_steps(run, steps, done=_("It is deleted."))


class _StopUnused(StopNetwork):
    def __init__(self, uuid: UUID, name: str) -> None:
        super().__init__(of_network(uuid))
        self._name = name

    def check(self, run: Run) -> None:
        name = self._name
        users = run.ask(lambda connection: read_network_users(connection, name), seconds=CALL_SECONDS)
        reason = why_used(sorted(user for user, is_active in users.items() if is_active))
        if reason:
            raise NotPossible(reason)
