"""Start a network, and plug running machines into it again that lost it."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Network
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.networks.network_operations import NetworkOperation
from hypervisors.operations.networks.network_steps import PlugGuestsIn, StartNetwork, of_network, unplugged_text
from hypervisors.states import OperationState


class StartNetworkOperation(NetworkOperation):
    kind = "start_network"
    label = gettext_lazy("Start network")
    icon = "player-play"

    def why_not_in_this_state(self, network: Network) -> str:
        return _("It is started already.") if network.active else ""

    def run_on(self, run: Run, network: Network) -> Result:
        uuid_of = of_network(network.uuid)
        result = run_steps(run, [StartNetwork(uuid_of), PlugGuestsIn(uuid_of)], done=_("It is started."))
        return with_unplugged(run, result)


def with_unplugged(run: Run, result: Result) -> Result:
    """The outcome names machines that could not be plugged in again."""
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    return succeeded(f"{result.text} {unplugged_text(run)}".strip())
