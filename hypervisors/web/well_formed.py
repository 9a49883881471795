"""What no form of ours sends is refused with 400 before anything reads it.

That is NUL, which PostgreSQL cannot store or compare, and text in another encoding than UTF-8.
"""

import codecs
from collections.abc import Callable, Iterator

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

_ENCODINGS = {"utf-8", "ascii"}


class WellFormedMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # First: Django would read even the query string in the encoding that is claimed for the body.
        _check_encoding(request)
        if any("\0" in text for text in _texts(request)):
            raise BadRequest("It holds NUL.")
        return self.get_response(request)


def _check_encoding(request: HttpRequest) -> None:
    """Raises: BadRequest."""
    claimed = (request.content_params or {}).get("charset", "utf-8")
    try:
        encoding = codecs.lookup(claimed).name
    except (LookupError, ValueError) as error:
        raise BadRequest("It claims an unknown encoding.") from error
    if encoding not in _ENCODINGS:
        raise BadRequest("It claims another encoding than UTF-8.")
    request.encoding = "utf-8"


def _texts(request: HttpRequest) -> Iterator[str]:
    yield request.path
    yield from request.COOKIES.values()
    for fields in (request.GET, request.POST):
        for name, values in fields.lists():
            yield name
            yield from (str(value) for value in values)
