"""The steps between a machine and a template: the definition, and our row of it."""

from collections.abc import Callable

from django.db import IntegrityError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.domains.actions import set_autostart
from hypervisors.gateway.domains.editing import edit_definition
from hypervisors.gateway.domains.reading import read_domain
from hypervisors.libvirtxml.domain_templates import freeze_domain, thaw_domain
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.libvirtxml.template_marker import TemplateMarker
from hypervisors.models import Domain, DomainTemplate, StoragePool
from hypervisors.operations.domains.domain_operations import IS_OFF
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step


class Freeze(Step):
    """Mark it, make its disks read-only, and have its host not start it."""

    name = "freeze"
    label = gettext_lazy("Freeze its disks")

    def __init__(self, marker: TemplateMarker) -> None:
        self._marker = marker

    def do(self, run: Run, intent: Made) -> Made:
        facts = run.ask(lambda connection: read_domain(connection, run.uuid))
        if facts is None or facts.state not in IS_OFF or facts.has_managed_save:
            raise NotPossible(_("It is not off any more."))
        run.ask(lambda connection: set_autostart(connection, run.uuid, enabled=False))
        edit(run, lambda xml: freeze_domain(xml, self._marker))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return is_frozen(run)

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        edit(run, thaw_domain)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It is still marked as a template.")


class Thaw(Step):
    """Take the mark away, and let its disks be written to."""

    name = "thaw"
    label = gettext_lazy("Let its disks change again")

    def do(self, run: Run, intent: Made) -> Made:
        edit(run, thaw_domain)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return not is_frozen(run)


class Register(Step):
    """Our row of it, by which it is found, versioned and described."""

    name = "register"
    label = gettext_lazy("List it as a template")

    def do(self, run: Run, intent: Made) -> Made:
        domain, parameters = run.operation.domain, run.parameters
        if domain is None or domain.hypervisor is None:
            raise NotPossible(_("The machine is gone."))
        try:
            DomainTemplate.objects.update_or_create(
                domain=domain,
                defaults={
                    "hypervisor_pool": domain.hypervisor.hypervisor_pool,
                    "name": parameters.name,
                    "version": parameters.version,
                    "description": parameters.description,
                    "storage_pool": StoragePool.objects.filter(pk=parameters.storage_pool_id).first(),
                    "defaults": parameters.defaults,
                    "created_by": run.operation.requested_by,
                },
            )
        except IntegrityError as error:
            raise NotPossible(_("There is such a version already.")) from error
        # Nobody may start it before the watcher has read its XML.
        Domain.objects.filter(pk=domain.pk).update(is_template=True)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        forget(run)


class Forget(Step):
    """It is listed no more."""

    name = "forget"
    label = gettext_lazy("Take it from the list of templates")

    def do(self, run: Run, intent: Made) -> Made:
        forget(run)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


def forget(run: Run) -> None:
    domain = run.operation.domain
    if domain is not None:
        DomainTemplate.objects.filter(domain=domain).delete()
        Domain.objects.filter(pk=domain.pk).update(is_template=False)


def is_frozen(run: Run) -> bool:
    facts = run.ask(lambda connection: read_domain(connection, run.uuid))
    if facts is None:
        raise NotPossible(_("%(host)s does not have it any more.") % {"host": run.source.name})
    return bool(parse_domain(facts.inactive_xml).template)


def edit(run: Run, change: Callable[[str], str]) -> None:
    try:
        run.ask(lambda connection: edit_definition(connection, run.uuid, change))
    except ValueError as error:
        raise NotPossible(str(error)) from error
