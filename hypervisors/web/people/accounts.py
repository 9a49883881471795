"""One's own account: how one signs in (allauth does it), and the profile. Nobody signs up by themselves."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_GET

from hypervisors.models import DomainGrant
from hypervisors.models.encryption import decrypted, encrypted
from hypervisors.web.audit import note_of


class ClosedSignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """No self-service registration, and a place to go after a password change."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return "/profile/"


class EncryptingMfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of second factors encrypted, like those of hypervisors."""

    def encrypt(self, text: str) -> str:
        return encrypted(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypted(encrypted_text)


@require_GET
def profile(request: HttpRequest) -> HttpResponse:
    """Who one is, what one may do, password and second factor."""
    context = {
        "has_second_factor": Authenticator.objects.filter(user=request.user, type="totp").exists(),
        "grant_count": DomainGrant.objects.filter(user__username=request.user.get_username()).count(),
    }
    return render(request, "account/profile.html", context)


@login_not_required
def no_such_door(request: HttpRequest, **_: Any) -> HttpResponse:
    """In place of allauth's pages that need mail: an operator resets passwords. Raises: Http404."""
    raise Http404


@receiver(user_logged_in)
def _on_login(sender: Any, request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    note_of(user.get_username(), "signed in", address=request.META.get("HTTP_X_FORWARDED_FOR", ""))


@receiver(user_logged_out)
def _on_logout(sender: Any, user: AbstractBaseUser | None, **_: Any) -> None:
    if user is not None:
        note_of(user.get_username(), "signed out")


@receiver(user_login_failed)
def _on_failed_login(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    address = request.META.get("HTTP_X_FORWARDED_FOR", "") if request is not None else ""
    note_of("nobody", "failed to sign in", username=str(credentials.get("username", ""))[:150], address=address)


urlpatterns = [path("profile/", profile, name="profile")]

# They stand before allauth's in the project's map.
closed_urlpatterns = [
    path("accounts/signup/", no_such_door),
    path("accounts/email/", no_such_door),
    path("accounts/confirm-email/", no_such_door),
    path("accounts/confirm-email/<str:key>/", no_such_door),
    path("accounts/password/reset/", no_such_door),
    path("accounts/password/reset/<path:rest>", no_such_door),
    path("accounts/password/set/", no_such_door),
    path("accounts/login/code/confirm/", no_such_door),
]
