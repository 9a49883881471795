"""Watcher leases: which watcher mirrors which hypervisor pool, and which one keeps house. See docs/decisions/0010."""

from django.db import models

from hypervisors.models.hypervisor_pools import HypervisorPool

HOUSEKEEPING = "housekeeping"


class WatcherLease(models.Model):
    """Held by one watcher at a time, until `expires_at` by the database's clock. Only `inventory.leases` writes it."""

    # HOUSEKEEPING, or pool_lease_name().
    name = models.CharField(max_length=100, unique=True)
    # None: not of a pool.
    hypervisor_pool = models.OneToOneField(
        HypervisorPool, on_delete=models.CASCADE, null=True, related_name="watcher_lease"
    )
    # The instance's id (models.instances); empty when it was given up.
    holder = models.CharField(max_length=200, blank=True)
    # Raised whenever it changes hands: who finds another number has lost it, and writes nothing more for the pool.
    token = models.PositiveBigIntegerField(default=0)
    acquired_at = models.DateTimeField(null=True)
    renewed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.holder or 'nobody'}"


def pool_lease_name(hypervisor_pool_id: int) -> str:
    return f"hypervisor_pool:{hypervisor_pool_id}"
