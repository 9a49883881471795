"""Pages that htmx swaps in are told apart from whole ones in caches; a lost session leads to the login page, and back.

https://htmx.org/attributes/hx-boost/ and https://htmx.org/reference/#response_headers.
"""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme

from hypervisors.web.methods import is_page

_SAFE_METHODS = ("GET", "HEAD")


def wants_part(request: HttpRequest) -> bool:
    """True when htmx asks for a part of the page, and not, boosted, for another page."""
    return "HX-Request" in request.headers and "HX-Boosted" not in request.headers


class BoostingMiddleware:
    """Marks what differs for htmx. Who has to sign in comes back to a page, and htmx shows that in the whole window."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if _leads_to_login(response):
            response = _to_login(request, response)
        patch_vary_headers(response, ["HX-Request", "HX-Boosted"])
        return response


def _leads_to_login(response: HttpResponse) -> bool:
    return response.status_code == 302 and urlsplit(response.headers["Location"]).path == resolve_url(
        settings.LOGIN_URL
    )


def _to_login(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    asks_for_page = request.method in _SAFE_METHODS and not wants_part(request)
    location = response.headers["Location"] if asks_for_page else _login_url(_page_of(request))
    if "HX-Request" in request.headers:
        return HttpResponse(headers={"HX-Redirect": location})
    return response if asks_for_page else redirect(location)


def _login_url(page: str) -> str:
    query = f"?{urlencode({REDIRECT_FIELD_NAME: page}, safe='/')}" if page else ""
    return f"{resolve_url(settings.LOGIN_URL)}{query}"


def _page_of(request: HttpRequest) -> str:
    """The page that a form or a part belongs to, as the browser tells it; "" when it tells none of ours."""
    url = request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")
    hosts = {request.get_host(), *(urlsplit(origin).netloc for origin in settings.PUBLIC_ORIGINS)}
    if not url_has_allowed_host_and_scheme(url, hosts):
        return ""
    page = urlsplit(url)._replace(scheme="", netloc="", fragment="").geturl()
    return page if is_page(page) else ""
