"""Make a machine a template, or a new version of one: it never starts again, and its disks stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db import models
from django.db.models import Max
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.template_marker import TemplateMarker
from hypervisors.models import Domain, DomainTemplate
from hypervisors.models.domain_templates import checked_defaults
from hypervisors.operations.domains.deletion.plan import users_apart_from
from hypervisors.operations.domains.domain_operations import DomainOperation, saved, still_on, transient, with_snapshots
from hypervisors.operations.domains.linked_clones import own_volumes
from hypervisors.operations.domains.names import checked_text, name_problem
from hypervisors.operations.domains.templating.steps import Freeze, Register
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.operations.storage.volume_users import in_use_text
from hypervisors.privileges import Privilege

_MAX_DESCRIPTION = 4000


@dataclass(frozen=True, kw_only=True)
class MakeTemplateParameters:
    """`defaults`: as in DomainTemplate."""

    name: str
    version: int = 1
    description: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    storage_pool_id: int | None = None


class MakeTemplate(DomainOperation):
    kind = "make_template"
    label = gettext_lazy("Make it a template")
    icon = "template"
    position = 55
    privilege = Privilege.DOMAIN_CREATE
    obstacles = (still_on, transient, saved, with_snapshots)
    Parameters: ClassVar[type[Any]] = MakeTemplateParameters

    def word(self, domain: Domain) -> str:
        return _("Make it a template…")

    def is_offered(self, domain: Domain) -> bool:
        return not domain.is_template

    def check(self, domain: Domain, given: Mapping[str, Any]) -> MakeTemplateParameters:
        name = str(given.get("name") or domain.name)
        problem = name_problem(name)
        if problem:
            raise NotPossible(problem)
        volumes = own_volumes(domain)
        if not volumes:
            raise NotPossible(_("None of its disks is in a storage pool: nothing could be made of it."))
        for volume in volumes:
            reason = in_use_text(users_apart_from(domain, volume), [])
            if reason:
                raise NotPossible(
                    _("A template's disks stay as they are, and “%(disk)s” is not its alone. %(reason)s")
                    % {"disk": volume.name, "reason": reason}
                )
        description = checked_text(
            given.get("description") or "", multiline=True, max_length=_MAX_DESCRIPTION, what=_("description")
        )
        return MakeTemplateParameters(
            name=name,
            version=next_version(domain, name),
            description=description,
            defaults=checked_defaults(given),
            storage_pool_id=volumes[0].storage_pool_id,
        )

    def also_needs(
        self, domain: Domain, parameters: MakeTemplateParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        return [(Privilege.DOMAIN_CREATE, domain.hypervisor)]

    def locks(self, domain: Domain, parameters: MakeTemplateParameters) -> tuple[str, ...]:
        pool = domain.hypervisor.hypervisor_pool_id if domain.hypervisor else 0
        return (*super().locks(domain, parameters), f"template:{pool}/{parameters.name}")

    def run(self, run: Run) -> Result:
        parameters: MakeTemplateParameters = run.parameters
        marker = TemplateMarker(name=parameters.name, version=parameters.version)
        done = _("It is version %(version)d of the template “%(name)s”.")
        return run_steps(
            run,
            [Freeze(marker), Register()],
            done=done % {"version": parameters.version, "name": parameters.name},
        )


def next_version(domain: Domain, name: str) -> int:
    """1 for the first of this name in its pool; the numbers of those that are gone are not used again."""
    if domain.hypervisor is None:
        return 1
    same = DomainTemplate.objects.filter(hypervisor_pool=domain.hypervisor.hypervisor_pool_id, name=name)
    return int(same.exclude(domain=domain).aggregate(latest=Max("version"))["latest"] or 0) + 1
