"""Shared storage: what storage pools of several hypervisors have in common, as far as is known."""

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.hypervisor_pools import HypervisorPool


class SharedStorage(models.Model):
    """A *candidate*: storage pools of several hypervisors of one hypervisor pool look like the same storage.

    Looking alike proves nothing (each host has a "default" pool in /var/lib/libvirt/images): only `proved_at` says
    that the same file was seen through two of them. Until then nothing may rely on it.
    """

    hypervisor_pool = models.ForeignKey(HypervisorPool, on_delete=models.CASCADE, related_name="shared_storages")
    name = models.CharField(max_length=255)
    pool_type = models.CharField(max_length=20)
    # What looks alike: the source ("nas1:/export") of storage on the network, else name and target path.
    identity = models.CharField(max_length=1500)
    first_seen_at = models.DateTimeField(default=timezone.now)
    # When two of its storage pools were last proved to be one and the same; null: they are not. Which: StoragePool.
    proved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("shared storage")
        verbose_name_plural = _("shared storages")
        constraints = [
            models.UniqueConstraint(
                fields=["hypervisor_pool", "pool_type", "identity"], name="one_shared_storage_per_identity"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("shared_storage", args=[self.pk])

    @property
    def is_proved(self) -> bool:
        return self.proved_at is not None
