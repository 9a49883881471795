"""Volumes of storage pools, as the hypervisor of the pool last told us."""

from typing import Self

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.operations import Operation
from hypervisors.models.storage_pools import StoragePool

# Kinds of operations that fill a new volume with what comes from outside; the volume counts once they are over.
ARRIVING_KINDS = ("upload_volume", "fetch_url")


class VolumeQuerySet(models.QuerySet["Volume"]):
    def present(self) -> Self:
        """Those that their storage pool had when it was last read; the others are tombstones."""
        return self.filter(vanished_at__isnull=True)

    def whole(self) -> Self:
        """Those that nothing is still on its way into, be it from a browser or from a URL."""
        arriving = Q()
        for storage_pool_id, name in volumes_arriving():
            storage_pool = Q(storage_pool=storage_pool_id)
            storage_pool |= Q(storage_pool__shared_storage__storage_pools=storage_pool_id)
            arriving |= Q(pk__in=Volume.objects.filter(storage_pool, name=name).values("pk"))
        return self.exclude(arriving) if arriving else self.all()


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
    # "luks"; empty: not encrypted.
    encryption = models.CharField(max_length=20, blank=True, default="")
    # UUID of the secret that it was encrypted with, as far as libvirt has told.
    encryption_secret = models.CharField(max_length=36, blank=True, default="")
    # Why its bytes are not to be trusted, for people; empty: nothing speaks against it. See volume_origins.py.
    quarantine = models.TextField(blank=True, default="")
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


def volumes_arriving() -> list[tuple[int, str]]:
    """The storage pool and name of each volume that is still being filled from outside; one query."""
    rows = Operation.objects.unfinished().filter(kind__in=ARRIVING_KINDS, subject_type="storage_pool")
    return [(int(key), name) for key, name in rows.values_list("subject_key", "parameters__name") if key.isdecimal()]
