"""What each hypervisor can give new guests, as the watcher last read it; new machines are planned with it."""

from collections.abc import Iterable

from django.db import models

from hypervisors.libvirtxml.host_capabilities import HostCapabilities, host_capabilities_from_json
from hypervisors.models.hypervisors import Hypervisor


class HypervisorCapabilities(models.Model):
    """One for each hypervisor that was ever online. Long: in a table of its own, so that lists do not load it."""

    hypervisor = models.OneToOneField(
        Hypervisor, on_delete=models.CASCADE, primary_key=True, related_name="capabilities"
    )
    # libvirt's own, https://libvirt.org/formatcaps.html.
    capabilities_xml = models.TextField(blank=True)
    # HostCapabilities as JSON: what was parsed of it, with what its emulators can do.
    domain_capabilities = models.JSONField(default=dict)
    read_at = models.DateTimeField()

    class Meta:
        verbose_name = "hypervisor capabilities"
        verbose_name_plural = "hypervisor capabilities"

    def __str__(self) -> str:
        return f"capabilities of hypervisor {self.pk}"

    @property
    def host(self) -> HostCapabilities | None:
        """None where another version wrote it; the watcher reads it anew."""
        try:
            return host_capabilities_from_json(self.domain_capabilities)
        except ValueError:
            return None


def capabilities_of(hypervisors: Iterable[Hypervisor]) -> dict[int, HostCapabilities]:
    """By the hypervisors' ids; those of which nothing is known are missing."""
    rows = HypervisorCapabilities.objects.filter(hypervisor__in=hypervisors).defer("capabilities_xml")
    return {row.pk: host for row in rows if (host := row.host) is not None}
