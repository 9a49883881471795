"""What the kinds of operations on networks share, beside what they have in common with storage pools."""

from django.utils.translation import gettext_lazy

from hypervisors.gateway.networks.network_actions import NETWORKS
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_builder import NETWORK_XML
from hypervisors.models import Network
from hypervisors.operations.definitions.calls import DefinitionOperation
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege

# Starting one waits for dnsmasq and the firewall.
CALL_SECONDS = 60.0


class NetworkOperation(DefinitionOperation[Network]):
    subject_type = "network"
    privilege = Privilege.NETWORK_MANAGE
    definitions = NETWORKS
    xml = NETWORK_XML
    call_seconds = CALL_SECONDS
    gone = gettext_lazy("The network is gone.")
    gone_since = gettext_lazy("The network is gone; it was last seen at %(time)s.")

    def row_of(self, run: Run) -> Network | None:
        return Network.objects.select_related("hypervisor").filter(pk=int(run.operation.subject_key)).first()

    def read_again(self, network: Network) -> None:
        request_network_refresh(network.hypervisor_id)
