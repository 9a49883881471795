"""Change a network's definition, guarded by the digest of what the person saw, without unplugging anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import Conflict, HypervisorError, NotPossible
from hypervisors.gateway.networks.networks import read_network
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_builder import edit_network
from hypervisors.libvirtxml.network_host_files import reaches_into_host
from hypervisors.libvirtxml.network_reader import definition_digest, read_network_spec
from hypervisors.libvirtxml.network_spec_checks import spec_problems
from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Network
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.networks.network_checks import why_no_device, why_taken
from hypervisors.operations.networks.network_definitions import change_network, outcome_text
from hypervisors.operations.networks.network_operations import (
    CALL_SECONDS,
    NetworkOperation,
    find_subject,
    gone_text,
)
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class EditNetworkParameters:
    """The digest of the definition that was seen, and the whole XML that is to be."""

    digest: str
    xml: str


class EditNetwork(NetworkOperation):
    kind = "edit_network"
    label = gettext_lazy("Edit network")
    icon = "edit"
    Parameters: ClassVar[type[Any]] = EditNetworkParameters

    def why_not_in_this_state(self, network: Network) -> str:
        if not network.persistent:
            return _("It was started without being defined: there is no definition to change.")
        return "" if network.definition_xml else _("Its definition has not been read yet.")

    def check(self, network: Network, given: Mapping[str, Any]) -> EditNetworkParameters:
        """`digest`, and `xml` or `spec`, which changes what it says of the XML that was seen."""
        digest, seen = str(given.get("digest", "")), network.definition_xml
        if definition_digest(seen) != digest:
            raise NotPossible(changed_text())
        try:
            xml = str(given["xml"]) if given.get("xml") else _edited(seen, NetworkSpec.from_json(given["spec"]))
            check_identity(xml, seen)
            if definition_digest(xml) == digest:
                raise NotPossible(_("Nothing is changed."))
            self._check_place(network, xml, seen)
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return EditNetworkParameters(digest=digest, xml=xml)

    def also_needs(
        self, network: Network, parameters: EditNetworkParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """Options of dnsmasq are programs that its root runs: who gives new ones manages the host."""
        reaches = reaches_into_host(parameters.xml, before=network.definition_xml)
        return ((Privilege.HYPERVISOR_MANAGE, network.hypervisor),) if reaches else ()

    def _check_place(self, network: Network, xml: str, seen: str) -> None:
        """Raises: errors.NotPossible, ValueError."""
        new, old = read_network_spec(xml), read_network_spec(seen)
        reason = why_taken(network.hypervisor, new, but=network)
        if not reason and (new.devices, new.bridge) != (old.devices, old.bridge):
            reason = why_no_device(network.hypervisor, new)
        if reason:
            raise NotPossible(reason)

    def run(self, run: Run) -> Result:
        network = find_subject(run)
        if network is None:
            return failed(gone_text())
        uuid, wanted = network.uuid, run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: change_network(connection, uuid, _guarded(wanted)), seconds=CALL_SECONDS)
        except HypervisorError as error:
            problem = error
        except Conflict as error:
            return failed(str(error))
        finally:
            request_network_refresh(network.hypervisor_id)
        facts = run.ask(lambda connection: read_network(connection, uuid))
        is_so = facts is not None and says(facts.definition_xml, wanted.xml)
        return run.judge(lambda _connection: is_so, done=outcome_text(facts), problem=problem)


def changed_text() -> str:
    return _("Somebody changed its definition meanwhile: look at it as it is now, and change that.")


def check_identity(xml: str, seen: str) -> None:
    """Raises: errors.NotPossible, ValueError."""
    new, old = read_network_spec(xml), read_network_spec(seen)
    if (new.name, new.uuid) != (old.name, old.uuid):
        raise NotPossible(_("Its name and its UUID stay: to have others, create another network."))


def says(now: str, xml: str) -> bool:
    """Whether all that is known of both is the same: libvirt adds what goes without saying."""
    try:
        said, wanted = read_network_spec(now), read_network_spec(xml)
    except ValueError:
        return False
    return all(getattr(said, name) == value or not value for name, value in vars(wanted).items())


def _edited(xml: str, spec: NetworkSpec) -> str:
    """Raises: errors.NotPossible, ValueError."""
    before = read_network_spec(xml)
    # What was so before is nobody's mistake now.
    wrong = [text for text in spec_problems(spec).values() if text not in spec_problems(before).values()]
    if wrong:
        raise NotPossible(wrong[0])
    return edit_network(xml, spec)


def _guarded(wanted: EditNetworkParameters) -> Any:
    def change(now: str) -> str:
        if definition_digest(now) == wanted.digest:
            return wanted.xml
        if not says(now, wanted.xml):
            raise Conflict(changed_text())
        # A worker before this one defined it.
        return now

    return change
