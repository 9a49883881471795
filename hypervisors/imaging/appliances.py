"""What somebody brings to be imported: an OVA, an OVF descriptor with its files beside it, or a disk alone.

All of it is read by ranges; nothing is believed that the bytes do not show.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from hypervisors.imaging.image_facts import HeaderProblem
from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head
from hypervisors.imaging.manifest import Digest, parse_manifest
from hypervisors.imaging.ova import (
    MOST_DESCRIPTOR_BYTES,
    MOST_MANIFEST_BYTES,
    Package,
    Reader,
    read_member,
    read_package,
)
from hypervisors.imaging.ovf import Appliance, ApplianceDisk, parse_ovf
from hypervisors.imaging.vmdk_tables import GrainTables

OVA, OVF, DISK = "ova", "ovf", "disk"
# What hosts convert; "raw" is a plain copy.
DISK_FORMATS = frozenset({"vmdk", "qcow2", "vdi", "vpc", "raw"})
_ROUNDING_BYTES = 1024**2


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A volume, or a part of one: what an appliance's file is."""

    read: Reader
    size_bytes: int
    volume_name: str
    offset: int = 0

    def part(self, offset: int, size_bytes: int) -> "StoredFile":
        return StoredFile(
            read=lambda at, length: self.read(offset + at, max(0, min(length, size_bytes - at))),
            size_bytes=size_bytes,
            volume_name=self.volume_name,
            offset=self.offset + offset,
        )


# The file of this name beside the descriptor; None when there is none.
Finder = Callable[[str], StoredFile | None]


@dataclass(frozen=True, kw_only=True)
class DiskFacts:
    """`populated_bytes`: the most that it takes on the storage once it is unpacked."""

    format: str
    virtual_size_bytes: int
    populated_bytes: int


@dataclass(frozen=True, kw_only=True)
class PackagedDisk:
    """One disk of the appliance and where its bytes lie; `problem` says why it cannot be taken, "" if it can."""

    disk: ApplianceDisk
    volume_name: str = ""
    offset: int = 0
    size_bytes: int = 0
    digest: Digest | None = None
    facts: DiskFacts | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ExaminedAppliance:
    """`descriptor_sha256`: of the descriptor's bytes; "" for a disk alone. `warnings`: sentences for people."""

    kind: str
    appliance: Appliance
    disks: tuple[PackagedDisk, ...]
    descriptor_sha256: str = ""
    warnings: tuple[str, ...] = ()


def examine(file: StoredFile, *, name: str, find: Finder) -> ExaminedAppliance:
    """`name` is the file's own. Raises: ValueError, fit for people, and what reading raises."""
    head = file.read(0, HEAD_BYTES)
    facts = inspect_head(head, size_bytes=file.size_bytes)
    if facts.format == "tar":
        return _examine_ova(file)
    if facts.format == "ovf":
        return _examine_ovf(file, name, find)
    if facts.format == "raw" and not name.lower().endswith((".img", ".raw")):
        raise ValueError("It is no OVA, no OVF descriptor, and no disk of a format that is known here.")
    if facts.format not in DISK_FORMATS:
        raise ValueError(facts.problem or f"It is of the format {facts.format}, which is no appliance.")
    return _examine_disk(file, name)


def judge_disk(file: StoredFile, *, declared: ApplianceDisk) -> DiskFacts:
    """Raises: ValueError, fit for people, for what must not be converted."""
    facts = inspect_head(file.read(0, HEAD_BYTES), size_bytes=file.size_bytes)
    if facts.problem:
        raise ValueError(facts.problem)
    if facts.format not in DISK_FORMATS:
        raise ValueError(f"It is of the format {facts.format}, which is none of a disk.")
    if declared.format and facts.format != declared.format:
        raise ValueError(f"It is of the format {facts.format}, and not {declared.format}, as its descriptor says.")
    size_bytes = facts.virtual_size_bytes or file.size_bytes
    if declared.capacity_bytes and size_bytes > declared.capacity_bytes + _ROUNDING_BYTES:
        raise ValueError("It unfolds to more than its descriptor says.")
    try:
        populated = _populated_bytes(file) if facts.format == "vmdk" else size_bytes
    except HeaderProblem as problem:
        raise ValueError(str(problem)) from problem
    return DiskFacts(format=facts.format, virtual_size_bytes=size_bytes, populated_bytes=populated)


def _populated_bytes(file: StoredFile) -> int:
    return GrainTables(file.read, size_bytes=file.size_bytes).populated_bytes()


def _examine_ova(file: StoredFile) -> ExaminedAppliance:
    package = read_package(file.read, size_bytes=file.size_bytes)
    descriptor = read_member(file.read, package.descriptor)
    digests = _digests(read_member(file.read, package.manifest) if package.manifest else None)
    _check_digest(descriptor, digests.get(package.descriptor.name))

    def find(name: str) -> StoredFile | None:
        member = package.find(name)
        return None if member is None else file.part(member.offset, member.size_bytes)

    return _examined(OVA, descriptor, digests, find, warnings=_package_warnings(package, digests))


def _examine_ovf(file: StoredFile, name: str, find: Finder) -> ExaminedAppliance:
    if file.size_bytes > MOST_DESCRIPTOR_BYTES:
        raise ValueError("The descriptor (.ovf) is larger than 4 MiB.")
    descriptor = file.read(0, file.size_bytes)
    beside = find(f"{name.removesuffix('.ovf')}.mf")
    content = beside.read(0, beside.size_bytes) if beside and beside.size_bytes <= MOST_MANIFEST_BYTES else None
    digests = _digests(content)
    _check_digest(descriptor, digests.get(name))
    return _examined(OVF, descriptor, digests, find, warnings=() if digests else (_NO_MANIFEST,))


def _examine_disk(file: StoredFile, name: str) -> ExaminedAppliance:
    """Nothing is known of its machine: the smallest that is of use."""
    stem = name.rsplit(".", 1)[0] or name
    declared = ApplianceDisk(name=name, file_name=name, file_bytes=file.size_bytes, capacity_bytes=0, format="")
    facts = judge_disk(file, declared=declared)
    disk = PackagedDisk(disk=declared, volume_name=file.volume_name, size_bytes=file.size_bytes, facts=facts)
    appliance = Appliance(name=stem, memory_kib=2 * 1024**2, disks=(declared,))
    warning = "Only a disk: choose its system, processors, memory and firmware yourself."
    return ExaminedAppliance(kind=DISK, appliance=appliance, disks=(disk,), warnings=(warning,))


def _examined(
    kind: str, descriptor: bytes, digests: dict[str, Digest], find: Finder, *, warnings: tuple[str, ...]
) -> ExaminedAppliance:
    appliance = parse_ovf(descriptor)
    return ExaminedAppliance(
        kind=kind,
        appliance=appliance,
        disks=tuple(_packaged(disk, digests, find) for disk in appliance.disks),
        descriptor_sha256=hashlib.sha256(descriptor).hexdigest(),
        warnings=warnings,
    )


def _packaged(disk: ApplianceDisk, digests: dict[str, Digest], find: Finder) -> PackagedDisk:
    if not disk.file_name:
        return PackagedDisk(disk=disk)
    file = find(disk.file_name)
    if file is None:
        return PackagedDisk(disk=disk, problem=f"The file “{disk.file_name}” is missing.")
    facts, problem = None, ""
    try:
        facts = judge_disk(file, declared=disk)
    except ValueError as error:
        problem = str(error)
    return PackagedDisk(
        disk=disk,
        volume_name=file.volume_name,
        offset=file.offset,
        size_bytes=file.size_bytes,
        digest=digests.get(disk.file_name),
        facts=facts,
        problem=problem,
    )


_NO_MANIFEST = "There is no manifest (.mf): whether the files are whole cannot be checked."


def _digests(manifest: bytes | None) -> dict[str, Digest]:
    return {} if manifest is None else parse_manifest(manifest)


def _check_digest(descriptor: bytes, digest: Digest | None) -> None:
    if digest is None:
        return
    begun = digest.begin()
    begun.update(descriptor)
    if begun.hexdigest() != digest.hexadecimal:
        raise ValueError("The descriptor (.ovf) is not the one that the manifest (.mf) was made for.")


def _package_warnings(package: Package, digests: dict[str, Digest]) -> tuple[str, ...]:
    warnings = [] if digests else [_NO_MANIFEST]
    if any(member.name.lower().endswith(".cert") for member in package.members):
        warnings.append("It is signed; the signature is not checked.")
    return tuple(warnings)
