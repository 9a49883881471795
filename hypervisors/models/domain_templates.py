"""Templates: virtual machines that never run, and from whose frozen disks others are made."""

from collections.abc import Mapping
from typing import Any, Self

from django.contrib.auth.models import User
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from hypervisors.errors import NotPossible
from hypervisors.models.domains import Domain
from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.models.rights import Requester
from hypervisors.models.storage_pools import StoragePool


class DomainTemplateQuerySet(models.QuerySet["DomainTemplate"]):
    def visible_to(self, user: Requester) -> Self:
        """Those whose machine the person may see."""
        return self.filter(domain__in=Domain.objects.visible_to(user).values("pk"))

    def present(self) -> Self:
        """Those that a host has, and that still say that they are templates."""
        return self.filter(domain__vanished_at=None, domain__is_template=True)


class DomainTemplate(models.Model):
    """One version of a template: the domain that it was made of, and what new machines get unless told otherwise."""

    hypervisor_pool = models.ForeignKey(HypervisorPool, on_delete=models.CASCADE, related_name="templates")
    name = models.CharField(max_length=255)
    version = models.PositiveIntegerField(default=1)
    description = models.TextField(blank=True)
    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, related_name="template")
    # Where its first disk is.
    storage_pool = models.ForeignKey(StoragePool, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    # {"vcpus", "memory_kib", "network", "cloud_init"}; what is missing is as in the domain.
    defaults = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    objects = DomainTemplateQuerySet.as_manager()

    class Meta:
        ordering = ["name", "-version"]
        verbose_name = _("template")
        constraints = [
            models.UniqueConstraint(
                fields=["hypervisor_pool", "name", "version"], name="one_template_of_a_name_and_version"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def get_absolute_url(self) -> str:
        return reverse("template", args=[self.pk])


def checked_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept as `DomainTemplate.defaults`; None and "" are left out. Raises: errors.NotPossible."""
    found: dict[str, Any] = {}
    for key, least, most in (("vcpus", 1, 512), ("memory_kib", 16 * 1024, 16 * 1024**3)):
        value = given.get(key)
        if value in (None, ""):
            continue
        if not isinstance(value, int) or not least <= value <= most:
            raise NotPossible(gettext("That many vCPUs, or so much memory, cannot be."))
        found[key] = value
    if given.get("network"):
        found["network"] = str(given["network"])[:255]
    found["cloud_init"] = bool(given.get("cloud_init"))
    return found
