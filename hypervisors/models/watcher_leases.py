"""Watcher leases: which watcher mirrors which hypervisor pool, and which one keeps house. See docs/decisions/0010."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.states import AdminState

HOUSEKEEPING = "housekeeping"
# Changing hands takes up to 15 s; a pool that was made just now is as well.
_GRACE = timedelta(seconds=7)
_NEW = timedelta(seconds=15)


@dataclass(frozen=True, kw_only=True)
class WatchedPool:
    """`watcher` is the instance that leads it; empty while it changes hands."""

    name: str
    watcher: str
    is_watched: bool


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


def watched_pools() -> list[WatchedPool]:
    """The pools that have hypervisors to watch, by name."""
    to_watch = Hypervisor.objects.filter(hypervisor_pool=OuterRef("pk")).exclude(admin_state=AdminState.DISABLED)
    is_watched = Q(watcher_lease__expires_at__gt=Now() - _GRACE) | Q(created_at__gt=Now() - _NEW)
    watched = set(HypervisorPool.objects.filter(is_watched).values_list("pk", flat=True))
    pools = HypervisorPool.objects.filter(Exists(to_watch)).values_list("pk", "name", "watcher_lease__holder")
    return [WatchedPool(name=name, watcher=holder or "", is_watched=pk in watched) for pk, name, holder in pools]
