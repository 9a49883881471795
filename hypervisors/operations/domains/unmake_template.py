"""Turn a template back into a machine, while no linked clone needs its disks as they are."""

from django.utils.translation import gettext_lazy

from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import DomainOperation
from hypervisors.operations.domains.linked_clones import clones_under_way, linked_clones_live
from hypervisors.operations.domains.templating.steps import Forget, Thaw
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.privileges import Privilege


def no_template(domain: Domain) -> str:
    return "" if domain.is_template else str(gettext_lazy("It is no template."))


class UnmakeTemplate(DomainOperation):
    kind = "unmake_template"
    label = gettext_lazy("Turn back into a machine")
    icon = "template-off"
    position = 56
    privilege = Privilege.DOMAIN_CREATE
    is_for_templates = True
    question = gettext_lazy("Turn “%s” back into a machine?")
    warning = gettext_lazy("It can be started then, and nothing new can be linked to its disks.")
    obstacles = (no_template, linked_clones_live, clones_under_way)

    def is_offered(self, domain: Domain) -> bool:
        return domain.is_template

    def run(self, run: Run) -> Result:
        return run_steps(run, [Thaw(), Forget()], done=str(gettext_lazy("It is a machine again.")))
