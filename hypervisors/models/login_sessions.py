"""Who is signed in: Django's sessions in the database, which also know whose they are, so that they can be ended.

https://docs.djangoproject.com/en/5.2/topics/http/sessions/#extending-database-backed-session-engines
"""

from collections.abc import Collection
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class LoginSession(AbstractBaseSession):
    """One browser. `user` is empty until somebody signs in."""

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="login_sessions")

    @classmethod
    def get_session_store_class(cls) -> type["SessionStore"]:
        return SessionStore


class SessionStore(db.SessionStore):
    """settings.SESSION_ENGINE looks it up here."""

    @classmethod
    def get_model_class(cls) -> type[LoginSession]:
        return LoginSession

    def create_model_instance(self, data: dict[str, Any]) -> LoginSession:
        session: LoginSession = super().create_model_instance(data)  # type: ignore[assignment]
        key = str(data.get(SESSION_KEY, ""))
        session.user_id = int(key) if key.isdecimal() else None
        return session


def end_sessions(user_ids: Collection[int], *, but: str | None = None) -> None:
    """For good: their cookies open nothing any more, whatever comes of the account. `but` is the key of one to keep."""
    LoginSession.objects.filter(user__in=user_ids).exclude(session_key=but or "").delete()
