"""What vmportal signs in to a hypervisor with; in a table of its own, so that only who connects loads it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from hypervisors.errors import CredentialsUnreadable
from hypervisors.models.encryption import EncryptedTextField
from hypervisors.models.hypervisors import Hypervisor

SECRETS = ("sasl_password", "ssh_private_key", "tls_client_key")


class HypervisorCredentials(models.Model):
    """One hypervisor's credentials. Loading a row whose secrets were written with another key raises
    errors.CredentialsUnreadable.
    """

    hypervisor = models.OneToOneField(
        Hypervisor, on_delete=models.CASCADE, primary_key=True, related_name="credentials"
    )
    sasl_username = models.CharField(_("user name"), max_length=200, blank=True)
    sasl_password = EncryptedTextField(_("password"), blank=True, default="")
    ssh_private_key = EncryptedTextField(_("ssh private key"), blank=True, default="")
    ssh_known_hosts = models.TextField(_("ssh host key"), blank=True)
    tls_ca_certificate = models.TextField(_("CA certificate"), blank=True)
    tls_client_certificate = models.TextField(_("client certificate"), blank=True)
    tls_client_key = EncryptedTextField(_("client key"), blank=True, default="")

    class Meta:
        verbose_name = _("hypervisor credentials")
        verbose_name_plural = _("hypervisor credentials")

    def __str__(self) -> str:
        return f"credentials of hypervisor {self.pk}"


CREDENTIALS = tuple(field.name for field in HypervisorCredentials._meta.concrete_fields if not field.primary_key)


def credentials_of(hypervisor: Hypervisor) -> HypervisorCredentials:
    """Its row; an unsaved, empty one where none is stored. Raises: errors.CredentialsUnreadable."""
    stored = HypervisorCredentials.objects.filter(hypervisor=hypervisor.pk).first() if hypervisor.pk else None
    return stored or HypervisorCredentials(hypervisor=hypervisor)


def readable_credentials_of(hypervisor: Hypervisor) -> tuple[HypervisorCredentials, bool]:
    """The same with empty secrets where they cannot be decrypted; and whether they could."""
    try:
        return credentials_of(hypervisor), True
    except CredentialsUnreadable:
        public = [name for name in CREDENTIALS if name not in SECRETS]
        values = HypervisorCredentials.objects.filter(hypervisor=hypervisor.pk).values(*public).get()
        return HypervisorCredentials(hypervisor=hypervisor, **values), False
