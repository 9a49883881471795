"""Addresses of machines and what DHCP servers gave, each as a row, so that a search finds them by an index.

What pages show stands elsewhere (GuestFacts, Network, DomainDefinition); the inventory writes these rows beside that.
"""

from typing import Literal

from django.db import models
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.networks import Network

# "card": the MACs of its definitions. "guest": what its guest, or its host, says that these cards have.
Source = Literal["card", "guest"]


class DomainAddress(models.Model):
    """`key`: of models/address_keys.py."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="known_addresses")
    source = models.CharField(max_length=5)
    key = models.CharField(max_length=33)

    class Meta:
        verbose_name = _("address of a virtual machine")
        constraints = [models.UniqueConstraint(fields=["domain", "source", "key"], name="address_once_per_source")]
        indexes = [models.Index(fields=["key", "domain"], name="domain_address_by_key")]

    def __str__(self) -> str:
        return self.key


class LeasedAddress(models.Model):
    """A network's DHCP server gave `key` to the card whose MAC is `mac_key`."""

    network = models.ForeignKey(Network, on_delete=models.CASCADE, related_name="leased_addresses")
    mac_key = models.CharField(max_length=13)
    key = models.CharField(max_length=33)

    class Meta:
        verbose_name = _("leased address")
        constraints = [models.UniqueConstraint(fields=["network", "mac_key", "key"], name="lease_once_per_network")]
        indexes = [models.Index(fields=["key", "mac_key"], name="leased_address_by_key")]

    def __str__(self) -> str:
        return self.key
