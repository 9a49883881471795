"""Operations: who asked for what of which subject, how far it is and how it ended; and the locks that each holds."""

import uuid
from typing import Self

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.rights import Requester, rights_of
from hypervisors.privileges import Privilege
from hypervisors.states import UNFINISHED_OPERATION_STATES, OperationState

_SUBJECTS_SEEN_BY = {
    Privilege.STORAGE_VIEW: ("storage_pool", "volume"),
    Privilege.NETWORK_VIEW: ("network",),
    Privilege.HYPERVISOR_VIEW: ("hypervisor", "hypervisor_pool"),
}


class OperationQuerySet(models.QuerySet["Operation"]):
    """Access checks and the usual selections."""

    def visible_to(self, user: Requester) -> Self:
        """Those on subjects that the user may see, and bulk requests of their own."""
        rights = rights_of(user)
        if rights.sees_everything:
            return self.all()
        seen = Q(domain__in=Domain.objects.visible_to(user).values("pk"))
        seen |= Q(domain=None, subject_type="several", requested_by=user.pk)
        for privilege, subject_types in _SUBJECTS_SEEN_BY.items():
            if privilege in rights.everywhere:
                seen |= Q(subject_type__in=subject_types)
            elif pools := rights.pools_with(privilege):
                seen |= Q(subject_type__in=subject_types, hypervisor__hypervisor_pool__in=pools)
        return self.filter(seen)

    def unfinished(self) -> Self:
        return self.filter(state__in=UNFINISHED_OPERATION_STATES)

    def top_level_for(self, user: Requester) -> Self:
        """A bulk request counts once; its parts stand alone only for who may not see the request itself."""
        if rights_of(user).sees_everything:
            return self.filter(parent=None)
        return self.filter(Q(parent=None) | ~Q(parent__requested_by=user.pk))


class Operation(models.Model):
    """Something that was asked for. Written in the request, queued on commit; then the runner alone changes it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The name of its OperationType, see operations/engine/types.py.
    kind = models.CharField(max_length=50)
    # What it is about: see operations/engine/subjects.py. "domain" and a UUID, "storage_pool" and a primary key …
    subject_type = models.CharField(max_length=30, default="domain")
    subject_key = models.CharField(max_length=100, default="")
    # As it was called when asked for: history stays readable after a rename.
    subject_name = models.CharField(max_length=255)
    # The virtual machine, where the subject is one.
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, null=True, blank=True, related_name="operations")
    # Where the subject was when asked for, and where it is to go (migrations only).
    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.SET_NULL, null=True, related_name="operations")
    target_hypervisor = models.ForeignKey(Hypervisor, on_delete=models.SET_NULL, null=True, related_name="+")
    # The request that this one is a part of: a bulk action, a plan.
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children")
    # What the kind needs beyond the above, for example {"name": "new-name"}: the fields of its Parameters.
    parameters = models.JSONField(default=dict, blank=True)

    state = models.CharField(
        max_length=20, default=OperationState.QUEUED, choices=[(s.value, s.value) for s in OperationState]
    )
    # {"percent": 42, "transferred_bytes": …, "total_bytes": …, "remaining_bytes": …, "bytes_per_second": …,
    #  "remaining_seconds": …, "downtime_milliseconds": …, "children": {"total": …, "done": …, "failed": …}};
    # every key may be missing.
    progress = models.JSONField(default=dict, blank=True)
    # [{"name", "label", "state": "doing" | "done" | "undoing" | "undone" | "left", "intent": {…}, "made": {…}}, …],
    # first begun first: see operations/engine/steps.py.
    steps = models.JSONField(default=list, blank=True)
    # {"state", "text"}: how it will end once its finished steps are undone; null while it goes forward.
    ending = models.JSONField(null=True, blank=True)
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
        indexes = [
            models.Index(fields=["-requested_at"], name="operation_by_request"),
            models.Index(fields=["domain", "-requested_at"], name="operation_by_domain"),
            models.Index(fields=["subject_type", "subject_key", "-requested_at"], name="operation_by_subject"),
            models.Index(fields=["state", "hypervisor"], name="operation_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_name}"

    @property
    def is_finished(self) -> bool:
        return self.state not in UNFINISHED_OPERATION_STATES


class OperationLock(models.Model):
    """One thing that an unfinished operation has for itself.

    Keys: "domain:<uuid>", "volume:<storage>/<name>", "name:<hypervisor pool>/<name>", "storage_pool:<pk>" and the like.
    Written in the transaction of the request, deleted in that of the operation's end; a second request for the same key
    meets an IntegrityError, whichever process it comes from.
    """

    key = models.CharField(max_length=400, unique=True)
    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="locks")
    taken_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("operation lock")

    def __str__(self) -> str:
        return self.key
