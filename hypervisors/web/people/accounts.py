"""One's own account: how one signs in (allauth does it), and the profile. Nobody signs up by themselves."""

from datetime import timedelta
from typing import Any, Literal

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.signals import password_changed, password_reset, password_set
from allauth.core.internal import ratelimit
from allauth.core.internal.ratelimit import RateLimitUsage
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AbstractBaseUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from hypervisors.access import audit
from hypervisors.access.client_addresses import address_of, network_of
from hypervisors.access.subjects import subject_of
from hypervisors.models import AuditRecord
from hypervisors.models.encryption import decrypted, encrypted
from hypervisors.models.login_sessions import end_sessions
from hypervisors.models.rights import bindings_of
from hypervisors.web.methods import is_page
from hypervisors.web.permissions import person

_BINDINGS_SHOWN = 50
# In the audit's words.
_FACTORS = {"totp": "authenticator app", "recovery_codes": "recovery codes"}
# An address that somebody signed in from is theirs for so long.
_KNOWN_ADDRESS = timedelta(days=90)


class ClosedSignupAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """No self-service registration, and a place to go after a password change."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": gettext_lazy("The user name or the password is wrong."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return "/profile/"

    def get_client_ip(self, request: HttpRequest) -> str:
        # Of a test's request through a unix socket nothing is known.
        return address_of(request) or "unknown"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Counts a wrong password beforehand; a right one is taken back. Raises: ValidationError when there were many.

        Wrong passwords lock the name for the address they come from. From everywhere together they only slow down
        those addresses that the person never signed in from: nobody can keep others out by guessing.
        """
        name = str(credentials.get("username", "")).lower()
        place = network_of(self.get_client_ip(request))
        usage = self._consume(request, "login_failed", f"{name} {place}")
        elsewhere = usage and self._consume(request, "login_failed_anywhere", name)
        if usage and not elsewhere and not _signed_in_from(name, self.get_client_ip(request)):
            usage.rollback()
            usage = None
        if usage is None:
            if self._consume(request, "login_refused_noted", f"{name} {place}"):
                _note_failure(name, "refused", detail="too many wrong passwords; not tried")
            raise self.validation_error("too_many_login_attempts")
        self._login_failed_rl_usage = RateLimitUsage(usage.usage + (elsewhere.usage if elsewhere else []))

    def _consume(self, request: HttpRequest, action: str, key: str) -> RateLimitUsage | None:
        """None when the limit is reached."""
        usage: RateLimitUsage | None = ratelimit.consume(request, app="allauth.account", action=action, key=key)
        return usage

    def is_safe_url(self, url: str | None) -> bool:
        """Where one may be sent after signing in: an address of ours, and not one that only takes forms."""
        return bool(super().is_safe_url(url)) and is_page(str(url))


class EncryptingMfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of second factors encrypted, like those of hypervisors."""

    def encrypt(self, text: str) -> str:
        return encrypted(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypted(encrypted_text)


@require_safe
def profile(request: HttpRequest) -> HttpResponse:
    """Who one is, what one may do, password and second factor."""
    bindings = bindings_of(person(request)).select_related("role", "group", "domain", "hypervisor_pool")
    context = {
        "has_second_factor": Authenticator.objects.filter(user=person(request), type="totp").exists(),
        "bindings": bindings[:_BINDINGS_SHOWN],
        "binding_count": bindings.count(),
    }
    return render(request, "account/profile.html", context)


@login_not_required
def no_such_door(request: HttpRequest, **_: Any) -> HttpResponse:
    """In place of allauth's pages that need mail: an operator resets passwords. Raises: Http404."""
    raise Http404


@receiver(user_logged_in)
def _on_login(sender: Any, user: AbstractBaseUser, **_: Any) -> None:
    _note(user, "sign in")


@receiver(user_logged_out)
def _on_logout(sender: Any, user: AbstractBaseUser | None, **_: Any) -> None:
    _note(user, "sign out")


@receiver(user_login_failed)
def _on_failed_login(sender: Any, credentials: dict[str, Any], **_: Any) -> None:
    _note_failure(str(credentials.get("username", "")), "failed")


@receiver([password_changed, password_set, password_reset])
def _on_password_changed(sender: Any, request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    end_sessions([user.pk], but=request.session.session_key)
    _note(user, "change one's password")


@receiver([authenticator_added, authenticator_removed, authenticator_reset])
def _on_authenticator_changed(
    sender: Any, signal: Any, user: AbstractBaseUser, authenticator: Authenticator, **_: Any
) -> None:
    actions = {
        authenticator_added: "switch a second factor on",
        authenticator_removed: "switch a second factor off",
        authenticator_reset: "renew a second factor",
    }
    _note(user, actions[signal], detail=_FACTORS.get(authenticator.type, str(authenticator.type)))


@receiver(authentication_failed)
def _on_failed_second_factor(sender: Any, user: AbstractBaseUser, **_: Any) -> None:
    _note_failure(user.get_username(), "failed", detail="wrong second factor")


def _note_failure(name: str, outcome: Literal["refused", "failed"], detail: str = "") -> None:
    """A sign-in that led nowhere: nobody's deed, about the account of that name, if there is one."""
    known = User.objects.filter(username__iexact=name).first() if name.isprintable() else None
    audit.record(
        None,
        "sign in",
        subject_type="person",
        subject_key=str(known.pk) if known is not None else "",
        subject_name=name,
        outcome=outcome,
        detail=detail,
    )


def _signed_in_from(name: str, address: str) -> bool:
    """Whether the person of this name did so lately."""
    since = timezone.now() - _KNOWN_ADDRESS
    signed_in = AuditRecord.objects.filter(action="sign in", outcome="done", at__gt=since)
    return signed_in.filter(actor_name__iexact=name, address=address).exists()


def _note(user: AbstractBaseUser | None, action: str, detail: str = "") -> None:
    """About a person's own account."""
    if isinstance(user, User):
        subject = subject_of(user)
        audit.record(
            user,
            action,
            subject_type=subject.type,
            subject_key=subject.key,
            subject_name=subject.name,
            detail=detail,
        )


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
