"""The page on which the definition of a network or a storage pool is changed by its fields, guarded by what was seen.

“XML” leads on to the editor of all of it, with what the fields say by then.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.operations.definitions.editing import changed_text
from hypervisors.operations.engine.requests import request_operation, why_not
from hypervisors.web.answers import done
from hypervisors.web.boosting import wants_part
from hypervisors.web.definitions.creation import form_page
from hypervisors.web.definitions.forms import DefinitionForm
from hypervisors.web.definitions.nouns import Noun
from hypervisors.web.definitions.xml import editor_page
from hypervisors.web.permissions import needs, person


def editing_route(noun: Noun) -> URLPattern:
    return path(f"{noun.prefix}<row:pk>/edit/", _view(noun), name=f"{noun.name}_edit")


def _view(noun: Noun) -> Callable[..., HttpResponse]:
    @require_http_methods(["GET", "HEAD", "POST"])
    @needs(noun.view)
    def edit(request: HttpRequest, pk: int) -> HttpResponse:
        """POST with `to` shows the form anew, or the same as XML; without, it asks for the change."""
        row = noun.row_of(request, pk)
        require(person(request), noun.manage, row, what=noun.kind("edit"))
        seen = _definition(noun, row)
        if seen is None or getattr(seen, noun.form.kind_field) not in noun.form.kinds:
            return editor_page(request, noun, row)
        if request.method != "POST":
            form = noun.form(fixed=seen, initial=noun.form.initial_of(seen))
            return _page(request, noun, row, form, digest=noun.xml.digest(row.definition_xml))
        return _posted(request, noun, row, noun.form(request.POST, fixed=seen))

    return edit


def _posted(request: HttpRequest, noun: Noun, row: Any, form: DefinitionForm[Any]) -> HttpResponse:
    spec, to, digest, reason = form.read(), request.POST.get("to"), request.POST.get("digest", ""), ""
    wanted = None if form.has_new_problems() else spec
    if to == "xml" and wanted is not None:
        if digest == noun.xml.digest(row.definition_xml):
            return editor_page(request, noun, row, text=_edited(noun, row.definition_xml, wanted))
        reason = changed_text()
    if to is not None:
        form.mute_what_is_missing()
        return _page(request, noun, row, form, digest=digest, reason=reason)
    if wanted is not None:
        given = {"digest": digest, "spec": wanted.to_json()}
        try:
            request_operation(user=person(request), kind=noun.kind("edit"), subject=row, parameters=given)
        except (Conflict, NotPossible) as error:
            reason = str(error)
        else:
            return _done(request, row)
    return _page(request, noun, row, form, digest=digest, reason=reason, status=422)


def _edited(noun: Noun, seen: str, wanted: Any) -> str:
    """The XML that is to be, where nothing changed with the lines of what was seen: libvirt's quotes are others."""
    text = noun.xml.edit(seen, wanted)
    if noun.xml.digest(text) == noun.xml.digest(seen):
        return seen
    lines = {line.replace("'", '"'): line for line in seen.splitlines()}
    kept = "\n".join(lines.get(line.replace("'", '"'), line) for line in text.splitlines())
    return kept if noun.xml.digest(kept) == noun.xml.digest(text) else text


def _done(request: HttpRequest, row: Any) -> HttpResponse:
    response = done(request, _("“%(name)s” is being changed.") % {"name": row.name}, back=row.get_absolute_url())
    if wants_part(request):
        return HttpResponse(headers={"HX-Redirect": row.get_absolute_url()})
    return response


def _definition(noun: Noun, row: Any) -> Any:
    """None for what cannot be read."""
    try:
        return noun.xml.read(row.definition_xml)
    except ValueError:
        return None


def _page(
    request: HttpRequest, noun: Noun, row: Any, form: DefinitionForm[Any], *, digest: str, **more: Any
) -> HttpResponse:
    context = {
        "noun": noun,
        "row": row,
        "form": form,
        "digest": digest,
        "reason": more.get("reason") or why_not(row, noun.kind("edit")),
        "action_url": noun.url("edit", row),
        "xml_url": noun.url("xml", row),
        "back_url": row.get_absolute_url(),
        **noun.extra_context([row.hypervisor]),
    }
    return form_page(request, context, status=more.get("status", 200))
