"""Rights and their audit: roles, who has which role on what, and the record of what was done and refused."""

from typing import Any, NoReturn

from django.contrib.auth.models import Group, User
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.hypervisor_pools import HypervisorPool


class Role(models.Model):
    """A named set of privileges. Stock roles are the program's and follow it, see models/stock_roles.py."""

    key = models.SlugField(max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=100)
    description = models.CharField(_("description"), max_length=500, blank=True)
    is_stock = models.BooleanField(default=False)
    # Values of privileges.Privilege; what the program does not know any more is ignored.
    privileges = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("role")

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    """What a role is given on."""

    EVERYTHING = "everything", _("everything")
    HYPERVISOR_POOL = "hypervisor_pool", _("a pool")
    DOMAIN = "domain", _("a virtual machine")


class RoleBinding(models.Model):
    """One person or group has one role on everything, on a hypervisor pool and all in it, or on one domain.

    That on a domain outlives rename, redefine and migration.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings")
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings")
    role = models.ForeignKey(Role, on_delete=models.PROTECT, related_name="bindings")
    scope = models.CharField(max_length=20, choices=Scope, default=Scope.EVERYTHING)
    hypervisor_pool = models.ForeignKey(
        HypervisorPool, on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings"
    )
    domain = models.ForeignKey(
        "hypervisors.Domain", on_delete=models.CASCADE, null=True, blank=True, related_name="role_bindings"
    )
    granted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    granted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        verbose_name = _("role binding")
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group__isnull=True) | Q(user__isnull=True, group__isnull=False),
                name="role_binding_of_a_user_or_a_group",
            ),
            models.CheckConstraint(
                condition=Q(scope="everything", hypervisor_pool__isnull=True, domain__isnull=True)
                | Q(scope="hypervisor_pool", hypervisor_pool__isnull=False, domain__isnull=True)
                | Q(scope="domain", hypervisor_pool__isnull=True, domain__isnull=False),
                name="role_binding_scope_names_its_object",
            ),
            models.UniqueConstraint(
                "role",
                "scope",
                Coalesce("user", 0),
                Coalesce("group", 0),
                Coalesce("hypervisor_pool", 0),
                Coalesce("domain", 0),
                name="each_role_binding_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.holder} is {self.role} on {self.object or self.scope}"

    @property
    def holder(self) -> User | Group:
        holder = self.user or self.group
        assert holder is not None
        return holder

    @property
    def object(self) -> models.Model | None:
        """The pool or domain; None stands for everything."""
        return self.hypervisor_pool or self.domain


class Outcome(models.TextChoices):
    """How what is recorded ended."""

    DONE = "done", _("Done")
    REFUSED = "refused", _("Refused")
    FAILED = "failed", _("Failed")


class AuditRecord(models.Model):
    """Something that a person did, or was refused. Written once: access/audit.py makes them, nothing changes them."""

    at = models.DateTimeField(default=timezone.now)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="audit_records")
    # As they were called; empty when nobody was signed in.
    actor_name = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=100, blank=True)
    action = models.CharField(max_length=100)
    # As Operation's; empty where there is no subject.
    subject_type = models.CharField(max_length=30, blank=True)
    subject_key = models.CharField(max_length=255, blank=True)
    subject_name = models.CharField(max_length=255, blank=True)
    # What changed, without secrets: {"name": "host1"} and {"name": "host2"}; null where nothing was or is.
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    outcome = models.CharField(max_length=20, choices=Outcome, default=Outcome.DONE)
    detail = models.TextField(blank=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = _("audit record")
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_by_time"),
            models.Index(fields=["actor_name", "-at"], name="audit_by_actor"),
            models.Index(fields=["action", "-at"], name="audit_by_action"),
            models.Index(fields=["outcome", "-at"], name="audit_by_outcome"),
            models.Index(fields=["subject_type", "subject_key", "-at"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name or 'nobody'}: {self.action} {self.subject_name} ({self.outcome})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Raises: TypeError when it is stored already."""
        if not self._state.adding:
            raise TypeError("An audit record is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raises: TypeError, always."""
        raise TypeError("An audit record is never deleted.")
