"""What is said and refused while the database cannot be written: a banner on every page, a 503 for every change."""

import sys
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error as plain_server_error

from hypervisors.models.troubles import Trouble, current_trouble, note_failure
from hypervisors.web.answers import refused

# So long a page waits until it looks again.
_AGAIN_SECONDS = 10
_READING = ("GET", "HEAD", "OPTIONS", "TRACE")


class TroubleMiddleware:
    """Refuses changes while it is known that none can be written: half of one would be worse."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method not in _READING and (trouble := current_trouble()) is not None:
            return unavailable(request, trouble)
        return self.get_response(request)


def trouble_for_templates(request: HttpRequest) -> dict[str, Any]:
    """`trouble` in templates: None, or what is wrong with the database. A context processor."""
    return {"trouble": current_trouble()}


@login_not_required
def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: what the database refuses has a reason; everything else is in the log."""
    error = sys.exc_info()[1]
    trouble = None if error is None else note_failure(error)
    if trouble is not None:
        return unavailable(request, trouble)
    return plain_server_error(request)


def unavailable(request: HttpRequest, trouble: Trouble) -> HttpResponse:
    """503 with the reason."""
    if "HX-Request" in request.headers:
        response = refused(request, trouble.text, status=503)
    else:
        # It needs nothing of the request, and nothing of the database. What was only looked at comes by itself, later.
        context = {"reason": trouble.text, "again_seconds": _AGAIN_SECONDS if request.method == "GET" else 0}
        response = HttpResponse(render_to_string("503.html", context), status=503)
    response.headers["Retry-After"] = str(_AGAIN_SECONDS)
    response.headers["Cache-Control"] = "no-store"
    return response
