"""Virtual networks as each hypervisor reports them."""

from typing import Self

from django.db import models
from django.urls import reverse
from django.utils import timezone

from hypervisors.models.hypervisors import Hypervisor


class NetworkQuerySet(models.QuerySet["Network"]):
    def present(self) -> Self:
        """Those that their hypervisor had when it was last looked at; the others are tombstones."""
        return self.filter(vanished_at__isnull=True)


class Network(models.Model):
    """One virNetwork on one hypervisor.

    The row outlives the network: one that is undefined becomes a tombstone, and one that is defined again under its
    UUID or its name is the same row.
    """

    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="networks")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    active = models.BooleanField()
    autostart = models.BooleanField()
    # libvirt's <forward mode>, "isolated" where there is none.
    forward_mode = models.CharField(max_length=20)
    bridge = models.CharField(max_length=50, blank=True)
    # "192.168.122.1/24 fd00::1/64", or empty.
    addresses = models.CharField(max_length=500, blank=True)
    # What its DHCP server gave: {"52:54:00:…": ["192.168.122.7"]}.
    leases = models.JSONField(default=dict, blank=True)
    # False for one that libvirt forgets when it is stopped.
    persistent = models.BooleanField(default=True)
    # One of libvirtxml.network_kinds.NETWORK_KINDS, or a mode of libvirt's that is none of them. Empty: not known yet.
    kind = models.CharField(max_length=20, blank=True, default="")
    # The XML that it is defined by, and that it runs by; the latter is empty while it is stopped.
    definition_xml = models.TextField(blank=True, default="")
    live_xml = models.TextField(blank=True, default="")
    # Fields of NetworkSpec that wait for its next start, as libvirtxml.network_changes.pending_parts names them.
    pending = models.JSONField(default=list, blank=True)
    # Cards that are plugged in now, as libvirt counts them.
    connection_count = models.PositiveIntegerField(default=0)
    first_seen_at = models.DateTimeField(default=timezone.now)
    vanished_at = models.DateTimeField(null=True, blank=True)

    objects = NetworkQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "uuid"], name="one_network_per_hypervisor")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("network", args=[self.pk])

    @property
    def xml(self) -> str:
        """What it runs by, else what it would."""
        return self.live_xml or self.definition_xml
