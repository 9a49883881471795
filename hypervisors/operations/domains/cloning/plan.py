"""What a copy of a machine would be: for each disk what becomes of it, and what a copy cannot have.

From rows alone, for dialogs and requests. A disk is copied, or put on top of a template's, or shared, or left out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.libvirtxml.domain_clones import clone_losses
from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Installation, Volume
from hypervisors.operations.domains.deletion.plan import find_volume

_MEDIA = ("cdrom", "floppy")
_FORMATS = ("qcow2", "raw")
# Storage whose volumes are no files or devices of the host.
_UNREACHABLE_POOLS = frozenset({"rbd", "gluster", "sheepdog", "iscsi-direct"})


class CloneAction(StrEnum):
    """What becomes of a disk."""

    COPY = "copy"  # a whole disk of its own
    OVERLAY = "overlay"  # only what differs from the template's, on top of it
    SHARE = "share"  # the very same
    EMPTY = "empty"  # the drive without its medium
    SKIP = "skip"  # not in the copy at all


ACTION_WORDS: dict[str, Promise] = {
    CloneAction.COPY: gettext_lazy("Copy"),
    CloneAction.OVERLAY: gettext_lazy("Linked"),
    CloneAction.SHARE: gettext_lazy("Share"),
    CloneAction.EMPTY: gettext_lazy("Empty drive"),
    CloneAction.SKIP: gettext_lazy("Leave out"),
}


@dataclass(frozen=True, kw_only=True)
class CloneDisk:
    """`actions`: what can become of it, the best first; `reason`: why that one, or why no other."""

    target: str
    source: str
    device: str
    volume: Volume | None
    actions: tuple[CloneAction, ...]
    reason: str = ""

    @property
    def choices(self) -> list[tuple[str, str]]:
        return [(str(action), str(ACTION_WORDS[action])) for action in self.actions]

    @property
    def name(self) -> str:
        return self.volume.name if self.volume else self.source


@dataclass(frozen=True, kw_only=True)
class ClonePlan:
    """`warnings`: what the copy does not have, or has in common with the original."""

    disks: tuple[CloneDisk, ...]
    interface_count: int
    warnings: tuple[str, ...]

    def find(self, target: str) -> CloneDisk | None:
        return next((disk for disk in self.disks if disk.target == target), None)

    @property
    def copied_bytes(self) -> int:
        """What whole copies take, about."""
        volumes = [disk.volume for disk in self.disks if CloneAction.COPY in disk.actions]
        return sum(volume.allocation_bytes for volume in volumes if volume is not None)


def clone_plan(domain: Domain) -> ClonePlan:
    definition = DomainDefinition.objects.filter(domain=domain).first() or DomainDefinition(domain=domain)
    parsed = parsed_from_json(definition.inactive_parsed or definition.live_parsed)
    seeds = _seed_paths(domain)
    return ClonePlan(
        disks=tuple(_planned(domain, disk, seeds) for disk in parsed.disks if disk.source),
        interface_count=len(parsed.interfaces),
        warnings=tuple(_warnings(domain, definition.inactive_xml, parsed)),
    )


def _planned(domain: Domain, disk: Disk, seeds: Iterable[str]) -> CloneDisk:
    volume = find_volume(domain, disk)
    actions, reason = _actions(domain, disk, volume, seeds)
    return CloneDisk(
        target=disk.target, source=disk.source, device=disk.device, volume=volume, actions=actions, reason=reason
    )


def _actions(
    domain: Domain, disk: Disk, volume: Volume | None, seeds: Iterable[str]
) -> tuple[tuple[CloneAction, ...], str]:
    if disk.source in seeds:
        return (CloneAction.EMPTY,), _("it holds this machine's first settings")
    if disk.device in _MEDIA:
        return (CloneAction.SHARE, CloneAction.EMPTY), _("a medium, which is only read")
    why_not = _why_no_copy(disk, volume)
    if disk.shareable or (disk.read_only and not domain.is_template):
        ways = (CloneAction.SHARE, CloneAction.COPY, CloneAction.SKIP)
        reason = _("shared by several machines already") if disk.shareable else _("only read by this machine")
        return (tuple(way for way in ways if not (why_not and way == CloneAction.COPY)), reason)
    if why_not:
        return (CloneAction.SKIP,), why_not
    if domain.is_template:
        return (CloneAction.OVERLAY, CloneAction.COPY, CloneAction.SKIP), ""
    return (CloneAction.COPY, CloneAction.SKIP), ""


def _why_no_copy(disk: Disk, volume: Volume | None) -> str:
    if volume is None:
        return _("It is in no storage pool, so vmportal cannot copy it.")
    if volume.quarantine:
        return volume.quarantine
    if volume.format not in _FORMATS:
        return _("It is of the format %(format)s, which is not copied.") % {"format": volume.format or "?"}
    if volume.storage_pool.pool_type in _UNREACHABLE_POOLS:
        return _("Volumes of a storage pool of the type %(type)s are not copied yet.") % {
            "type": volume.storage_pool.pool_type
        }
    return ""


def _warnings(domain: Domain, xml: str, parsed: ParsedDomain) -> Iterator[str]:
    try:
        losses = set(clone_losses(xml)) if xml else set()
    except ValueError:
        losses = set()
    if "tpm" in losses:
        yield _(
            "Its TPM is new and empty: what the original has encrypted with its own, such as BitLocker, needs the key."
        )
    if losses & {"hostdev", "lease"}:
        yield _("Devices of the host are left out: a device can be in one machine only.")
    if losses & {"filesystem", "shmem"}:
        yield _("It shares the same folders or memory of the host as the original.")
    if parsed.keeps_uefi_variables:
        yield _("Its UEFI variables are copied where the host lets us; else boot entries are made anew.")
    if domain.is_active:
        yield _(
            "It runs: its disks are copied as they are at one moment. Where no guest agent answers, that is as if its "
            "plug had been pulled."
        )
    yield _(
        "Inside, it is the original: host name, SSH host keys and machine-id (and with that often the DHCP address) "
        "stay the same unless cloud-init, sysprep or you change them."
    )


def _seed_paths(domain: Domain) -> set[str]:
    """The media that hold settings for this machine alone."""
    paths = set()
    for installation in Installation.objects.filter(uuid=domain.libvirt_uuid):
        names = {one.get("name") for one in installation.files}
        paths |= {path for path in installation.media.values() if str(path).rpartition("/")[2] in names}
    return paths
