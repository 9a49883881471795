"""The pages of XML: the editor with its review, what came of applying it, and the versions; the same for all nouns.

The text stays in the page through all of it: what was typed is never lost to a refusal.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import models
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.models import Operation, XmlVersion
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.engine.subjects import subject_key, subject_type_of
from hypervisors.web.boosting import wants_part
from hypervisors.web.permissions import person
from hypervisors.web.sequences import note_sequence, noted_sequence
from hypervisors.web.xml.differences import difference
from hypervisors.web.xml.reviews import Review, review_of
from hypervisors.web.xml.subjects import SubjectOf, XmlSubject, typed_text

_PART = "xml/part.html"
_MOST_VERSIONS = 200


def xml_routes(prefix: str, name: str, subject_of: SubjectOf) -> list[URLPattern]:
    """The pages below `prefix`, which names the subject; `subject_of` finds it, or raises what refuses the person."""

    def view(function: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        def of_subject(request: HttpRequest, operation_id: UUID | None = None, **place: Any) -> HttpResponse:
            if not wants_part(request):
                note_sequence(request)
            subject, render_page = subject_of(request, **place)
            more = {"operation_id": operation_id} if operation_id is not None else {}
            return function(request, subject, render_page, **more)

        return of_subject

    edit = require_http_methods(["GET", "HEAD", "POST"])(view(_edit))
    return [
        path(prefix, edit, name=f"{name}_xml"),
        path(f"{prefix}news/", require_safe(view(_news)), name=f"{name}_xml_news"),
        path(f"{prefix}versions/", require_safe(view(_versions)), name=f"{name}_xml_versions"),
        path(f"{prefix}outcome/<uuid:operation_id>/", require_safe(view(_outcome)), name=f"{name}_xml_outcome"),
    ]


def _edit(request: HttpRequest, subject: XmlSubject, render_page: Any) -> HttpResponse:
    """POST looks the text over, or with `apply`, if it is the one that was looked over, asks for it to be defined."""
    if request.method != "POST":
        return _shown(request, subject, render_page, **_begun(request, subject))
    if not subject.may_edit:
        raise NotPermitted(
            _("You may look at this XML, but not change it: it reaches everything of its host."), is_visible=True
        )
    text, by_schema = typed_text(request), "without_schema" not in request.POST
    base = subject.base if "adopt" in request.POST else request.POST.get("base", "")
    review = review_of(subject, text, base, by_schema=by_schema)
    context: dict[str, Any] = {"text": text, "review": review, "base": review.base, "by_schema": by_schema}
    if "apply" in request.POST and review.can_apply and request.POST.get("reviewed") == review.reviewed:
        try:
            context |= {"asked": _ask(request, subject, text, by_schema=by_schema), "review": None}
        except (Conflict, NotPossible) as error:
            context["refusal"] = str(error)
    return _shown(request, subject, render_page, **context)


def begun_page(request: HttpRequest, subject: XmlSubject, render_page: Any, *, text: str | None = None) -> HttpResponse:
    """The editor, beginning with this text, which a form has said; None: with what stands."""
    if not wants_part(request):
        note_sequence(request)
    is_from_fields = text is not None and text != subject.xml
    return _shown(
        request, subject, render_page, text=subject.xml if text is None else text, is_from_fields=is_from_fields
    )


def _ask(request: HttpRequest, subject: XmlSubject, text: str, *, by_schema: bool) -> Operation:
    """Raises: errors.Conflict, errors.NotPossible, errors.NotPermitted."""
    given = subject.given(text, by_schema)
    return request_operation(user=person(request), kind=subject.kind, subject=subject.operated, parameters=given)


def _begun(request: HttpRequest, subject: XmlSubject) -> dict[str, Any]:
    """What the editor begins with: what stands, or an older version of it, as `?version=` says."""
    number = request.GET.get("version", "")
    if number.isdecimal() and subject.may_edit:
        version = get_object_or_404(XmlVersion.objects.of(subject.row), pk=_row_key(number))
        return {"text": version.xml, "version": version}
    return {"text": subject.xml, "is_live": "live" in request.GET and bool(subject.live_xml)}


def _shown(request: HttpRequest, subject: XmlSubject, render_page: Any, **given: Any) -> HttpResponse:
    context: dict[str, Any] = {"subject": subject, "base": subject.base, "by_schema": True} | given
    review: Review | None = context.get("review")
    if wants_part(request):
        part = render(request, _PART, context)
        if review is not None and not review.malformed:
            part.headers["HX-Reswap"] = "morph:outerHTML show:#xml-review:top"
        return part
    response: HttpResponse = render_page("xml", context | {"sequence": noted_sequence(request)})
    if review is not None and not review.can_apply:
        response.status_code = 422
    return response


def _news(request: HttpRequest, subject: XmlSubject, render_page: Any) -> HttpResponse:
    """Whether it is another by now than the one that somebody has before them."""
    base = request.GET.get("base", "")
    newest = XmlVersion.objects.of(subject.row).first() if base != subject.base else None
    context = {"subject": subject, "base": base, "is_old": base != subject.base, "newest": newest}
    return render(request, "xml/news.html", context)


def _outcome(request: HttpRequest, subject: XmlSubject, render_page: Any, operation_id: UUID) -> HttpResponse:
    about = {"subject_type": subject_type_of(subject.operated).name, "subject_key": subject_key(subject.operated)}
    operation = get_object_or_404(Operation.objects.visible_to(request.user), pk=operation_id, **about)
    return render(request, "xml/outcome.html", {"subject": subject, "asked": operation})


def _versions(request: HttpRequest, subject: XmlSubject, render_page: Any) -> HttpResponse:
    """All that are kept; `?from=` and `to=` compare two of them."""
    versions = list(XmlVersion.objects.of(subject.row).defer("xml_zlib")[:_MOST_VERSIONS])
    old, new = _chosen(request, subject, "from"), _chosen(request, subject, "to")
    if new is not None and old is None:
        old = XmlVersion.objects.of(subject.row).filter(pk__lt=new.pk).first()
    context: dict[str, Any] = {"subject": subject, "versions": versions, "old": old, "new": new}
    if wants_part(request):
        return render(request, "xml/versions_table.html", context)
    if new is not None:
        context["difference"] = difference("" if old is None else old.xml, new.xml)
    response: HttpResponse = render_page("versions", context | {"sequence": noted_sequence(request)})
    return response


def _chosen(request: HttpRequest, subject: XmlSubject, name: str) -> XmlVersion | None:
    number = request.GET.get(name, "")
    versions: models.QuerySet[XmlVersion] = XmlVersion.objects.of(subject.row)
    return get_object_or_404(versions, pk=_row_key(number)) if number.isdecimal() else None


def _row_key(number: str) -> int:
    """Beyond what a row's key can be, there is no such row."""
    return min(int(number[:20]), 2**63 - 1)
