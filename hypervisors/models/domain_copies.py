"""Copies: hypervisors that have a domain besides the one that it belongs to."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.states import ACTIVE_DOMAIN_STATES


class DomainCopy(models.Model):
    """The same UUID on another hypervisor: a definition that a move left over, or a second one that runs (an alarm).

    The inventory writes it. While a migration is under way, the hypervisor that it comes from or goes to is one, too.
    """

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="copies")
    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="domain_copies")
    # As it is called there.
    name = models.CharField(max_length=255)
    state = models.CharField(max_length=20)
    first_seen_at = models.DateTimeField(default=timezone.now)
    # Since when both are known to run at once; null: they do not.
    runs_too_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("copy of a virtual machine")
        constraints = [models.UniqueConstraint(fields=["domain", "hypervisor"], name="one_copy_per_hypervisor")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_DOMAIN_STATES
