"""Snapshots of domains as their hypervisor last told us, what only we know of them, and when they are taken."""

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Length
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.operations import Operation
from hypervisors.planning.snapshot_times import DAILY, HOURS, WEEKLY, Rhythm, next_moment


class DomainSnapshot(models.Model):
    """One snapshot, known by its name in its domain. The inventory writes it."""

    INTERNAL, EXTERNAL = "internal", "external"

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="snapshots")
    name = models.CharField(max_length=255)
    # Empty for one that none is above.
    parent_name = models.CharField(max_length=255, blank=True)
    kind = models.CharField(max_length=20, choices=[(INTERNAL, INTERNAL), (EXTERNAL, EXTERNAL)])
    has_memory = models.BooleanField(default=False)
    memory_path = models.TextField(blank=True)
    # What the domain did when it was taken: "running", "paused", "shutoff", "disk-snapshot" (running, without memory).
    state = models.CharField(max_length=40, blank=True)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    # Whether the domain's present state began with it.
    is_current = models.BooleanField(default=False)
    # libvirtxml.domain_snapshots.SnapshotDisk of each of its disks, as JSON.
    disks = models.JSONField(default=list, blank=True)
    xml = models.TextField(blank=True)
    # Why it cannot be read, for people; empty: nothing is wrong.
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["created_at", "name"]
        verbose_name = _("snapshot")
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="one_snapshot_name_per_domain")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_external(self) -> bool:
        return self.kind == self.EXTERNAL

    @property
    def overlays(self) -> dict[str, str]:
        """The file of each disk that what was written after an external snapshot went to, by the disk's target."""
        return {str(disk["target"]): str(disk["overlay"]) for disk in self.disks if disk.get("overlay")}

    @property
    def is_unfinished(self) -> bool:
        """Whether the merge of a later one into its file was broken off, as libvirt says."""
        return any(disk.get("is_unfinished") for disk in self.disks)

    @property
    def held_targets(self) -> list[str]:
        """The disks that it holds: "vda", "vdb"."""
        return [str(disk["target"]) for disk in self.disks if disk.get("kind") in (self.INTERNAL, self.EXTERNAL)]


class SnapshotSchedule(models.Model):
    """When vmportal takes snapshots of a machine by itself, and how many of them it keeps."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="snapshot_schedules")
    # What the names of its snapshots begin with.
    prefix = models.CharField(max_length=40)
    frequency = models.CharField(max_length=20, choices=[(one, one) for one in (HOURS, DAILY, WEEKLY)])
    every_hours = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(168)])
    # On the server's clock, settings.TIME_ZONE; Monday is 0.
    at_time = models.TimeField(default=time())
    weekday = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(6)])
    keep = models.PositiveSmallIntegerField(default=7, validators=[MinValueValidator(1), MaxValueValidator(200)])
    # What they keep and where: one of operations/domains/snapshotting/plan.py's MODES.
    mode = models.CharField(max_length=20)
    quiesce = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    # By whose right it takes them: who made it, or took it over; null: they have no account any more.
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    # What they were called, which outlives the account.
    owner_name = models.CharField(max_length=150, blank=True)
    # Since when they may not take snapshots of the machine any more, as far as that was seen; null: they may.
    without_right_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    next_run_at = models.DateTimeField(db_index=True)
    last_run_at = models.DateTimeField(null=True, blank=True)
    # What it has asked for last, until what came of that is written down here.
    operation = models.ForeignKey(Operation, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    # Why the last run, or the removal of old ones, did not do what it should, for people; empty: it did.
    problem = models.TextField(blank=True)
    # Whether it is to be looked for snapshots of its own that are too many.
    tidies = models.BooleanField(default=False)

    class Meta:
        ordering = ["prefix", "pk"]
        verbose_name = _("snapshot schedule")
        constraints = [
            models.UniqueConstraint(fields=["domain", "prefix"], name="one_snapshot_schedule_of_a_prefix_per_domain")
        ]

    def __str__(self) -> str:
        return self.prefix

    def next_after(self, moment: datetime) -> datetime:
        """When it is due next, by the server's clock."""
        rhythm = Rhythm(
            frequency=self.frequency, every_hours=self.every_hours, at_time=self.at_time, weekday=self.weekday
        )
        return next_moment(rhythm, after=moment, zone=ZoneInfo(settings.TIME_ZONE))


class SnapshotNote(models.Model):
    """What only we know of a snapshot that vmportal took. It counts for the one of that name and time alone."""

    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="snapshot_notes")
    name = models.CharField(max_length=255)
    # libvirt's time of it, to the second.
    created_at = models.DateTimeField()
    noted_at = models.DateTimeField(default=timezone.now)
    taken_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    # The schedule that it belongs to: nothing else is ever deleted by one.
    schedule = models.ForeignKey(
        SnapshotSchedule, on_delete=models.SET_NULL, null=True, blank=True, related_name="notes"
    )
    # Since when what was written later is merged into its files, unless that is finished: it holds no whole moment.
    merge_began_at = models.DateTimeField(null=True, blank=True)
    # What the guest showed, as a small PNG; empty: nothing.
    picture = models.BinaryField(default=b"", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="one_note_per_snapshot")]

    def __str__(self) -> str:
        return self.name


def notes_of(snapshots: "list[DomainSnapshot]") -> dict[str, Any]:
    """SnapshotNote by name, of the snapshots of one domain; without pictures, whose length is `picture_bytes`."""
    if not snapshots:
        return {}
    times = {snapshot.name: snapshot.created_at for snapshot in snapshots}
    notes = SnapshotNote.objects.filter(domain=snapshots[0].domain_id).annotate(picture_bytes=Length("picture"))
    notes = notes.defer("picture").select_related("taken_by", "schedule")
    return {note.name: note for note in notes if times.get(note.name) == note.created_at}
