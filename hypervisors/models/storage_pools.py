"""Storage pools as each hypervisor reports them."""

from django.db import models

from hypervisors.models.hypervisors import Hypervisor


class StoragePool(models.Model):
    """One virStoragePool on one hypervisor; a shared one has a row for each hypervisor that has it."""

    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="storage_pools")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    pool_type = models.CharField(max_length=20)
    active = models.BooleanField()
    autostart = models.BooleanField()
    target_path = models.CharField(max_length=1000, blank=True)
    capacity_bytes = models.BigIntegerField(default=0)
    allocation_bytes = models.BigIntegerField(default=0)
    available_bytes = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "uuid"], name="one_storage_pool_per_hypervisor")]

    def __str__(self) -> str:
        return self.name
