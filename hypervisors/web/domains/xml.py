"""A machine's XML: the tab with the editor, and its versions."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.models import Domain, DomainDefinition
from hypervisors.models.xml_versions import digest
from hypervisors.operations.engine.requests import why_not
from hypervisors.privileges import Privilege
from hypervisors.web.domains.pages import page_of, visible_domain
from hypervisors.web.xml.pages import xml_routes
from hypervisors.web.xml.subjects import Render, XmlSubject

_KIND = "define_xml"


def _subject_of(request: HttpRequest, uuid: UUID) -> tuple[XmlSubject, Render]:
    machine = visible_domain(request, uuid)
    definition = DomainDefinition.objects.filter(domain=machine).first() or DomainDefinition(domain=machine)
    xml = definition.inactive_xml or definition.live_xml
    may_edit = _may_edit(request, machine)
    subject = XmlSubject(
        row=machine,
        name=machine.name,
        root="domain",
        xml=xml,
        live_xml=definition.live_xml if definition.inactive_xml else "",
        kind=_KIND,
        may_edit=may_edit,
        why_not=_why_not(machine) if may_edit else "",
        given=lambda text, by_schema: {"xml": text, "base_sha256": digest(xml), "by_schema": by_schema},
        edit_url=reverse("domain_xml", args=[machine.uuid]),
        follow=f"domain:{machine.uuid}",
        started_note=_("It runs: what you change counts from its next start on.") if machine.is_active else "",
        has_schema_choice=True,
    )

    def render_page(name: str, context: Mapping[str, Any]) -> HttpResponse:
        tab = {"xml": "xml", "versions": "xml_versions"}[name]
        return page_of(request, machine, tab, **context)

    return subject, render_page


def _may_edit(request: HttpRequest, machine: Domain) -> bool:
    may_manage = machine.hypervisor is not None and can(request.user, Privilege.HYPERVISOR_MANAGE, machine.hypervisor)
    return may_manage and can(request.user, Privilege.DOMAIN_CONFIGURE, machine)


def _why_not(machine: Domain) -> str:
    if machine.vanished_at is not None:
        return _("No host has it any more.")
    return why_not(machine, _KIND)


urlpatterns = xml_routes("vms/<uuid:uuid>/xml/", "domain", _subject_of)
