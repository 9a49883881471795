"""The doors' first question: has this person any business here? Services and querysets ask again, about the object.

A page that nobody of one's roles leads to answers 404, so that nobody learns what there is. What services refuse
becomes 404 or, for what one may see, 403 with the reason.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.defaults import page_not_found

from hypervisors.access import audit, can_somewhere
from hypervisors.access.client_addresses import address_of
from hypervisors.access.origin import request_from
from hypervisors.errors import NotPermitted
from hypervisors.privileges import Privilege
from hypervisors.web.answers import refused

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)
View = Callable[Concatenate[HttpRequest, P], R]


def needs(privilege: Privilege) -> Callable[[View[P, R]], View[P, R]]:
    """A view for those who have the privilege on anything. Raises: Http404 for everybody else."""

    def decorate(view: View[P, R]) -> View[P, R]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> R:
            if not can_somewhere(request.user, privilege):
                raise Http404
            return view(request, *args, **kwargs)

        return cast("View[P, R]", guarded)

    return decorate


def person(request: HttpRequest) -> User:
    """Who asks. Raises: errors.NotPermitted for strangers, whom LoginRequiredMiddleware turns away before."""
    if not isinstance(request.user, User):
        raise NotPermitted(_("Sign in first."), is_visible=False)
    return request.user


class AccessMiddleware:
    """Says where a request comes from, for the audit, and answers for what services refuse."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with request_from(address_of(request)):
            response = self.get_response(request)
            audit.store_waiting()
            return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, NotPermitted):
            return None
        if not error.is_visible:
            return page_not_found(request, Http404(str(error)))
        if "HX-Request" in request.headers:
            return refused(request, str(error), status=403)
        return render(request, "403.html", {"reason": str(error)}, status=403)


def rights_for_templates(request: HttpRequest) -> dict[str, Any]:
    """`may.hypervisor_view` in templates: whether the person has that privilege on anything. A context processor."""
    return {"may": _May(request)}


class _May:
    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def __getitem__(self, name: str) -> bool:
        """Raises: KeyError for what is no privilege."""
        try:
            privilege = Privilege(name.replace("_", ".", 1))
        except ValueError as error:
            raise KeyError(name) from error
        user = getattr(self._request, "user", None)
        return user is not None and can_somewhere(user, privilege)
