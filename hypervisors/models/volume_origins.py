"""What is known of volumes that libvirt cannot tell: what they were made as, and what their first bytes say."""

from django.db import models
from django.utils import timezone

from hypervisors.models.storage_pools import StoragePool
from hypervisors.models.volumes import Volume


class VolumeOrigin(models.Model):
    """What a volume was made as, and what for. It counts on every host that shares the storage.

    A volume that is of another format later, or on top of something else, was changed by whoever writes its bytes:
    its guest, or somebody who uploads. libvirt believes the bytes; we do not (inventory/storage/quarantine.py).
    """

    IMAGE, DISK = "image", "disk"

    storage_pool = models.ForeignKey(StoragePool, on_delete=models.CASCADE, related_name="volume_origins")
    name = models.CharField(max_length=1000)
    # "qcow2"; empty: made by others, whatever it is.
    format = models.CharField(max_length=40, blank=True)
    backing_path = models.TextField(blank=True)
    # UUID of the secret that it was encrypted with: libvirt forgets it when it reads the storage pool again.
    encryption_secret = models.CharField(max_length=36, blank=True, default="")
    # "image": machines are made of it; "disk": it is not, whatever its name says; empty: nobody said.
    purpose = models.CharField(max_length=20, blank=True)
    noted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["storage_pool", "name"], name="one_origin_per_volume"),
        ]

    def __str__(self) -> str:
        return self.name


class VolumeHead(models.Model):
    """What the first 64 KiB of an image say. The inventory writes it, after the watcher has read them."""

    volume = models.OneToOneField(Volume, on_delete=models.CASCADE, related_name="head", primary_key=True)
    read_at = models.DateTimeField()
    # "iso", "qcow2", "gzip" …, as hypervisors/imaging calls it.
    format = models.CharField(max_length=40)
    # Why it cannot be used, for people; empty: nothing speaks against it.
    problem = models.TextField(blank=True)
    # An ISO's own name, and whether machines can boot from it.
    label = models.CharField(max_length=100, blank=True)
    is_bootable = models.BooleanField(default=False)
    # osinfo's short id of the system that it installs or holds ("debian12"), and what people call that.
    system_id = models.CharField(max_length=100, blank=True)
    system_name = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"head of volume {self.volume_id}"
