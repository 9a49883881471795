"""Create a network filter on a host, of XML that somebody wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.networks.network_filters import define_network_filter, read_network_filter
from hypervisors.inventory.refresh_requests import request_listing_refresh
from hypervisors.libvirtxml.network_filters import with_filter_uuid
from hypervisors.models import Hypervisor, NetworkFilter
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.networks.network_filter_operations import LISTED, checked_filter
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class CreateNetworkFilterParameters:
    """`uuid` is chosen when it is asked for: by it a worker that adopts the operation knows the filter again."""

    name: str
    uuid: str
    xml: str


class CreateNetworkFilter(OperationType[Hypervisor]):
    kind = "create_network_filter"
    subject_type = "hypervisor"
    label = gettext_lazy("Create network filter")
    icon = "filter"
    privilege = Privilege.NETWORK_MANAGE
    Parameters: ClassVar[type[Any]] = CreateNetworkFilterParameters

    def why_not(self, hypervisor: Hypervisor) -> str:
        return why_unreachable(hypervisor)

    def locks(self, hypervisor: Hypervisor, parameters: CreateNetworkFilterParameters) -> tuple[str, ...]:
        return (f"name:network_filter:{hypervisor.pk}/{parameters.name}",)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateNetworkFilterParameters:
        xml = str(given.get("xml") or "")
        name, uuid = checked_filter(xml).name, str(uuid4())
        if NetworkFilter.objects.filter(hypervisor=hypervisor, name=name).exists():
            text = _("%(host)s has a network filter called “%(name)s” already.")
            raise NotPossible(text % {"host": hypervisor.name, "name": name})
        return CreateNetworkFilterParameters(name=name, uuid=uuid, xml=with_filter_uuid(xml, uuid))

    def subject_name(self, hypervisor: Hypervisor, parameters: CreateNetworkFilterParameters) -> str:
        return parameters.name

    def run(self, run: Run) -> Result:
        wanted: CreateNetworkFilterParameters = run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: define_network_filter(connection, wanted.xml))
        except HypervisorError as error:
            problem = error
        outcome = run.judge(
            lambda connection: read_network_filter(connection, UUID(wanted.uuid)) is not None,
            done=_("It is created."),
            problem=problem,
        )
        request_listing_refresh(run.source.pk, LISTED)
        return outcome
