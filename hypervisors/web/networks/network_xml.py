"""A network's XML: the editor and its versions."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from hypervisors.access import can
from hypervisors.libvirtxml.network_reader import definition_digest
from hypervisors.models import Network
from hypervisors.operations.engine.requests import why_not
from hypervisors.privileges import Privilege
from hypervisors.web.networks.network_actions import visible_network
from hypervisors.web.xml.pages import xml_routes
from hypervisors.web.xml.subjects import Render, XmlSubject, given_with_digest

_KIND = "edit_network"


def _page(request: HttpRequest, row: Network, name: str, context: Mapping[str, Any]) -> HttpResponse:
    back = {"row": row, "back_url": row.get_absolute_url(), "list_url": reverse("networks")}
    return render(request, "networks/xml.html", {**context, **back, "is_versions": name == "versions"})


def _subject_of(request: HttpRequest, pk: int) -> tuple[XmlSubject, Render]:
    row = visible_network(request, pk)
    may_edit = can(request.user, Privilege.NETWORK_MANAGE, row)
    subject = XmlSubject(
        row=row,
        name=row.name,
        root="network",
        xml=row.definition_xml,
        kind=_KIND,
        may_edit=may_edit,
        why_not=why_not(row, _KIND) if may_edit else "",
        given=given_with_digest(row.definition_xml, definition_digest),
        edit_url=reverse("network_xml", args=[row.pk]),
        follow=f"network:{row.pk}",
        has_next_start=row.active,
    )
    return subject, lambda name, context: _page(request, row, name, context)


urlpatterns = xml_routes("networks/<row:pk>/xml/", "network", _subject_of)
