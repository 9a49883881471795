"""Operations: who asked for what, how far it is and how it ended. The row is the per-VM lock."""

import uuid
from typing import Self

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.states import UNFINISHED_OPERATION_STATES, OperationKind, OperationState


class OperationQuerySet(models.QuerySet["Operation"]):
    """Access checks and the usual selections."""

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Those on virtual machines that the user may see."""
        if isinstance(user, User) and user.is_active and (user.is_staff or user.is_superuser):
            return self.all()
        return self.filter(domain__in=Domain.objects.visible_to(user).values("pk"))

    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED_OPERATION_STATES)


class Operation(models.Model):
    """Something that was asked for. Written in the request, queued on commit; then the runner alone changes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=30, choices=[(k.value, k.value) for k in OperationKind])
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="operations")
    # As it was called when asked for: history stays readable after a rename.
    domain_name = models.CharField(max_length=255)
    # Where the domain was when asked for, and where it is to go (migrations only).
    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.SET_NULL, null=True, related_name="operations")
    target_hypervisor = models.ForeignKey(Hypervisor, on_delete=models.SET_NULL, null=True, related_name="+")
    # What the kind needs beyond the above, for example {"name": "new-name"}.
    parameters = models.JSONField(default=dict, blank=True)

    state = models.CharField(
        max_length=20, default=OperationState.QUEUED, choices=[(s.value, s.value) for s in OperationState]
    )
    # {"percent": 42, "transferred_bytes": …, "total_bytes": …, "remaining_bytes": …, "bytes_per_second": …,
    #  "remaining_seconds": …, "downtime_milliseconds": …}; every key may be missing.
    progress = models.JSONField(default=dict, blank=True)
    requested_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="operations")
    requested_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    # What it came to, for people: "Runs on host2, 94 ms of downtime", or the error and what to do.
    outcome = models.TextField(blank=True)

    # The claim: raised by each runner that takes it up, so that an older runner notices it has lost it.
    attempt = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-requested_at"]
        verbose_name = _("operation")
        constraints = [
            # The per-VM lock: a second request meets an IntegrityError, whichever process it comes from.
            models.UniqueConstraint(
                fields=["domain"],
                condition=Q(state__in=sorted(UNFINISHED_OPERATION_STATES)),
                name="one_unfinished_operation_per_domain",
            )
        ]
        indexes = [
            models.Index(fields=["-requested_at"], name="operation_by_request"),
            models.Index(fields=["domain", "-requested_at"], name="operation_by_domain"),
            models.Index(fields=["state", "hypervisor"], name="operation_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.domain_name}"

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED_OPERATION_STATES
