"""`require_POST` that can be asked about: nobody is sent back, after signing in, to an address that is no page."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.http import HttpResponseBase
from django.urls import Resolver404, resolve
from django.views.decorators import http

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def require_POST(view: View) -> View:
    """Like Django's, and marked."""
    guarded: Any = http.require_POST(view)
    # Decorators around it carry the mark on.
    guarded.takes_posts_only = True
    return guarded  # type: ignore[no-any-return]


def is_page(url: str) -> bool:
    """Whether a browser may be sent to this URL of ours."""
    try:
        view = resolve(urlsplit(url).path).func
    except (Resolver404, ValueError):
        return False
    return not getattr(view, "takes_posts_only", False)
