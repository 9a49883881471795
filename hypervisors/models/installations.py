"""Installations: machines that vmportal made, whose guest still needs what it was given for its first boots."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hypervisors.models.domains import Domain
from hypervisors.models.hypervisors import Hypervisor

_ATTRIBUTE = "_vmportal_installation"


class InstallationQuerySet(models.QuerySet["Installation"]):
    def unfinished(self) -> "InstallationQuerySet":
        return self.filter(ended_at=None)

    def of(self, domain: Domain) -> "Installation | None":
        """The latest of the machine; None for one that vmportal did not make, or that needed nothing.

        Asked for once for each `Domain` object: a page asks for every action that it shows.
        """
        if not hasattr(domain, _ATTRIBUTE):
            found = self.filter(uuid=domain.libvirt_uuid, hypervisor_pool=_pool_id(domain)).order_by("-started_at")
            setattr(domain, _ATTRIBUTE, found.first())
        return getattr(domain, _ATTRIBUTE)  # type: ignore[no-any-return]


class Installation(models.Model):
    """One machine's first boots: its installer, its cloud-init seed, or both. Kept when they are over.

    It is known by its pool and libvirt's UUID: the machine's own row comes seconds later, and may move to another host.
    """

    class Phase(models.TextChoices):
        INSTALLING = "installing", _("Installing")
        SEEDED = "seeded", _("First boot")

    uuid = models.UUIDField(db_index=True)
    hypervisor_pool = models.ForeignKey("hypervisors.HypervisorPool", on_delete=models.CASCADE, related_name="+")
    # Where it was made.
    hypervisor = models.ForeignKey(Hypervisor, on_delete=models.CASCADE, related_name="+")
    operation_id = models.UUIDField(null=True, blank=True)
    phase = models.CharField(max_length=20, choices=Phase.choices)
    # {"sda": "/srv/isos/debian-12.iso"}: the drives that are emptied at its end, and what is in them.
    media = models.JSONField(default=dict, blank=True)
    # [{"storage_pool": <pk>, "name": …}]: seeds, kernels: deleted at its end.
    files = models.JSONField(default=list, blank=True)
    # What it boots from while it installs: "cdrom", "network", "kernel"; "" for a seed alone.
    source = models.CharField(max_length=20, blank=True)
    # {"kernel", "initrd", "cmdline"}: what it boots directly from while it installs.
    kernel = models.JSONField(default=dict, blank=True)
    # Windows' installer reboots twice before it is done with its medium.
    reboots_expected = models.PositiveSmallIntegerField(default=1)
    reboots_seen = models.PositiveSmallIntegerField(default=0)
    last_reboot_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    # How it ended, for people: "", while it goes on.
    outcome = models.TextField(blank=True)

    objects = InstallationQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        verbose_name = _("installation")

    def __str__(self) -> str:
        return f"{self.phase} {self.uuid}"

    @property
    def media_names(self) -> list[str]:
        """What it is installed from, without the seed."""
        seeds = {one.get("name") for one in self.files}
        names = [str(path).rpartition("/")[2] for path in self.media.values()]
        return [name for name in names if name not in seeds]


def _pool_id(domain: Domain) -> int | None:
    return None if domain.hypervisor is None else domain.hypervisor.hypervisor_pool_id
