"""Uploads from browsers: what is to arrive in which volume, and how much of it has."""

from typing import Self

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.operations import Operation
from hypervisors.models.storage_pools import StoragePool
from hypervisors.states import UNFINISHED_OPERATION_STATES, UNFINISHED_UPLOAD_STATES, UploadState


class UploadQuerySet(models.QuerySet["Upload"]):
    def unfinished(self) -> Self:
        """One whose operation was cancelled before it began, or given up, goes on no more whatever its state says."""
        running = {"operation__state__in": UNFINISHED_OPERATION_STATES}
        return self.filter(state__in=UNFINISHED_UPLOAD_STATES, **running)


class Upload(models.Model):
    """A file on its way from a browser into a volume. `operation` is the same thing in the list of tasks.

    The volume has its name from the beginning, is locked by the operation, and is hidden until the upload is over.
    """

    # The last part of the upload's address; good for its owner alone, and only while signed in.
    token = models.CharField(max_length=64, unique=True)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="uploads")
    operation = models.OneToOneField(Operation, on_delete=models.CASCADE, related_name="upload")
    storage_pool = models.ForeignKey(StoragePool, on_delete=models.CASCADE, related_name="uploads")
    volume_name = models.CharField(max_length=255)
    length_bytes = models.BigIntegerField()
    # What the host is known to have.
    received_bytes = models.BigIntegerField(default=0)
    bytes_per_second = models.BigIntegerField(default=0)
    # Lower-case hexadecimal; empty: the person gave none, or it is not known yet.
    sha256_expected = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    state = models.CharField(
        max_length=20, default=UploadState.WAITING, choices=[(state.value, state.value) for state in UploadState]
    )
    # Whether the volume is one that was made for it, which goes again if it fails.
    is_made = models.BooleanField(default=False)
    # Why it failed, for people.
    problem = models.TextField(blank=True)
    # What the file is to be: "iso", "disk", "ova"; empty: anything that a volume may hold.
    purpose = models.CharField(max_length=20, blank=True)
    # What the browser knows the file again by.
    fingerprint = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    # When bytes last arrived.
    touched_at = models.DateTimeField(default=timezone.now)

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("upload")
        indexes = [models.Index(fields=["state"], name="upload_by_state")]

    def __str__(self) -> str:
        return self.volume_name

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED_UPLOAD_STATES

    @property
    def is_given_up(self) -> bool:
        """Its operation ended without it: nothing keeps others from its volume any more."""
        return self.is_unfinished and self.operation.is_finished


class TransferLease(models.Model):
    """A transfer process's right to something for seconds, renewed over and over: to write one upload, or to one of
    the places that each host has for transfers.

    Keys: "upload:<token>", "host:<pk>:<number>".
    """

    key = models.CharField(max_length=100, unique=True)
    # The process and its transfer; nobody else renews or ends it.
    holder = models.CharField(max_length=200)
    until = models.DateTimeField()
    # Somebody else waits for it: its holder gives it up.
    is_wanted = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("transfer lease")

    def __str__(self) -> str:
        return self.key
