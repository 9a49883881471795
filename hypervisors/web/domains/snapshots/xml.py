"""A snapshot's XML: the editor, and its versions."""

from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.models import Domain, DomainSnapshot
from hypervisors.models.xml_versions import digest
from hypervisors.operations.engine.requests import why_not
from hypervisors.privileges import Privilege
from hypervisors.web.domains.pages import page_of
from hypervisors.web.frames import has_inventory
from hypervisors.web.xml.pages import xml_routes
from hypervisors.web.xml.subjects import Render, XmlSubject

_KIND = "edit_snapshot"


def _subject_of(request: HttpRequest, pk: int) -> tuple[XmlSubject, Render]:
    """Raises: Http404 for strangers, and for who sees no hosts: it names their files."""
    seen = Domain.objects.visible_to(request.user)
    snapshots = DomainSnapshot.objects.filter(domain__in=seen).select_related("domain__hypervisor__hypervisor_pool")
    snapshot = get_object_or_404(snapshots, pk=pk)
    if not has_inventory(request.user):
        raise Http404
    machine, xml = snapshot.domain, snapshot.xml
    may_edit = _may_edit(request, machine)
    subject = XmlSubject(
        row=snapshot,
        acted_on=machine,
        name=snapshot.name,
        root="domainsnapshot",
        xml=xml,
        kind=_KIND,
        may_edit=may_edit,
        why_not=why_not(machine, _KIND) if may_edit else "",
        given=lambda text, by_schema: {
            "name": snapshot.name,
            "xml": text,
            "base_sha256": digest(xml),
            "by_schema": by_schema,
        },
        edit_url=reverse("snapshot_xml", args=[snapshot.pk]),
        follow=f"domain:{machine.uuid}",
        label=_("XML of the snapshot"),
        has_schema_choice=True,
    )

    def render_page(name: str, context: Mapping[str, Any]) -> HttpResponse:
        tab = {"xml": "snapshots_xml", "versions": "snapshots_xml_versions"}[name]
        return page_of(request, machine, tab, snapshot=snapshot, **context)

    return subject, render_page


def _may_edit(request: HttpRequest, machine: Domain) -> bool:
    may_manage = machine.hypervisor is not None and can(request.user, Privilege.HYPERVISOR_MANAGE, machine.hypervisor)
    return may_manage and can(request.user, Privilege.DOMAIN_SNAPSHOT, machine)


urlpatterns = xml_routes("snapshots/<row:pk>/xml/", "snapshot", _subject_of)
