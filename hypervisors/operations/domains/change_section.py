"""Change what is set on the machine itself: its processors, memory, boot order …, now or from the next start on."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.hardware.checks import definition_of, host_of, stored_xml
from hypervisors.operations.domains.hardware.host_reach import section_names_of_the_host
from hypervisors.operations.domains.hardware.kinds import HardwareChange
from hypervisors.operations.domains.hardware.looking import Look
from hypervisors.operations.domains.hardware.outcomes import Words, with_words
from hypervisors.operations.domains.hardware.parameters import ChangeSectionParameters
from hypervisors.operations.domains.hardware.sections import ApplySection, ChangedSection, checked_section
from hypervisors.operations.domains.hardware.storing import Store, lost_by
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.privileges import Privilege

_WORDS = Words(
    both=gettext_lazy("It is changed, now and after every start."),
    live=gettext_lazy("It is changed for as long as the machine runs."),
    next_start=gettext_lazy("It is changed from the next start on."),
    off=gettext_lazy("It is changed."),
)


class ChangeSection(HardwareChange):
    kind = "change_section"
    label = gettext_lazy("Change settings")
    icon = "settings"
    Parameters: ClassVar[type[Any]] = ChangeSectionParameters

    def check(self, domain: Domain, given: Mapping[str, Any]) -> ChangeSectionParameters:
        return checked_section(domain, given)

    def also_needs(
        self, domain: Domain, parameters: ChangeSectionParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        changes = ChangedSection(parameters).changes(stored_xml(definition_of(domain)))
        if section_names_of_the_host(parameters.section, changes):
            return [(Privilege.HYPERVISOR_MANAGE, host_of(domain))]
        return []

    def title(self, operation: Operation) -> str:
        section = operation.parameters.get("section")
        return _("Change settings: %(section)s") % {"section": section} if section else str(self.label)

    def run(self, run: Run) -> Result:
        parameters: ChangeSectionParameters = run.parameters
        section = ChangedSection(parameters)
        steps = [Look(parameters.base_sha256, section.decide), ApplySection(section), Store(section.edit)]
        return with_words(run, run_steps(run, steps, done=""), _WORDS, lost=lost_by(run))
