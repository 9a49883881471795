"""Storage pools as each hypervisor reports them."""

from typing import Any, Self

from django.db import models
from django.urls import reverse
from django.utils import timezone

from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.shared_storage import SharedStorage

# The columns of a storage pool of which nothing is proved.
NO_PROOF: dict[str, Any] = {
    "proved_since": None,
    "proved_at": None,
    "unproved_reason": "",
    "is_another": False,
    "looked_at": None,
}


class StoragePoolQuerySet(models.QuerySet["StoragePool"]):
    def present(self) -> Self:
        """Those that their hypervisor had when it was last looked at; the others are tombstones."""
        return self.filter(vanished_at__isnull=True)

    def same_storage_as(self, storage_pool: "StoragePool") -> Self:
        """Itself and those of other hypervisors that look like the same storage, and were not proved to be another."""
        if storage_pool.shared_storage_id is None or storage_pool.is_another:
            return self.filter(pk=storage_pool.pk)
        return self.filter(shared_storage=storage_pool.shared_storage_id, is_another=False)


class StoragePool(models.Model):
    """One virStoragePool on one hypervisor; a shared one has a row for each hypervisor that has it.

    The row outlives the pool: one that is undefined becomes a tombstone, and one that is defined again under its UUID
    or its name is the same row. A host that is away changes nothing here.
    """

    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="storage_pools")
    shared_storage = models.ForeignKey(
        SharedStorage, on_delete=models.SET_NULL, null=True, blank=True, related_name="storage_pools"
    )
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    pool_type = models.CharField(max_length=20)
    active = models.BooleanField()
    autostart = models.BooleanField()
    target_path = models.CharField(max_length=1000, blank=True)
    # Where storage on the network comes from, as one line: "nas1:/export"; empty for what is local.
    source = models.CharField(max_length=1000, blank=True)
    capacity_bytes = models.BigIntegerField(default=0)
    allocation_bytes = models.BigIntegerField(default=0)
    available_bytes = models.BigIntegerField(default=0)
    # False for one that libvirt forgets when it is stopped.
    persistent = models.BooleanField(default=True)
    # The XML that it is defined by: what somebody who edits it sees. Empty: not known yet.
    definition_xml = models.TextField(blank=True, default="")
    # Proof that it is the shared storage: since when without a break, and when it was last seen so. Null: not proved.
    proved_since = models.DateTimeField(null=True, blank=True)
    proved_at = models.DateTimeField(null=True, blank=True)
    # Why the last look could not prove it, for people, and whether it proved that this is another storage.
    unproved_reason = models.TextField(blank=True, default="")
    is_another = models.BooleanField(default=False)
    looked_at = models.DateTimeField(null=True, blank=True)
    # What is wrong with it, for people: it does not answer, or says what cannot be. Empty: nothing.
    trouble = models.TextField(blank=True)
    trouble_since = models.DateTimeField(null=True, blank=True)
    # When its volumes were last read as a whole.
    volumes_read_at = models.DateTimeField(null=True, blank=True)
    first_seen_at = models.DateTimeField(default=timezone.now)
    vanished_at = models.DateTimeField(null=True, blank=True)

    objects = StoragePoolQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "uuid"], name="one_storage_pool_per_hypervisor")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("storage_pool", args=[self.pk])

    @property
    def storage_key(self) -> str:
        """The same for storage pools of several hosts that are taken for one storage; else its own."""
        is_shared = self.shared_storage_id is not None and not self.is_another
        return f"shared-{self.shared_storage_id}" if is_shared else str(self.pk)

    @property
    def is_proved(self) -> bool:
        """Whether it was proved to be the shared storage that it looks like."""
        return self.shared_storage_id is not None and self.proved_at is not None

    def is_proved_same_as(self, other: "StoragePool") -> bool:
        """Whether a file in the one was seen through the other."""
        return self.is_proved and other.is_proved and self.shared_storage_id == other.shared_storage_id
