"""The page of a new network or storage pool: on one host, or on every host of a pool; checked while it is filled in."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hypervisors.access import require_somewhere
from hypervisors.errors import Conflict, NotPossible
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.requests import BulkRequest, request_of_many
from hypervisors.web.boosting import wants_part
from hypervisors.web.definitions.forms import DefinitionForm
from hypervisors.web.definitions.nouns import Noun
from hypervisors.web.definitions.places import Places
from hypervisors.web.naming import visible
from hypervisors.web.permissions import needs, person


def creation_route(noun: Noun, where: str) -> URLPattern:
    return path(where, _view(noun), name=f"{noun.name}_create")


def _view(noun: Noun) -> Callable[..., HttpResponse]:
    @require_http_methods(["GET", "HEAD", "POST"])
    @needs(noun.view)
    def create(request: HttpRequest) -> HttpResponse:
        """POST with `to` shows the form anew (checked, or as XML, or as fields); without, it asks for it."""
        require_somewhere(person(request), noun.manage, what=noun.kind("create"))
        places = Places(request, noun.manage)
        if request.method != "POST":
            return _page(request, noun, noun.form(initial=dict(noun.initial_of_new(request, places))), places)
        form, spec = _posted(request, noun)
        if "to" in request.POST:
            form.mute_what_is_missing()
            return _page(request, noun, form, places, spec)
        reason = ""
        if spec is not None and not form.problems:
            try:
                return _ask(request, noun, places, form)
            except (Conflict, NotPossible) as error:
                reason = str(error)
        return _page(request, noun, form, places, spec, reason=reason, status=422)

    return create


def _posted(request: HttpRequest, noun: Noun) -> tuple[DefinitionForm[Any], Any]:
    """The form as it is shown next, and the spec that it says."""
    form, to = noun.form(request.POST), request.POST.get("to", "")
    spec = form.read()
    if to == "xml" and not form.is_xml:
        form = form.turned_to_xml()
    elif to == "form" and form.is_xml:
        try:
            form = form.turned_to_fields()
        except ValueError as error:
            form.problems["xml"] = str(error)
            return form, spec
    else:
        return form, spec
    return form, form.read()


def _page(
    request: HttpRequest,
    noun: Noun,
    form: DefinitionForm[Any],
    places: Places,
    spec: Any = None,
    *,
    reason: str = "",
    status: int = 200,
) -> HttpResponse:
    hosts = [
        {
            "hypervisor": host,
            "reason": why_unreachable(host) or ("" if spec is None else noun.why_not_there(host, form, spec)),
        }
        for host in places.chosen
    ]
    context = {
        "noun": noun,
        "form": form,
        "places": places,
        "hosts": hosts,
        "possible_count": sum(not host["reason"] for host in hosts),
        "reason": reason,
        "action_url": noun.create_url,
        "back_url": noun.list_of(places.chosen),
        **noun.extra_context(places.chosen),
    }
    return form_page(request, context, status=status)


def form_page(request: HttpRequest, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    template = "definitions/form.html"
    if wants_part(request):
        # htmx swaps nothing in that is not 200.
        return render(request, f"{template}#form", context)
    return render(request, template, context, status=status)


def _ask(request: HttpRequest, noun: Noun, places: Places, form: DefinitionForm[Any]) -> HttpResponse:
    """Raises: errors.NotPossible when no host can do it."""
    asked = request_of_many(
        user=person(request), kind=noun.kind("create"), subjects=places.chosen, parameters=form.parameters()
    )
    if not asked.accepted:
        raise NotPossible(" ".join(reason for _subject, reason in asked.refusals))
    messages.success(request, visible(_said(noun, asked)))
    response = redirect(noun.list_of(places.chosen))
    if wants_part(request):
        return HttpResponse(headers={"HX-Redirect": response.url})
    return response


def _said(noun: Noun, asked: BulkRequest) -> str:
    count = len(asked.accepted)
    text = noun.being_created % {"name": asked.accepted[0].subject_name, "count": count}
    refusals = " ".join(f"{subject}: {reason}" for subject, reason in asked.refusals)
    return f"{text} {_('Not on others.')} {refusals}" if refusals else text
