"""Pages that htmx swaps in: told apart from whole ones in caches, and a lost session leads to the login page.

https://htmx.org/attributes/hx-boost/ and https://htmx.org/reference/#response_headers.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers


def wants_part(request: HttpRequest) -> bool:
    """True when htmx asks for a part of the page, and not, boosted, for another page."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers


class BoostingMiddleware:
    """Marks what differs for htmx; turns its redirects to the login page into a navigation of the whole window."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request", "HX-Boosted"])
        if "HX-Request" in request.headers and _leads_to_login(response):
            return HttpResponse(headers={"HX-Redirect": response.headers["Location"]})
        return response


def _leads_to_login(response: HttpResponse) -> bool:
    return response.status_code == 302 and urlsplit(response.headers["Location"]).path == resolve_url(
        settings.LOGIN_URL
    )
