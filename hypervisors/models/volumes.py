"""Volumes of storage pools, as the hypervisor of the pool last told us."""

from typing import Self

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.storage_pools import StoragePool


class VolumeQuerySet(models.QuerySet["Volume"]):
    def present(self) -> Self:
        """Those that their storage pool had when it was last read; the others are tombstones."""
        return self.filter(vanished_at__isnull=True)


class Volume(models.Model):
    """One virStorageVol, known by its name in its storage pool. Sizes are of the last reading."""

    storage_pool = models.ForeignKey(StoragePool, on_delete=models.CASCADE, related_name="volumes")
    name = models.CharField(max_length=1000)
    # libvirt's own identifier: mostly the path.
    key = models.TextField(blank=True)
    path = models.TextField(blank=True)
    # "file", "block", "dir", "network", …
    volume_type = models.CharField(max_length=20, blank=True)
    # "qcow2", "raw", "iso", …; empty where libvirt does not say.
    format = models.CharField(max_length=40, blank=True)
    capacity_bytes = models.BigIntegerField(default=0)
    allocation_bytes = models.BigIntegerField(default=0)
    # The volume or file that an overlay is on top of; empty: none.
    backing_path = models.TextField(blank=True)
    backing_format = models.CharField(max_length=40, blank=True)
    first_seen_at = models.DateTimeField(default=timezone.now)
    vanished_at = models.DateTimeField(null=True, blank=True)

    objects = VolumeQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("volume")
        constraints = [
            models.UniqueConstraint(fields=["storage_pool", "name"], name="one_volume_name_per_storage_pool")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("volume", args=[self.pk])
