"""What each hypervisor lists of itself, mirrored whole: network filters, devices, secrets; rows go with them."""

from typing import Any

from django.db import models
from django.urls import reverse

from hypervisors.models.hypervisors import Hypervisor


class NetworkFilter(models.Model):
    """One virNWFilter on one hypervisor."""

    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="network_filters")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    xml = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "uuid"], name="one_filter_per_hypervisor")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("network_filter", args=[self.pk])


class NodeDevice(models.Model):
    """A device or an interface of a hypervisor; `details` as libvirtxml.node_devices tells them."""

    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="node_devices")
    name = models.CharField(max_length=255)
    capability = models.CharField(max_length=30)
    parent = models.CharField(max_length=255, blank=True)
    vendor = models.CharField(max_length=255, blank=True)
    product = models.CharField(max_length=255, blank=True)
    driver = models.CharField(max_length=100, blank=True)
    iommu_group = models.IntegerField(null=True, blank=True)
    # What a domain's XML calls it, as libvirtxml.domain_devices says it: by its address, and by its model.
    host_device = models.CharField(max_length=100, blank=True)
    host_device_model = models.CharField(max_length=100, blank=True)
    interface = models.CharField(max_length=50, blank=True)
    mac = models.CharField(max_length=60, blank=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["capability", "name"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "name"], name="one_device_per_hypervisor")]

    def __str__(self) -> str:
        return self.name


class HostSecret(models.Model):
    """A libvirt secret on one hypervisor: what it is for, never what it is."""

    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="secrets")
    uuid = models.UUIDField()
    usage_type = models.CharField(max_length=20, blank=True)
    usage = models.CharField(max_length=255, blank=True)
    description = models.CharField(max_length=255, blank=True)
    is_ephemeral = models.BooleanField(default=False)

    class Meta:
        ordering = ["usage_type", "usage"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "uuid"], name="one_secret_per_hypervisor")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return self.usage or str(self.uuid)


LISTED: dict[str, type[Any]] = {"network_filter": NetworkFilter, "node_device": NodeDevice, "secret": HostSecret}
