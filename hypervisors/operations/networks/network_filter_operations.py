"""What the kinds of operations on network filters share."""

from uuid import UUID

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.network_filters import ParsedNetworkFilter, filter_name_problem, parse_network_filter
from hypervisors.models import NetworkFilter
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege

LISTED = "network_filter"


class NetworkFilterOperation(OperationType[NetworkFilter]):
    subject_type = "network_filter"
    privilege = Privilege.NETWORK_MANAGE

    def why_not(self, network_filter: NetworkFilter) -> str:
        return why_unreachable(network_filter.hypervisor)


def find_filter(run: Run) -> NetworkFilter | None:
    rows = NetworkFilter.objects.select_related("hypervisor")
    return rows.filter(pk=int(run.operation.subject_key)).first()


def checked_filter(xml: str) -> ParsedNetworkFilter:
    """Raises: errors.NotPossible with what is wrong."""
    try:
        parsed = parse_network_filter(xml)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    problem = filter_name_problem(parsed.name)
    if problem:
        raise NotPossible(problem)
    return parsed


def is_same(uuid: UUID, text: str) -> bool:
    try:
        return UUID(text) == uuid
    except ValueError:
        return False


def gone_text() -> str:
    return _("The network filter is gone.")
