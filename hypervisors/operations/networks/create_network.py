"""Create a network on a host: define it, start it."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy

from hypervisors.gateway.networks.network_actions import NETWORKS
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_builder import NETWORK_XML
from hypervisors.libvirtxml.network_host_files import reaches_into_host
from hypervisors.models import Hypervisor
from hypervisors.operations.definitions.creation import CreateDefinition, CreateParameters
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Step
from hypervisors.operations.networks.network_checks import why_no_device, why_taken
from hypervisors.operations.networks.network_steps import AutostartNetwork, DefineNetwork, StartNetwork
from hypervisors.privileges import Privilege


class CreateNetwork(CreateDefinition):
    kind = "create_network"
    noun = "network"
    label = gettext_lazy("Create network")
    icon = "network"
    privilege = Privilege.NETWORK_MANAGE
    definitions = NETWORKS
    xml = NETWORK_XML
    start_step = StartNetwork
    autostart_step = AutostartNetwork

    def why_not_there(self, hypervisor: Hypervisor, spec: Any, *, is_xml: bool) -> str:
        """Who writes XML may name interfaces that the host has only later."""
        return why_taken(hypervisor, spec) or ("" if is_xml else why_no_device(hypervisor, spec))

    def also_needs(
        self, hypervisor: Hypervisor, parameters: CreateParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """Options of dnsmasq are programs that its root runs: who gives them manages the host."""
        reaches = bool(parameters.xml) and reaches_into_host(parameters.xml)
        return ((Privilege.HYPERVISOR_MANAGE, hypervisor),) if reaches else ()

    def first_steps(self, parameters: CreateParameters) -> list[Step]:
        return [DefineNetwork(self.definition(parameters))]

    def run(self, run: Run) -> Result:
        result = super().run(run)
        request_network_refresh(run.source.pk)
        return result
