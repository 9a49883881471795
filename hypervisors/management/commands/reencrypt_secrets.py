"""`manage.py reencrypt_secrets`: write every stored secret anew with the first of VMPORTAL_ENCRYPTION_KEY's keys.

To rotate the key: put the new one in front of the old, separated by a comma; restart; run this; take the old one out.
"""

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from hypervisors.errors import CredentialsUnreadable
from hypervisors.models import Hypervisor, HypervisorCredentials
from hypervisors.models.encryption import decrypted, encrypted
from hypervisors.models.hypervisor_credentials import SECRETS

# What allauth keeps encrypted of a second factor.
_FACTOR_SECRETS = ("secret", "seed", "migrated_codes")


class Command(BaseCommand):
    help = "Encrypt every stored secret with the first key of VMPORTAL_ENCRYPTION_KEY. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = [*_reencrypt_credentials(), *_reencrypt_second_factors()]
        if unreadable:
            raise CommandError(
                "None of the keys opens these; they stay as they are, and must be entered again: "
                + ", ".join(unreadable)
            )
        self.stdout.write("Every stored secret is encrypted with the first key.")


def _reencrypt_credentials() -> Iterator[str]:
    """Gives the hosts whose secrets no key opens."""
    for pk, name in list(Hypervisor.objects.order_by("name").values_list("pk", "name")):
        try:
            with transaction.atomic():
                for credentials in HypervisorCredentials.objects.select_for_update().filter(hypervisor=pk):
                    credentials.save(update_fields=SECRETS)
        except CredentialsUnreadable:
            yield f"host {name}"


def _reencrypt_second_factors() -> Iterator[str]:
    """Gives the people whose second factor no key opens."""
    for pk in list(Authenticator.objects.order_by("user__username", "pk").values_list("pk", flat=True)):
        with transaction.atomic():
            factor = Authenticator.objects.select_for_update().select_related("user").get(pk=pk)
            try:
                factor.data = {name: _again(name, value) for name, value in factor.data.items()}
            except InvalidToken:
                yield f"second factor of {factor.user}"
                continue
            factor.save(update_fields=["data"])


def _again(name: str, value: Any) -> Any:
    """Raises: InvalidToken."""
    if name not in _FACTOR_SECRETS:
        return value
    return [encrypted(decrypted(one)) for one in value] if isinstance(value, list) else encrypted(decrypted(value))
