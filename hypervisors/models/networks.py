"""Virtual networks as each hypervisor reports them."""

from django.db import models

from hypervisors.models.hypervisors import Hypervisor


class Network(models.Model):
    """One virNetwork on one hypervisor."""

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

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["hypervisor", "uuid"], name="one_network_per_hypervisor")]

    def __str__(self) -> str:
        return self.name
