"""Hypervisors: where each is, what people want with it, what it is, and when it was last seen."""

from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.models.natural_names import NaturalNameField
from hypervisors.states import AdminState, HypervisorStatus


class Hypervisor(models.Model):
    """One libvirt daemon. Status and facts are the watcher's; the rest is people's.

    What it is signed in to with stands apart, in HypervisorCredentials: no page loads secrets by showing a host.
    """

    hypervisor_pool = models.ForeignKey(HypervisorPool, on_delete=models.PROTECT, related_name="hypervisors")
    name = models.CharField(_("name"), max_length=100, unique=True)
    natural_name = NaturalNameField()
    uri = models.CharField(_("connection URI"), max_length=500)
    # How the pool's other hypervisors reach this one when a VM moves here; empty: as `uri`.
    migration_uri = models.CharField(_("migration URI"), max_length=500, blank=True)
    # IP addresses, separated by blanks, at which VMs' screens are served besides those of `uri`.
    console_addresses = models.CharField(_("console addresses"), max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Raised by every change of URI or credentials: the watcher, workers and console proxies reconnect when it differs.
    revision = models.PositiveIntegerField(default=1)

    # People's: what they want with it, since when, who said so, and why. The watcher never writes these.
    admin_state = models.CharField(
        max_length=20, default=AdminState.ENABLED, choices=[(s.value, s.value) for s in AdminState]
    )
    admin_state_since = models.DateTimeField(default=timezone.now)
    # The user name as it was then: it outlives the account, and no list needs a join for it.
    admin_state_by = models.CharField(max_length=150, blank=True)
    admin_state_reason = models.CharField(max_length=500, blank=True)

    # The watcher's: what it sees. Nobody else writes these.
    status = models.CharField(
        max_length=20, default=HypervisorStatus.CONNECTING, choices=[(s.value, s.value) for s in HypervisorStatus]
    )
    status_reason = models.TextField(blank=True)
    status_since = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True, blank=True)

    # virConnectGetCapabilities' host UUID; two rows with one would be the same machine twice.
    host_uuid = models.UUIDField(null=True, blank=True, unique=True)
    hostname = models.CharField(max_length=255, blank=True)
    architecture = models.CharField(max_length=20, blank=True)
    cpu_model = models.CharField(max_length=200, blank=True)
    cpu_count = models.PositiveIntegerField(null=True, blank=True)
    cpu_sockets = models.PositiveIntegerField(null=True, blank=True)
    cpu_cores_per_socket = models.PositiveIntegerField(null=True, blank=True)
    cpu_threads_per_core = models.PositiveIntegerField(null=True, blank=True)
    memory_kib = models.BigIntegerField(null=True, blank=True)
    libvirt_version = models.CharField(max_length=20, blank=True)
    qemu_version = models.CharField(max_length=20, blank=True)
    # None: not known yet.
    kvm_available = models.BooleanField(null=True, blank=True)
    # Sorted canonical names and aliases of machine types of the host's architecture, for migration checks.
    machine_types = models.JSONField(default=list, blank=True)
    # Its network interfaces, bridges among them, for migration checks; null: it does not say.
    interface_names = models.JSONField(null=True, blank=True)
    # The host's <cpu> element of virConnectGetCapabilities, for CPU comparison.
    cpu_xml = models.TextField(blank=True)

    # Latest load, written at most once per usage period; the hour's history is in `usage`.
    cpu_percent = models.FloatField(null=True, blank=True, validators=[MaxValueValidator(100)])
    memory_used_kib = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["natural_name", "name"]
        verbose_name = _("hypervisor")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("hypervisor", args=[self.pk])

    @property
    def is_online(self) -> bool:
        return self.status == HypervisorStatus.ONLINE

    @property
    def is_disabled(self) -> bool:
        return self.admin_state == AdminState.DISABLED

    @property
    def in_maintenance(self) -> bool:
        return self.admin_state == AdminState.MAINTENANCE

    @property
    def shown_state(self) -> str:
        """One word for lists: people's will where it matters more than what the watcher sees."""
        if self.is_disabled or (self.in_maintenance and self.is_online):
            return self.admin_state
        return self.status

    @property
    def peer_uri(self) -> str:
        """The URI by which other hypervisors reach this one."""
        return self.migration_uri or self.uri
