"""Stop a network and start it as it is defined now; running machines are plugged in again after a moment."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Network
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.networks.network_operations import NetworkOperation
from hypervisors.operations.networks.network_steps import PlugGuestsIn, StartNetwork, StopNetwork, of_network
from hypervisors.operations.networks.start_network import with_unplugged


class RestartNetwork(NetworkOperation):
    kind = "restart_network"
    label = gettext_lazy("Restart network")
    icon = "rotate"
    question = gettext_lazy("Restart the network “%s”?")
    warning = gettext_lazy("It is stopped, and started as it is defined now.")

    def why_not_in_this_state(self, network: Network) -> str:
        if not network.active:
            return _("It is not started.")
        if not network.persistent:
            return _("It was started without being defined: libvirt forgets it when it is stopped.")
        return ""

    def run_on(self, run: Run, network: Network) -> Result:
        uuid_of = of_network(network.uuid)
        steps = [StopNetwork(uuid_of), StartNetwork(uuid_of), PlugGuestsIn(uuid_of)]
        result = run_steps(run, steps, done=_("It is restarted."))
        return with_unplugged(run, result)
