"""The XML of a network or a storage pool: the editor and its versions, beside the form of its fields."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern

from hypervisors.access import can
from hypervisors.operations.engine.requests import why_not
from hypervisors.web.definitions.nouns import Noun
from hypervisors.web.xml.pages import begun_page, xml_routes
from hypervisors.web.xml.subjects import Render, XmlSubject, given_with_digest


def definition_xml_routes(noun: Noun) -> list[URLPattern]:
    def subject_of(request: HttpRequest, pk: int) -> tuple[XmlSubject, Render]:
        return _subject(request, noun, noun.row_of(request, pk))

    return xml_routes(f"{noun.prefix}<row:pk>/xml/", noun.name, subject_of)


def editor_page(request: HttpRequest, noun: Noun, row: Any, *, text: str | None = None) -> HttpResponse:
    """The editor, which begins with this text, else with what stands."""
    subject, render_page = _subject(request, noun, row)
    response = begun_page(request, subject, render_page, text=text)
    response.headers["HX-Push-Url"] = subject.edit_url
    return response


def _subject(request: HttpRequest, noun: Noun, row: Any) -> tuple[XmlSubject, Render]:
    kind = noun.kind("edit")
    may_edit = can(request.user, noun.manage, row)
    subject = XmlSubject(
        row=row,
        name=row.name,
        root=noun.xml.root,
        xml=row.definition_xml,
        kind=kind,
        may_edit=may_edit,
        why_not=why_not(row, kind) if may_edit else "",
        given=given_with_digest(row.definition_xml, noun.xml.digest),
        edit_url=noun.url("xml", row),
        follow=f"{noun.name}:{row.pk}",
        started_note=str(noun.started_note) if row.active else "",
    )

    def page(name: str, context: Mapping[str, Any]) -> HttpResponse:
        own = {"noun": noun, "row": row, "back_url": row.get_absolute_url(), "list_url": noun.list_url}
        fields_url = noun.url("edit", row) if may_edit and _has_fields(noun, row) else ""
        is_versions = name == "versions"
        context = {**context, **own, "fields_url": fields_url, "is_versions": is_versions}
        return render(request, "definitions/xml.html", context)

    return subject, page


def _has_fields(noun: Noun, row: Any) -> bool:
    try:
        return getattr(noun.xml.read(row.definition_xml), noun.form.kind_field) in noun.form.kinds
    except ValueError:
        return False
