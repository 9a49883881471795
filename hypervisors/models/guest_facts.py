"""What a machine's guest said of itself, by its agent; and the addresses that its host has heard of."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain


class GuestFacts(models.Model):
    """As old as `read_at` says; the inventory writes it. None of it is proved: a guest says what it wants."""

    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, primary_key=True, related_name="guest")
    # gateway.domains.guest_agent.GuestFacts as JSON.
    facts = models.JSONField(default=dict, blank=True)
    # When the agent last answered; null where it never has, and only `addresses` of the host's own are known.
    answered_at = models.DateTimeField(null=True, blank=True)
    # Why the last question was not answered, for people; empty when it was.
    problem = models.CharField(max_length=300, blank=True)
    read_at = models.DateTimeField()

    class Meta:
        verbose_name = _("what a guest says of itself")

    def __str__(self) -> str:
        return f"guest of {self.domain_id}"

    @property
    def addresses(self) -> dict[str, list[str]]:
        """By MAC."""
        found: dict[str, Any] = self.facts.get("addresses", {})
        return found
