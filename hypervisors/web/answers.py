"""How a change answers: to htmx with a notice or a reason in plain text, to a plain form with a message and a way back."""

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect


def done(request: HttpRequest, text: str, *, back: object, events: dict[str, object] | None = None) -> HttpResponse:
    """What was asked for is on its way. `events` are dispatched in the page, beside the notice."""
    if "HX-Request" not in request.headers:
        messages.success(request, text)
        return redirect(back)  # type: ignore[arg-type]
    notices: dict[str, object] = {"vp:toast": {"title": text}, "vp:close-dialog": {}}
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(notices | (events or {}))})


def refused(request: HttpRequest, reason: str, *, status: int) -> HttpResponse:
    """What was asked for cannot be; the reason is the whole body, which pages show as a notice."""
    return HttpResponse(reason, content_type="text/plain; charset=utf-8", status=status)
