"""Delete a network: stop it and remove its definition. Refused while machines run with a card on it.

The host is asked right before anything is done.
"""

from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.networks.network_users import read_network_users
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.models import Network
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.engine.steps import Made, run_steps
from hypervisors.operations.networks.network_operations import CALL_SECONDS, NetworkOperation, find_subject
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

    def run(self, run: Run) -> Result:
        network = find_subject(run)
        if network is None:
            return succeeded(_("It was gone already."))
        uuid_of = of_network(network.uuid)
        result = run_steps(
            run, [_StopUnused(network.uuid, network.name), UndefineNetwork(uuid_of)], done=_("It is deleted.")
        )
        request_network_refresh(network.hypervisor_id)
        return result


class _StopUnused(StopNetwork):
    def __init__(self, uuid: UUID, name: str) -> None:
        super().__init__(of_network(uuid))
        self._name = name

    def do(self, run: Run, intent: Made) -> Made:
        name = self._name
        users = run.ask(lambda connection: read_network_users(connection, name), seconds=CALL_SECONDS)
        reason = why_used(sorted(user for user, is_active in users.items() if is_active))
        if reason:
            raise NotPossible(reason)
        return super().do(run, intent)
