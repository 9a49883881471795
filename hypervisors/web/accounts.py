"""Accounts: nobody signs up by themselves; an operator makes the account."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """No self-service registration."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
