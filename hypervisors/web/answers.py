"""How a change answers: htmx gets a notice, or a reason in plain text; a plain form gets a message and a way back."""

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from hypervisors.models import Domain, Operation
from hypervisors.web.naming import visible


def done(
    request: HttpRequest,
    text: str,
    *,
    back: Domain | str,
    events: dict[str, object] | None = None,
    operation: Operation | None = None,
) -> HttpResponse:
    """What was asked for is on its way. `events` are dispatched in the page, beside the notice.

    The notice leads to the `operation`, and says later what came of it.
    """
    text = visible(text)
    if "HX-Request" not in request.headers:
        messages.success(request, text)
        return redirect(back)
    task = str(operation.pk) if operation is not None else ""
    notices: dict[str, object] = {"vp:toast": {"title": text, "task": task}, "vp:close-dialog": {}}
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(notices | (events or {}))})


def refused(request: HttpRequest, reason: str, *, status: int) -> HttpResponse:
    """What was asked for cannot be; the reason is the whole body, which pages show as a notice."""
    return HttpResponse(visible(reason), content_type="text/plain; charset=utf-8", status=status)


def leads_on(url: str) -> HttpResponse:
    """To a part of a page that another page takes the place of, in the browser's history too: Back skips it."""
    page = {"path": url, "headers": {"HX-Boosted": "true"}, "target": "#main", "select": "#main", "swap": "outerHTML"}
    # An empty `push` is no push; without one htmx would.
    return HttpResponse(headers={"HX-Location": json.dumps(page | {"push": "", "replace": "true"})})
