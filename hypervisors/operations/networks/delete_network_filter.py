"""Delete a network filter that no card and no other filter has."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.networks.network_filters import delete_network_filter, read_network_filter
from hypervisors.inventory.refresh_requests import request_listing_refresh
from hypervisors.models import NetworkFilter
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.networks.network_filter_operations import LISTED, NetworkFilterOperation, find_filter
from hypervisors.operations.networks.network_filter_users import FilterUsers, filter_users, why_filter_used


class DeleteNetworkFilter(NetworkFilterOperation):
    kind = "delete_network_filter"
    label = gettext_lazy("Delete network filter")
    icon = "trash"
    is_dangerous = True
    question = gettext_lazy("Delete the network filter “%s”?")
    warning = gettext_lazy("The host forgets it.")

    def why_not(self, network_filter: NetworkFilter) -> str:
        users = filter_users(network_filter.hypervisor_id).get(network_filter.name, FilterUsers())
        return super().why_not(network_filter) or why_filter_used(users)

    def run(self, run: Run) -> Result:
        row = find_filter(run)
        if row is None:
            return succeeded(_("It was gone already."))
        uuid = row.uuid
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: delete_network_filter(connection, uuid))
        except HypervisorError as error:
            problem = error
        outcome = run.judge(
            lambda connection: read_network_filter(connection, uuid) is None, done=_("It is deleted."), problem=problem
        )
        request_listing_refresh(row.hypervisor_id, LISTED)
        return outcome
