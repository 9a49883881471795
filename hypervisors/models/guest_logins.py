"""What a person last gave a new guest to be signed in to with: suggested for the next one."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import models
from django.utils.translation import gettext_lazy as _


class GuestLogin(models.Model):
    """One for each person who made a guest with cloud-init. Public keys only; a password is never kept."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="guest_login")
    name = models.CharField(max_length=64, blank=True)
    # One in each line.
    ssh_keys = models.TextField(blank=True)

    class Meta:
        verbose_name = _("login of new guests")

    def __str__(self) -> str:
        return self.name


def remember_guest_login(user: User, *, name: str, ssh_keys: Sequence[str]) -> None:
    values = {"name": name[:64], "ssh_keys": "\n".join(ssh_keys)}
    GuestLogin.objects.update_or_create(user=user, defaults=values)
