"""Snapshots of domains, https://libvirt.org/html/libvirt-libvirt-domain-snapshot.html.

libvirt (9.0) sends no event about them: they are read after each operation, and when their names differ.
"""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import libvirt
import libvirt_qemu

from hypervisors.errors import HypervisorError, OperationRefused
from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import is_missing
from hypervisors.libvirtxml.domain_snapshots import ParsedSnapshot, SnapshotSpec, build_snapshot
from hypervisors.libvirtxml.domain_snapshots import parse_snapshot as parse

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Of one domain, so many are read; its others do not appear.
MOST_SNAPSHOTS = 256
_MOST_XML_BYTES = 512 * 1024
# What libvirt says before it has touched anything.
REFUSALS = frozenset(
    {
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_OPERATION_INVALID,
        libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    }
)
# QEMU's states of a job that still copies.
_UNDER_WAY = frozenset({"created", "running", "paused", "standby"})


@dataclass(frozen=True, kw_only=True)
class SnapshotFacts:
    """One snapshot. `problem`: why it cannot be read, for people; then only its name is known."""

    parsed: ParsedSnapshot
    is_current: bool = False
    xml: str = ""
    problem: str = ""


def list_snapshots(connection: Connection, uuid: UUID) -> tuple[SnapshotFacts, ...]:
    """All of one domain, in no order. Raises: errors.NotFound (the domain) and other HypervisorErrors.

    errors.OperationRefused where there are more than are read: nobody may judge of one by some of the others.
    """
    with translated("list the snapshots"):
        domain = connection.raw.lookupByUUID(uuid.bytes)
        if domain.snapshotNum(0) > MOST_SNAPSHOTS:
            raise OperationRefused(f"It has more than {MOST_SNAPSHOTS} snapshots: delete some by virsh first.")
        return read_snapshots(domain)


def read_snapshots(domain: "libvirt.virDomain") -> tuple[SnapshotFacts, ...]:
    """One that cannot be read harms none of the others. Raises: libvirt.libvirtError when the listing fails."""
    current = snapshot_names(domain)[:1]
    found = []
    for snapshot in domain.listAllSnapshots(0)[:MOST_SNAPSHOTS]:
        facts = _read(snapshot, current[0] if current else "")
        if facts is not None:
            found.append(facts)
    return tuple(found)


def snapshot_names(domain: "libvirt.virDomain") -> tuple[str, ...]:
    """First the name of the current one ("" where there is none), then all in order: differs when anything was made,
    deleted or reverted to. Two calls. Raises: libvirt.libvirtError.
    """
    names = sorted(domain.snapshotListNames(0)[:MOST_SNAPSHOTS])
    return (current_name(domain), *names) if names else ()


def take_snapshot(
    connection: Connection, uuid: UUID, spec: SnapshotSpec, *, is_active: bool, quiesce: bool = False
) -> None:
    """Take one. With memory it returns when that is written, and abort_job() may end it before.

    `quiesce`: the guest's agent freezes its file systems meanwhile; only without memory.
    Raises: errors.OperationAborted, OperationRefused, JobBusy, and other HypervisorErrors; libvirt has taken back what
    it began then.
    """
    flags = 0
    if spec.kind == "external":
        flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
        if not spec.has_memory:
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
        if spec.has_memory:
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_LIVE
        if quiesce and is_active and not spec.has_memory:
            flags |= libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE
    xml = build_snapshot(spec)
    _on_domain(connection, uuid, "take a snapshot", lambda domain: domain.snapshotCreateXML(xml, flags))


def thaw_guest(connection: Connection, uuid: UUID) -> None:
    """Have the guest's agent thaw what may be frozen; harmless where nothing is. Raises: errors.HypervisorError."""
    _on_domain(connection, uuid, "thaw the guest's file systems", lambda domain: domain.fsThaw(None, 0))


def revert_to_snapshot(connection: Connection, uuid: UUID, name: str, *, state: str = "", force: bool = False) -> None:
    """Go back to it. `state`: "running" or "paused" afterwards; "" as it was when it was taken.

    `force`: with a new QEMU process, also where the old one could not take the state over.
    """
    flags = {"running": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_RUNNING, "paused": libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED}
    flag = flags.get(state, 0) | (libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE if force else 0)
    try:
        _on_domain(
            connection,
            uuid,
            "go back to the snapshot",
            lambda domain: domain.revertToSnapshot(_find(domain, name), flag),
        )
    except HypervisorError as error:
        if error.libvirt_code == libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY:
            said = f"{error} With a new QEMU process, by force, it can."
            raise OperationRefused(said, libvirt_code=error.libvirt_code) from error
        raise


def delete_snapshot(connection: Connection, uuid: UUID, name: str) -> None:
    """Delete one alone. What an external one set apart is merged into the file below, and its own file deleted, which
    takes as long as that is large: see merge_progress(). One that is not there is gone already: no error.
    """

    def delete(domain: "libvirt.virDomain") -> None:
        try:
            _find(domain, name).delete(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
                raise

    _on_domain(connection, uuid, "delete the snapshot", delete)


def merge_progress(connection: Connection, uuid: UUID, targets: tuple[str, ...]) -> tuple[int, int] | None:
    """Bytes merged and in all of the disks' block jobs; None where none runs."""

    def read(domain: "libvirt.virDomain") -> tuple[int, int] | None:
        jobs = [job for job in (domain.blockJobInfo(target, 0) for target in targets) if job]
        return (sum(job["cur"] for job in jobs), sum(job["end"] for job in jobs)) if jobs else None

    return _on_domain(connection, uuid, "read how far it is", read)


def break_off_merges(connection: Connection, uuid: UUID, targets: tuple[str, ...]) -> bool:
    """Have QEMU end the merges of a deletion that is under way, which fails then: the domain stays on its files, and
    the snapshot is listed as before. False where there is nothing (any more) to be broken off.

    Measured with libvirt 9.0: virDomainAbortJob says that it ended the deletion, and does nothing, and
    virDomainBlockJobAbort waits until it is over. So QEMU is asked by its own name:
    https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html.
    Raises: errors.HypervisorError.
    """

    def break_off(domain: "libvirt.virDomain") -> bool:
        if not domain.isActive():
            return False
        jobs = [job for job in _ask_qemu(domain, "query-block-jobs") if _is_merge_of(job, targets)]
        # Where all are ready libvirt ends them this moment; while one is not, it waits with the others.
        if not any(job.get("status") in _UNDER_WAY for job in jobs):
            return False
        for job in jobs:
            with suppress(_Gone):
                _ask_qemu(domain, "job-cancel", id=job["device"])
        return True

    return _on_domain(connection, uuid, "break off the merge", break_off)


class _Gone(Exception):
    """QEMU has refused: the job is over."""


def _ask_qemu(domain: "libvirt.virDomain", command: str, **arguments: str) -> Any:
    """Raises: _Gone, libvirt.libvirtError."""
    request = json.dumps({"execute": command, "arguments": arguments})
    answer = json.loads(libvirt_qemu.qemuMonitorCommand(domain, request, 0))
    if "return" not in answer:
        raise _Gone(answer)
    return answer["return"]


def _is_merge_of(job: Mapping[str, Any], targets: tuple[str, ...]) -> bool:
    """By the name that libvirt gave it: "commit-vda-libvirt-1-format"."""
    return job.get("type") == "commit" and any(str(job["device"]).startswith(f"commit-{one}-") for one in targets)


def _read(snapshot: "libvirt.virDomainSnapshot", current: str) -> SnapshotFacts | None:
    """None for one that was deleted meanwhile, or whose name is no text."""
    try:
        name = snapshot.getName()
    except UnicodeDecodeError:
        logger.warning("A snapshot is passed over: its name is not UTF-8.")
        return None
    try:
        xml = snapshot.getXMLDesc(0)
        if len(xml) > _MOST_XML_BYTES:
            raise ValueError(f"Its XML is longer than {_MOST_XML_BYTES // 1024} KiB.")
        return SnapshotFacts(parsed=parse(xml), is_current=name == current, xml=xml)
    except (libvirt.libvirtError, ValueError) as error:
        if isinstance(error, libvirt.libvirtError) and is_missing(error):
            return None
        return SnapshotFacts(parsed=ParsedSnapshot(name=name), is_current=name == current, problem=str(error))


def current_name(domain: "libvirt.virDomain") -> str:
    """ "" where there is none. Raises: libvirt.libvirtError."""
    try:
        return str(domain.snapshotCurrent(0).getName())
    except libvirt.libvirtError as error:
        if is_missing(error):
            return ""
        raise


def _find(domain: "libvirt.virDomain", name: str) -> "libvirt.virDomainSnapshot":
    return domain.snapshotLookupByName(name, 0)


def _on_domain(connection: Connection, uuid: UUID, what: str, call: Callable[["libvirt.virDomain"], T]) -> T:
    with translated(what):
        return call(connection.raw.lookupByUUID(uuid.bytes))
