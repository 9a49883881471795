"""Hypervisor pools: hypervisors that share storage, between which virtual machines move."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class HypervisorPool(models.Model):
    """A set of hypervisors that share storage and networks."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.CharField(_("description"), max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("hypervisor pool")

    def __str__(self) -> str:
        return self.name
