"""What a snapshot of a machine would hold, which kinds can be taken now, and why not the others: from rows alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from lxml import etree

from hypervisors.libvirtxml.documents import parse_document
from hypervisors.libvirtxml.domain_devices import Disk
from hypervisors.libvirtxml.domains import ParsedDomain, parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Volume
from hypervisors.operations.domains.deletion.plan import find_volume
from hypervisors.operations.domains.snapshotting.reasons import tree_of, why_no_new
from hypervisors.operations.storage.room import RESERVE_BYTES, size_text
from hypervisors.operations.storage.storage_operations import why_no_storage_pool
from hypervisors.planning.snapshot_trees import SnapshotTree
from hypervisors.states import DomainState

# What is kept, and where: the choice that a person makes.
INTERNAL, EXTERNAL, EXTERNAL_MEMORY = "internal", "external", "external_memory"
MODES = {
    INTERNAL: gettext_lazy("Inside the disks"),
    EXTERNAL: gettext_lazy("Outside of the disks"),
    EXTERNAL_MEMORY: gettext_lazy("Outside of the disks, with memory"),
}
_AGENT = "org.qemu.guest_agent.0"
_LEFT_OUT_DEVICES = ("cdrom", "floppy")


@dataclass(frozen=True, kw_only=True)
class PlannedDisk:
    """A disk of the machine. `is_left_out`: media and what is only read stay as they are in any case."""

    target: str
    source: str
    volume: Volume | None = None
    is_left_out: bool = False
    why_not_internal: str = ""
    why_not_external: str = ""


@dataclass(frozen=True, kw_only=True)
class SnapshotPlan:
    """`why_not` by mode ("" where it can be taken), and why the guest's file systems cannot be frozen meanwhile."""

    disks: tuple[PlannedDisk, ...]
    why_not: dict[str, str]
    why_no_quiesce: str
    warnings: dict[str, tuple[str, ...]]

    @property
    def held(self) -> tuple[PlannedDisk, ...]:
        return tuple(disk for disk in self.disks if not disk.is_left_out)

    @property
    def best(self) -> str:
        """What is proposed: with its memory where that is quick; "" where nothing can be taken."""
        order = (INTERNAL, EXTERNAL, EXTERNAL_MEMORY)
        return next((mode for mode in order if not self.why_not[mode]), "")


def snapshot_plan(domain: Domain) -> SnapshotPlan:
    definition = DomainDefinition.objects.filter(domain=domain).first() or DomainDefinition(domain=domain)
    parsed = parsed_from_json(definition.live_parsed or definition.inactive_parsed)
    disks = tuple(_planned(domain, disk) for disk in parsed.disks)
    tree = tree_of(domain.snapshots.defer("xml"))
    held = [disk for disk in disks if not disk.is_left_out]
    return SnapshotPlan(
        disks=disks,
        why_not={
            INTERNAL: _first(_internal_obstacles(domain, parsed, disks, tree)),
            EXTERNAL: _first(_external_obstacles(held, tree)),
            EXTERNAL_MEMORY: _first(_memory_obstacles(domain, held, tree)),
        },
        why_no_quiesce=_why_no_quiesce(domain, parsed, definition.live_xml),
        warnings={mode: tuple(_warnings(mode, domain, parsed, held)) for mode in MODES},
    )


def memory_bytes(domain: Domain) -> int:
    """What its memory can take of the storage at most."""
    return domain.memory_kib * 1024 + RESERVE_BYTES


def _planned(domain: Domain, disk: Disk) -> PlannedDisk:
    if disk.device in _LEFT_OUT_DEVICES or disk.read_only or not disk.source:
        reason = _medium_obstacle(disk)
        return PlannedDisk(target=disk.target, source=disk.source, is_left_out=True, why_not_internal=reason)
    volume = find_volume(domain, disk)
    return PlannedDisk(
        target=disk.target,
        source=disk.source,
        volume=volume,
        why_not_internal=_first(_disk_internal_obstacles(disk)),
        why_not_external=_first(_disk_external_obstacles(disk, volume)),
    )


def _medium_obstacle(disk: Disk) -> str:
    """QEMU keeps whatever can be written, or nothing."""
    if disk.device != "floppy" or disk.read_only or not disk.source:
        return ""
    return _("The medium in “%(disk)s” can be written to and hold no snapshot: eject it first.") % {"disk": disk.target}


def _disk_internal_obstacles(disk: Disk) -> Iterator[str]:
    values = {"disk": disk.target, "format": disk.format or "raw"}
    if disk.format != "qcow2":
        yield _("“%(disk)s” is %(format)s: only qcow2 can hold a snapshot.") % values
    yield from _disk_obstacles(disk)


def _disk_external_obstacles(disk: Disk, volume: Volume | None) -> Iterator[str]:
    yield from _disk_obstacles(disk)
    values = {"disk": disk.target, "source": disk.source}
    if disk.source_kind not in ("file", "volume") or (volume is not None and volume.volume_type not in ("file", "")):
        yield _("“%(disk)s” is no file: there is no place beside it for what is written later.") % values
    elif volume is None:
        yield _("“%(disk)s” (%(source)s) is in no storage pool: there is no place for what is written later.") % values
    else:
        reason = why_no_storage_pool(volume.storage_pool)
        if reason:
            yield f"{disk.target}: {reason}"


def _disk_obstacles(disk: Disk) -> Iterator[str]:
    values = {"disk": disk.target}
    if disk.device == "lun":
        yield _("“%(disk)s” is a device of the host, passed through.") % values
    if disk.shareable:
        yield _("“%(disk)s” is shared with other machines.") % values
    if disk.is_transient:
        yield _("What is written to “%(disk)s” is thrown away when the machine stops.") % values
    if disk.block_job:
        yield _("“%(disk)s” is being copied or merged.") % values


def _internal_obstacles(
    domain: Domain, parsed: ParsedDomain, disks: tuple[PlannedDisk, ...], tree: SnapshotTree
) -> Iterator[str]:
    held = [disk for disk in disks if not disk.is_left_out]
    yield why_no_new(tree, external=False)
    if parsed.firmware == "efi":
        yield _("It has UEFI firmware, whose variables libvirt keeps in no snapshot inside the disks.")
    yield from (disk.why_not_internal for disk in disks)
    yield _no_disks(held)
    first = held[0].volume if held else None
    if domain.is_active and first is not None:
        yield _why_no_room(first, memory_bytes(domain))


def _external_obstacles(held: list[PlannedDisk], tree: SnapshotTree) -> Iterator[str]:
    yield why_no_new(tree, external=True)
    yield from (disk.why_not_external for disk in held)
    yield _no_disks(held)
    yield from (_why_no_room(disk.volume, RESERVE_BYTES) for disk in held if disk.volume is not None)


def _memory_obstacles(domain: Domain, held: list[PlannedDisk], tree: SnapshotTree) -> Iterator[str]:
    if not domain.is_active:
        yield _("It is off: there is no memory to keep.")
    yield from _external_obstacles(held, tree)
    first = held[0].volume if held else None
    if first is not None:
        yield _why_no_room(first, memory_bytes(domain))


def _no_disks(held: list[PlannedDisk]) -> str:
    return "" if held else _("It has no disk that could be kept.")


def _why_no_room(volume: Volume, needed_bytes: int) -> str:
    free_bytes = volume.storage_pool.available_bytes
    if free_bytes >= needed_bytes:
        return ""
    return _("The storage pool “%(pool)s” is too full: %(needed)s are needed, %(free)s are free.") % {
        "pool": volume.storage_pool.name,
        "needed": size_text(needed_bytes),
        "free": size_text(free_bytes),
    }


def _why_no_quiesce(domain: Domain, parsed: ParsedDomain, live_xml: str) -> str:
    if domain.state not in (DomainState.RUNNING, DomainState.BLOCKED):
        return _("It is not running.")
    if not parsed.has_guest_agent_channel:
        return _("It has no channel to a guest agent.")
    return "" if _is_agent_connected(live_xml) else _("Its guest agent does not run.")


def _is_agent_connected(live_xml: str) -> bool:
    try:
        root: etree._Element = parse_document(live_xml)
    except ValueError:
        return False
    targets = root.iterfind("devices/channel/target")
    return any(target.get("name") == _AGENT and target.get("state") == "connected" for target in targets)


def _warnings(mode: str, domain: Domain, parsed: ParsedDomain, held: list[PlannedDisk]) -> Iterator[str]:
    if mode == INTERNAL:
        if domain.is_active:
            yield _("It stands still while its memory is written into its first disk.")
        return
    if parsed.firmware == "efi" or parsed.tpm:
        yield _("UEFI variables and the state of a TPM are not part of it.")
    for disk in held:
        volume = disk.volume
        if volume is not None and volume.capacity_bytes > volume.storage_pool.available_bytes:
            yield _("%(disk)s: the new file can grow to %(size)s, and %(free)s are free.") % {
                "disk": disk.target,
                "size": size_text(volume.capacity_bytes),
                "free": size_text(volume.storage_pool.available_bytes),
            }


def _first(reasons: Iterable[str]) -> str:
    return next(filter(None, reasons), "")
