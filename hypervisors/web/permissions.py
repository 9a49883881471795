"""Who may come through a door: some pages are for operators, some for superusers; to others they do not exist."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.http import Http404, HttpRequest, HttpResponseBase

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)
View = Callable[Concatenate[HttpRequest, P], R]


def is_operator(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Operators (staff) manage all hypervisors and virtual machines."""
    return isinstance(user, User) and user.is_active and (user.is_staff or user.is_superuser)


def operators_only(view: View[P, R]) -> View[P, R]:
    """Raises: Http404 for everybody else, who shall not learn what there is."""
    return _only(is_operator, view)


def superusers_only(view: View[P, R]) -> View[P, R]:
    """Raises: Http404 for everybody else."""
    return _only(lambda user: isinstance(user, User) and user.is_active and user.is_superuser, view)


def _only(allowed: Callable[[AbstractBaseUser | AnonymousUser], bool], view: View[P, R]) -> View[P, R]:
    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> R:
        if not allowed(request.user):
            raise Http404
        return view(request, *args, **kwargs)

    return cast("View[P, R]", guarded)


def person(request: HttpRequest) -> User:
    """Who asks; LoginRequiredMiddleware has turned all others away."""
    assert isinstance(request.user, User)
    return request.user
