"""Who a browser's request comes from, for the doors that are not Django's: its login session, and its page's origin."""

from collections.abc import Iterable
from email.message import Message
from importlib import import_module
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.http import parse_cookie
from django.utils.crypto import constant_time_compare

_DEFAULT_PORTS = {"http": 80, "https": 443}


def find_user(session_key: str) -> User | None:
    """The active user whom this login session belongs to; None when it ended or the password changed since."""
    stored = import_module(settings.SESSION_ENGINE).SessionStore(session_key).load() if session_key else {}
    user = User.objects.filter(pk=stored.get(SESSION_KEY, 0), is_active=True).first()
    # Not auth.get_user(), which deletes a session whose password just changed: its own request still needs it.
    if user is None or not constant_time_compare(stored.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    return user


def session_key(headers: Message) -> str:
    """The login session in the cookie; "" without one."""
    return parse_cookie(str(headers.get("Cookie", ""))).get(settings.SESSION_COOKIE_NAME, "")


def is_allowed_origin(origin: str | None, allowed: Iterable[str]) -> bool:
    """Whether a page of this origin may ask for what is for our own pages. No Origin: no; programs leave it out."""
    asked = _origin_parts(origin or "")
    return asked is not None and asked in {_origin_parts(each) for each in allowed}


def _origin_parts(origin: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname, port
