"""Which SSH keys let somebody into an account of a machine's guest, as its agent said when it was last asked."""

from collections.abc import Sequence

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain

# Accounts of one guest that are kept; of more, those that were read last.
_MOST_ACCOUNTS = 8


class GuestSshKeys(models.Model):
    """Of one account; written by operations, since somebody has to say which account it is about."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="guest_ssh_keys")
    user = models.CharField(max_length=64)
    # Lines of authorized_keys, as gateway.domains.guest_agent gives them.
    keys = models.JSONField(default=list, blank=True)
    read_at = models.DateTimeField()

    class Meta:
        verbose_name = _("SSH keys in a guest")
        ordering = ["user"]
        constraints = [models.UniqueConstraint(fields=["domain", "user"], name="keys_once_per_guest_account")]

    def __str__(self) -> str:
        return self.user


def remember_guest_ssh_keys(domain_id: int, *, user: str, keys: Sequence[str]) -> None:
    values = {"keys": list(keys), "read_at": timezone.now()}
    GuestSshKeys.objects.update_or_create(domain_id=domain_id, user=user, defaults=values)
    rows = GuestSshKeys.objects.filter(domain_id=domain_id).order_by("-read_at", "-pk").values_list("pk", flat=True)
    GuestSshKeys.objects.filter(pk__in=list(rows[_MOST_ACCOUNTS:])).delete()
