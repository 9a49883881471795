"""Domains (the UI says virtual machines): the mirror of libvirt's, keyed by UUID."""

from typing import Any, Self
from uuid import UUID

from django.db import models
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.natural_names import NaturalNameField
from hypervisors.models.rights import Requester, select_permitted
from hypervisors.privileges import Privilege
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState


class DomainQuerySet(models.QuerySet["Domain"]):
    """Access checks and the usual selections."""

    def visible_to(self, user: Requester) -> Self:
        """Those that the user may see: by a role on everything, on their pool, or on themselves."""
        return select_permitted(user, Privilege.DOMAIN_VIEW, self)

    def operable_by(self, user: Requester) -> Self:
        """Those that the user may start and stop."""
        return select_permitted(user, Privilege.DOMAIN_OPERATE, self)

    def present(self) -> Self:
        """Those that some hypervisor has; the others are tombstones."""
        return self.filter(vanished_at__isnull=True)


def shown_domain_state(state: str, *, vanished: bool, saved: bool) -> str:
    """A key of templatetags.units.STATE_WORDS."""
    if vanished:
        return "vanished"
    return "saved" if saved and state == DomainState.SHUTOFF else state


# As libvirt writes it into the XML of a domain that runs.
CONNECTED_AGENT = "name='org.qemu.guest_agent.0' state='connected'"


class Domain(models.Model):
    """A virtual machine as its hypervisor last told us. The inventory writes it, all but what people want with it."""

    # What URLs, messages, consoles and locks name it by: libvirt's UUID, unless a domain of another pool has that.
    uuid = models.UUIDField(unique=True)
    # libvirt's UUID where that is another than `uuid`: unrelated pools may each own a clone.
    shared_uuid = models.UUIDField(null=True, blank=True, db_index=True)
    # Null only for a tombstone whose hypervisor was removed.
    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.SET_NULL, null=True, related_name="domains")
    name = models.CharField(max_length=255)
    natural_name = NaturalNameField()
    title = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    state = models.CharField(max_length=20, choices=[(s.value, s.value) for s in DomainState])
    # libvirt's reason for the state in words, for example "migration" or "I/O error"; may be empty.
    state_reason = models.CharField(max_length=100, blank=True)
    state_since = models.DateTimeField()
    persistent = models.BooleanField(default=True)
    autostart = models.BooleanField(default=False)
    has_managed_save = models.BooleanField(default=False)
    # libvirt lets nothing move that has snapshots; of checkpoints a move loses what libvirt knows.
    has_snapshots = models.BooleanField(default=False)
    has_checkpoints = models.BooleanField(default=False)
    # What is wrong with it, for people: it runs twice, its disk is full. Empty: nothing.
    trouble = models.TextField(blank=True, default="")
    # False while its QEMU does not answer statistics calls.
    answering = models.BooleanField(default=True)
    vcpu_count = models.PositiveIntegerField(default=1)
    memory_kib = models.BigIntegerField(default=0)
    os_name = models.CharField(max_length=100, blank=True)
    # Its XML says that it is a template: it is never started, and its disks stay as they are.
    is_template = models.BooleanField(default=False)
    # What people want, not the inventory: nobody may delete it until this is taken back.
    delete_protected = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField(auto_now_add=True)
    # Set when no hypervisor has it any more; cleared when it comes back.
    vanished_at = models.DateTimeField(null=True, blank=True)

    objects = DomainQuerySet.as_manager()

    class Meta:
        ordering = ["natural_name", "name", "uuid"]
        verbose_name = _("virtual machine")
        indexes = [
            models.Index(fields=["vanished_at", "natural_name", "name", "uuid"], name="domain_by_name"),
            models.Index(fields=["hypervisor", "vanished_at", "natural_name"], name="domain_by_hypervisor"),
            models.Index(fields=["vanished_at", "state", "natural_name"], name="domain_by_state"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("domain", args=[self.uuid])

    @property
    def libvirt_uuid(self) -> UUID:
        """What its hypervisor knows it by."""
        return self.shared_uuid or self.uuid

    @property
    def shown_state(self) -> str:
        """The state as people say it: what was saved is off and goes on where it was; what no host has is gone."""
        return shown_domain_state(self.state, vanished=self.vanished_at is not None, saved=self.has_managed_save)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_DOMAIN_STATES

    @cached_property
    def has_guest_agent(self) -> bool:
        """Whether an agent was connected when it was last read. One query, once."""
        return DomainDefinition.objects.filter(domain=self, live_xml__contains=CONNECTED_AGENT).exists()


class DomainDefinition(models.Model):
    """A domain's XML and what was parsed of it; apart from Domain, so that lists stay slim."""

    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, related_name="definition", primary_key=True)
    # Without secrets. Live XML is empty while the domain is shut off; inactive XML while it is transient.
    live_xml = models.TextField(blank=True)
    inactive_xml = models.TextField(blank=True)
    # libvirtxml.domains.ParsedDomain of each as JSON (see its `as_json`); empty where the XML is.
    live_parsed = models.JSONField(default=dict, blank=True)
    inactive_parsed = models.JSONField(default=dict, blank=True)
    # SHA-256 of each XML's UTF-8 in hexadecimal; empty where the XML is.
    live_sha256 = models.CharField(max_length=64, blank=True)
    inactive_sha256 = models.CharField(max_length=64, blank=True)
    # libvirtxml.domains.PARSER_VERSION of the parses: the watcher parses anew what an older one has read.
    parser_version = models.PositiveIntegerField(default=0, db_index=True)

    def __str__(self) -> str:
        return f"definition of {self.domain_id}"

    @property
    def parsed(self) -> dict[str, Any]:
        """What runs, else what would."""
        return dict(self.live_parsed or self.inactive_parsed)
