"""A storage pool's XML: the editor and its versions."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from hypervisors.access import can
from hypervisors.libvirtxml.storage_pool_builder import definition_digest
from hypervisors.models import StoragePool
from hypervisors.operations.engine.requests import why_not
from hypervisors.privileges import Privilege
from hypervisors.web.storage.storage_pool_actions import visible_storage_pool
from hypervisors.web.xml.pages import xml_routes
from hypervisors.web.xml.subjects import Render, XmlSubject, given_with_digest

_KIND = "edit_storage_pool"


def _page(request: HttpRequest, row: StoragePool, name: str, context: Mapping[str, Any]) -> HttpResponse:
    back = {"row": row, "back_url": row.get_absolute_url(), "list_url": reverse("storage")}
    return render(request, "storage/xml.html", {**context, **back, "is_versions": name == "versions"})


def _subject_of(request: HttpRequest, pk: int) -> tuple[XmlSubject, Render]:
    row = visible_storage_pool(request, pk)
    may_edit = can(request.user, Privilege.STORAGE_MANAGE, row)
    subject = XmlSubject(
        row=row,
        name=row.name,
        root="pool",
        xml=row.definition_xml,
        kind=_KIND,
        may_edit=may_edit,
        why_not=why_not(row, _KIND) if may_edit else "",
        given=given_with_digest(row.definition_xml, definition_digest),
        edit_url=reverse("storage_pool_xml", args=[row.pk]),
        follow=f"storage_pool:{row.pk}",
        has_next_start=row.active,
    )
    return subject, lambda name, context: _page(request, row, name, context)


urlpatterns = xml_routes("storage/<row:pk>/xml/", "storage_pool", _subject_of)
