"""What virtual machines name outside of themselves: by these rows it is known who uses a volume."""

from django.db import models

from hypervisors.models.domains import Domain


class VolumeReference(models.Model):
    """A file or volume that a domain's XML names, as it runs or as it starts next. The inventory writes it.

    What it names is a place on the domain's host: which volume that is, is found by the shared storage there (see
    operations/storage/volume_users.py). The volumes that are on top of others say so in their own rows.
    """

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="volume_references")
    # What the file or volume is called, without where it is.
    name = models.CharField(max_length=1000, db_index=True)
    # Normalised; empty where it is named by its storage pool.
    path = models.TextField(blank=True)
    storage_pool_name = models.CharField(max_length=255, blank=True)
    # "disk", "cdrom", "backing", "nvram", "kernel" …, and a disk's target ("vda").
    role = models.CharField(max_length=40)
    target = models.CharField(max_length=40, blank=True)
    # What the domain takes it for ("qcow2"); empty where it does not say.
    format = models.CharField(max_length=40, blank=True)

    def __str__(self) -> str:
        return f"{self.target or self.role} of {self.domain_id}: {self.name}"
