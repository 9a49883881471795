"""Throw away what waits for the next start: what is stored becomes what runs.

What is thrown away is what somebody was shown: where the stored definition is another by then, nothing is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.domains.hardware import Hardware
from hypervisors.libvirtxml.hardware.differences import pending_differences
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import ACTIVE, transient
from hypervisors.operations.domains.hardware.checks import checked_base, definition_of
from hypervisors.operations.domains.hardware.guards import needs_to_become
from hypervisors.operations.domains.hardware.kinds import HardwareChange
from hypervisors.operations.domains.hardware.looking import Look, hardware_of
from hypervisors.operations.domains.hardware.reverting import reverted
from hypervisors.operations.domains.hardware.storing import Store
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.steps import run_steps
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState


@dataclass(frozen=True, kw_only=True)
class RevertPendingParameters:
    """`base_sha256`: of the stored XML (DomainDefinition.inactive_sha256) whose changes are thrown away."""

    base_sha256: str


class RevertPending(HardwareChange):
    kind = "revert_pending"
    label = gettext_lazy("Throw pending changes away")
    icon = "arrow-back-up"
    question = gettext_lazy("Throw away what waits for the next start of “%s”?")
    warning = gettext_lazy("It will start as it runs now; the changes that were made for its next start are lost.")
    obstacles = (ACTIVE, transient, *HardwareChange.obstacles)
    Parameters: ClassVar[type[Any]] = RevertPendingParameters

    def check(self, domain: Domain, given: Mapping[str, Any]) -> RevertPendingParameters:
        base = checked_base(given, definition_of(domain))
        if not base:
            raise NotPossible(_("Say which changes are meant: those of which stored definition."))
        return RevertPendingParameters(base_sha256=base)

    def also_needs(
        self, domain: Domain, parameters: RevertPendingParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """A network filter that waits for the next start is not thrown away by who could not take it away."""
        known = definition_of(domain)
        return needs_to_become(domain, known.inactive_xml, _reverted(known.live_xml, known.inactive_xml))

    def run(self, run: Run) -> Result:
        base = run.parameters.base_sha256
        result = run_steps(run, [Look(base, _decide), Store(_edit, base_sha256=base)], done="")
        if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
            return result
        return succeeded(" ".join([_("It starts as it runs now."), *_left(run)]))


def _decide(run: Run, hardware: Hardware) -> Mapping[str, Any]:
    if not (hardware.live_xml and hardware.inactive_xml):
        raise NotPossible(_("It does not run any more: what waited for its start is what it is made of now."))
    if not pending_differences(hardware.live_xml, hardware.inactive_xml):
        raise NotPossible(_("Nothing waits for its next start."))
    return {"live": False, "config": True, "is_active": True}


def _edit(run: Run, xml: str) -> str:
    return reverted(hardware_of(run).live_xml, xml)


def _reverted(live_xml: str, inactive_xml: str) -> str:
    """Raises: errors.NotPossible where rows do not tell."""
    try:
        return reverted(live_xml, inactive_xml)
    except ValueError as error:
        raise NotPossible(_("What it is made of is not known yet.")) from error


def _left(run: Run) -> list[str]:
    """What could not be made as it runs, for people."""
    hardware = hardware_of(run)
    if not (hardware.live_xml and hardware.inactive_xml):
        return []
    left = pending_differences(hardware.live_xml, hardware.inactive_xml)
    if not left:
        return []
    names = dict.fromkeys(one.device_id or one.part for one in left)
    return [_("What could not be thrown away: %(what)s.") % {"what": ", ".join(names)}]
