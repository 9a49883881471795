"""What the kinds of operations on networks share: why not, and a single call whose outcome is looked at."""

from typing import Any, ClassVar
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.networks.networks import read_network
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.models import Network
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege

# Starting one waits for dnsmasq and the firewall.
CALL_SECONDS = 60.0


class NetworkOperation(OperationType[Network]):
    subject_type = "network"
    privilege = Privilege.NETWORK_MANAGE

    def why_gone(self, network: Network) -> str:
        if network.vanished_at is None:
            return ""
        return _("The network is gone; it was last seen at %(time)s.") % {"time": clock(network.vanished_at)}

    def why_not(self, network: Network) -> str:
        return self.why_gone(network) or why_unreachable(network.hypervisor) or self.why_not_in_this_state(network)

    def why_not_in_this_state(self, network: Network) -> str:
        """Of one that is there, on a host that answers."""
        return ""


class SingleNetworkCall(NetworkOperation):
    """One call; what became true decides, whatever the call said."""

    done: ClassVar[str | Promise] = ""

    def act(self, connection: Connection, uuid: UUID, parameters: Any) -> None:
        raise NotImplementedError

    def is_done(self, connection: Connection, uuid: UUID, parameters: Any) -> bool:
        raise NotImplementedError

    def run(self, run: Run) -> Result:
        network = find_subject(run)
        if network is None:
            return failed(gone_text())
        uuid, parameters = network.uuid, run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: self.act(connection, uuid, parameters), seconds=CALL_SECONDS)
        except HypervisorError as error:
            problem = error
        outcome = run.judge(
            lambda connection: self.is_done(connection, uuid, parameters), done=str(self.done), problem=problem
        )
        request_network_refresh(network.hypervisor_id)
        return outcome


def find_subject(run: Run) -> Network | None:
    return Network.objects.select_related("hypervisor").filter(pk=int(run.operation.subject_key)).first()


def gone_text() -> str:
    return _("The network is gone.")


def is_network_active(connection: Connection, uuid: UUID) -> bool:
    """False for one that is not there."""
    facts = read_network(connection, uuid)
    return facts is not None and facts.active
