"""Hypervisors: how each is reached, what it is, and when it was last seen."""

from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.encryption import EncryptedTextField
from hypervisors.models.hypervisor_pools import HypervisorPool
from hypervisors.states import HypervisorStatus


class Hypervisor(models.Model):
    """One libvirt daemon. Status and facts are the watcher's; the rest is the operator's."""

    hypervisor_pool = models.ForeignKey(HypervisorPool, on_delete=models.PROTECT, related_name="hypervisors")
    name = models.CharField(_("name"), max_length=100, unique=True)
    uri = models.CharField(_("connection URI"), max_length=500)
    # How the pool's other hypervisors reach this one when a VM moves here; empty: as `uri`.
    migration_uri = models.CharField(_("migration URI"), max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Raised by every change of URI or credentials: the watcher, workers and console proxies reconnect when it differs.
    revision = models.PositiveIntegerField(default=1)

    sasl_username = models.CharField(_("user name"), max_length=200, blank=True)
    sasl_password = EncryptedTextField(_("password"), blank=True, default="")
    ssh_private_key = EncryptedTextField(_("ssh private key"), blank=True, default="")
    ssh_known_hosts = models.TextField(_("ssh host key"), blank=True)
    tls_ca_certificate = models.TextField(_("CA certificate"), blank=True)
    tls_client_certificate = models.TextField(_("client certificate"), blank=True)
    tls_client_key = EncryptedTextField(_("client key"), blank=True, default="")

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
    # The host's <cpu> element of virConnectGetCapabilities, for CPU comparison.
    cpu_xml = models.TextField(blank=True)

    # Latest load, written at most once per usage period; the hour's history is in `usage`.
    cpu_percent = models.FloatField(null=True, blank=True, validators=[MaxValueValidator(100)])
    memory_used_kib = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("hypervisor")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("hypervisor", args=[self.pk])

    @property
    def is_online(self) -> bool:
        return self.status == HypervisorStatus.ONLINE

    @property
    def peer_uri(self) -> str:
        """The URI by which other hypervisors reach this one."""
        return self.migration_uri or self.uri
