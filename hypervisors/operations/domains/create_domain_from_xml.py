"""Define a machine from XML that somebody has: only for who may manage its host, as it can name anything of that.

What libvirt left out of it (it passes over what it does not know) is told afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotFound, NotPossible
from hypervisors.gateway.domains.typed_definitions import read_with_passwords
from hypervisors.libvirtxml.pasted_domains import read_pasted_domain, with_uuid
from hypervisors.models import Domain, Hypervisor
from hypervisors.operations.definitions.losses import losses_text
from hypervisors.operations.domains.creation.define_steps import DefineDomain, StartDomain
from hypervisors.operations.domains.creation.names import is_name_taken, machine_with_mac
from hypervisors.operations.domains.named_storage import named_volumes, storage_problem
from hypervisors.operations.domains.names import name_problem
from hypervisors.operations.engine.queues import OPERATIONS_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Outcome, Result, Run
from hypervisors.operations.engine.steps import Step, run_steps
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState


@dataclass(frozen=True, kw_only=True)
class CreateFromXmlParameters:
    """`xml` is written anew from what was pasted, with the UUID in it."""

    name: str
    uuid: str
    xml: str = ""
    start: bool = False


class CreateDomainFromXml(OperationType[Hypervisor]):
    kind = "create_domain_from_xml"
    subject_type = "hypervisor"
    label = gettext_lazy("Create virtual machine from XML")
    icon = "file-code"
    # XML reaches every file and device of the host.
    privilege = Privilege.HYPERVISOR_MANAGE
    queue = OPERATIONS_QUEUE
    can_be_cancelled = True
    makes_machine = True
    Parameters: ClassVar[type[Any]] = CreateFromXmlParameters
    # It may hold the passwords of screens and storage.
    secret_parameters = frozenset({"xml"})

    def why_not(self, hypervisor: Hypervisor) -> str:
        if hypervisor.in_maintenance:
            return _("%(host)s is in maintenance: nothing new goes there.") % {"host": hypervisor.name}
        return why_unreachable(hypervisor)

    def check(self, hypervisor: Hypervisor, given: Mapping[str, Any]) -> CreateFromXmlParameters:
        xml, pool = str(given.get("xml") or ""), hypervisor.hypervisor_pool
        try:
            pasted = read_pasted_domain(xml)
            uuid = pasted.uuid or uuid4()
            problem = name_problem(pasted.name)
            written = with_uuid(xml, uuid)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        if problem:
            raise NotPossible(problem)
        if is_name_taken(pasted.name, pool):
            raise NotPossible(_("The name “%(name)s” is taken; names are unique in a pool.") % {"name": pasted.name})
        if Domain.objects.filter(uuid=uuid, vanished_at=None).exists():
            raise NotPossible(_("There is a virtual machine of this UUID already."))
        if any(machine_with_mac(mac, pool) for mac in pasted.macs):
            raise NotPossible(_("A MAC address of it is in use in the pool."))
        problem = storage_problem(named_volumes(hypervisor, written))
        if problem:
            raise NotPossible(problem)
        return CreateFromXmlParameters(name=pasted.name, uuid=str(uuid), xml=written, start=bool(given.get("start")))

    def locks(self, hypervisor: Hypervisor, parameters: CreateFromXmlParameters) -> tuple[str, ...]:
        pool = hypervisor.hypervisor_pool_id
        macs = read_pasted_domain(parameters.xml).macs
        return (
            f"name:{pool}/{parameters.name}",
            f"domain:{parameters.uuid}",
            *(f"mac:{pool}/{mac}" for mac in dict.fromkeys(macs)),
            *{one.lock_key: 0 for one in named_volumes(hypervisor, parameters.xml) if one.is_written},
        )

    def subject_name(self, hypervisor: Hypervisor, parameters: CreateFromXmlParameters) -> str:
        return parameters.name

    def run(self, run: Run) -> Result:
        parameters: CreateFromXmlParameters = run.parameters
        uuid = UUID(parameters.uuid)
        steps: list[Step] = [DefineDomain(uuid, parameters.name, lambda _run: parameters.xml)]
        if parameters.start:
            steps.append(StartDomain(uuid))
        result = run_steps(run, steps, done=_("It is defined on %(host)s.") % {"host": run.source.name})
        if isinstance(result, Outcome) and result.state == OperationState.SUCCEEDED:
            return Outcome(state=result.state, text=f"{result.text} {_told(run, uuid, parameters.xml)}".strip())
        return result


def _told(run: Run, uuid: UUID, xml: str) -> str:
    """What libvirt has left out, for people."""
    try:
        return losses_text(xml, run.ask(lambda connection: read_with_passwords(connection, uuid)))
    except NotFound:
        return ""
