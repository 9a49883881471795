"""Create a network on a host: define it, start it. Many hosts at once: each by itself.

Its UUID is chosen before anything is done: by that alone a worker that adopts the operation knows it again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_builder import build_network
from hypervisors.libvirtxml.network_host_files import reaches_into_host
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Hypervisor
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.networks.network_checks import checked_spec, why_no_device, why_taken
from hypervisors.operations.networks.network_steps import AutostartNetwork, DefineNetwork, StartNetwork, defined_uuid
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class CreateNetworkParameters:
    """`spec` as JSON, or `xml` that somebody wrote."""

    name: str
    spec: dict[str, Any] = field(default_factory=dict)
    xml: str = ""
    start: bool = True
    autostart: bool = True

    def definition(self) -> str:
        """Raises: ValueError."""
        return self.xml or build_network(NetworkSpec.from_json(self.spec))


class CreateNetwork(OperationType[Hypervisor]):
    kind = "create_network"
    subject_type = "hypervisor"
    label = gettext_lazy("Create network")
    icon = "network"
    privilege = Privilege.NETWORK_MANAGE
    in_bulk = True
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = CreateNetworkParameters

    def why_not(self, hypervisor: Hypervisor) -> str:
        return why_unreachable(hypervisor)

    def locks(self, hypervisor: Hypervisor, parameters: CreateNetworkParameters) -> tuple[str, ...]:
        return (f"name:network:{hypervisor.pk}/{parameters.name}",)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateNetworkParameters:
        spec = checked_spec(given)
        is_xml = bool(given.get("xml"))
        # Who writes XML may define what the host has only later.
        reason = why_taken(hypervisor, spec) or ("" if is_xml else why_no_device(hypervisor, spec))
        if reason:
            raise NotPossible(reason)
        return CreateNetworkParameters(
            name=spec.name,
            spec={} if is_xml else spec.to_json(),
            xml=str(given.get("xml") or ""),
            start=bool(given.get("start", True)),
            autostart=bool(given.get("autostart", True)),
        )

    def also_needs(
        self, hypervisor: Hypervisor, parameters: CreateNetworkParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """Options of dnsmasq are programs that its root runs: who gives them manages the host."""
        reaches = bool(parameters.xml) and reaches_into_host(parameters.xml)
        return ((Privilege.HYPERVISOR_MANAGE, hypervisor),) if reaches else ()

    def subject_name(self, hypervisor: Hypervisor, parameters: CreateNetworkParameters) -> str:
        return parameters.name

    def run(self, run: Run) -> Result:
        wanted: CreateNetworkParameters = run.parameters
        steps: list[Step] = [DefineNetwork(wanted.definition())]
        if wanted.start:
            steps.append(StartNetwork(defined_uuid))
        if wanted.autostart:
            steps.append(AutostartNetwork(defined_uuid))
        done = _("It is created and started.") if wanted.start else _("It is created.")
        result = run_steps(run, steps, done=done)
        request_network_refresh(run.source.pk)
        return result
