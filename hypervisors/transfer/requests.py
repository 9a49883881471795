"""What every request must pass: a signed-in person, one of our own pages, and the right to the thing."""

from email.message import Message
from http import HTTPStatus

from django.conf import settings
from django.contrib.auth.models import User

from hypervisors.access.browsers import find_user, is_allowed_origin, session_key


class Refused(Exception):
    """The request gets this answer; the reason is for people."""

    def __init__(self, status: HTTPStatus, reason: str = "", *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


def signed_in(headers: Message) -> tuple[User, str]:
    """The person and their login session. Raises: Refused."""
    key = session_key(headers)
    user = find_user(key)
    if user is None:
        raise Refused(HTTPStatus.UNAUTHORIZED, "Sign in first.")
    return user, key


def require_own_page(headers: Message) -> None:
    """For what changes something: browsers name the page that asks. Raises: Refused."""
    if not is_allowed_origin(headers.get("Origin"), settings.PUBLIC_ORIGINS):
        raise Refused(HTTPStatus.FORBIDDEN, "Only vmportal's own pages may ask for this.")


def refuse_foreign_page(headers: Message) -> None:
    """For what only reads: another site's page may not have its visitor's browser ask. Raises: Refused."""
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise Refused(HTTPStatus.FORBIDDEN, "Only vmportal's own pages may ask for this.")
