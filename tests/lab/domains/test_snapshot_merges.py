"""Merging snapshots: broken off on the way, and refused where others need the files; asserted by virsh and qemu-img."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.lab.guest import Guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from hypervisors.errors import NotPossible
from hypervisors.models import Operation, SnapshotNote, Volume
from hypervisors.operations.domains.snapshotting.reasons import why_spoilt
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.states import OperationState
from tests.lab.domains.snapped import (
    POOL,
    chain_of,
    does,
    files_of,
    has_snapshots,
    row_of,
    snapped_guest,
    storage_as_before,
    takes,
    wait_until_answering,
    wait_until_known,
    writes,
)
from tests.lab.portals import Portal, PortalGuest, ended, wait_for_operation
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("storage",)
MIB = 1024**2
SLOW = "/var/lib/libvirt/slow"


@pytest.fixture(autouse=True)
def clean(portal: Portal) -> Iterator[None]:
    with storage_as_before(portal):
        yield


@contextmanager
def _slow_directory(host: Host) -> Iterator[str]:
    """One of the host's in which what is merged takes seconds."""
    host.run("mkdir", "-p", f"{SLOW}-source", SLOW)
    host.run("bindfs", f"--write-rate={4 * MIB}", f"{SLOW}-source", SLOW)
    try:
        yield SLOW
    finally:
        host.run("umount", "--lazy", SLOW)
        host.run("rm", "-r", f"{SLOW}-source", SLOW)


def _snapshot_by_hand(guest: PortalGuest, name: str, overlay: str) -> None:
    host = guest.portal.hosts[0]
    host.virsh("snapshot-create-as", guest.uuid, name, "--disk-only", "--diskspec", f"vda,file={overlay}")


def _is_merging(row: Operation) -> bool:
    steps = [step["name"] for step in row.steps]
    return steps[-1:] == ["delete_2"] and float(row.progress.get("percent", 0)) > 0


def test_a_deletion_that_is_cancelled_says_what_is_gone_and_the_guest_goes_on(portal: Portal) -> None:
    """Three of them: the newest, with its memory, goes at once; the next is merged slowly."""
    host = portal.hosts[0]
    with snapped_guest(portal, start=False) as guest, _slow_directory(host) as slow:
        base = Path(guest.lab_guest.disk_path)
        before = set(files_of(portal))
        _snapshot_by_hand(guest, "one", f"{slow}/one.qcow2")
        middle = base.with_name("snapped-two.qcow2")
        _snapshot_by_hand(guest, "two", str(middle))
        host.run("qemu-io", "-f", "qcow2", "-c", "write -P 5 8M 40M", str(middle))
        host.virsh("start", guest.uuid)
        guest.becomes(state="running")
        guest.wait_until_it_counts()
        wait_until(lambda: row_of(guest).snapshots.count() == 2, seconds=60)
        files_of(portal)
        wait_until_known(guest, str(middle))
        takes(guest, "three", "external_memory")

        wait_until_answering(guest)
        operation = wait_for_operation(guest.ask("delete_snapshot", name="one", children=True), _is_merging, seconds=90)
        request_cancel(Operation.objects.get(pk=operation.pk), user=portal.alice)
        operation = ended(operation)
        assert operation.state == OperationState.CANCELLED, operation.outcome
        assert "Deleted: “three”. Still there: “two”, “one”." in operation.outcome
        assert "“two” is partly merged" in operation.outcome
        has_snapshots(guest, "one", "two")
        assert chain_of(guest) == ["snapped-two.qcow2", "one.qcow2", "snapped.qcow2"]
        assert set(files_of(portal)) - before == {"snapped-two.qcow2"}
        guest.wait_until_it_counts()
        one, two = (row_of(guest).snapshots.get(name=name) for name in ("one", "two"))
        assert "no whole moment" in why_spoilt(two)
        assert why_spoilt(one) == ""
        wait_until(lambda: row_of(guest).snapshots.get(name="one").is_unfinished, seconds=150)
        wait_until_answering(guest)
        with pytest.raises(NotPossible, match="Finish deleting “two” first"):
            guest.ask("delete_snapshot", name="one")

        does(guest, "delete_snapshot", name="one", children=True)
        has_snapshots(guest)
        assert chain_of(guest) == ["snapped.qcow2"]
        assert not SnapshotNote.objects.exists()
        guest.wait_until_it_counts()
        assert guest.lab_guest.boots() == 1
        host.virsh("destroy", guest.uuid)
        said = host.run("qemu-io", "-r", "-f", "qcow2", "-c", "read -P 5 8M 40M", str(base))
        assert "Pattern verification failed" not in said
        assert set(files_of(portal)) == before


@contextmanager
def _clone_by_hand(portal: Portal, path: str) -> Iterator[None]:
    """An overlay that no row knows of, as a script of somebody makes one."""
    clone = Path(path).with_name("clone-by-hand.qcow2")
    portal.hosts[0].run("qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2", str(clone))
    try:
        yield
    finally:
        clone.unlink()
        for host in portal.hosts:
            host.virsh("pool-refresh", POOL)
        gone = Volume.objects.present().filter(name=clone.name)
        wait_until(lambda: not gone.exists(), seconds=150)


def _is_refused(guest: PortalGuest, kind: str, name: str) -> str:
    """What is said: by the rows, if they know it by now; else by the worker."""
    try:
        operation = ended(guest.ask(kind, name=name))
    except NotPossible as error:
        return str(error)
    assert operation.state == OperationState.FAILED, operation.outcome
    return operation.outcome


def test_what_the_hosts_have_at_that_moment_counts_whatever_the_rows_say(portal: Portal, lab: Lab) -> None:
    with snapped_guest(portal, start=False) as guest:
        base = guest.lab_guest.disk_path
        takes(guest, "outside", "external")
        with _clone_by_hand(portal, base):
            assert "clone-by-hand.qcow2" in _is_refused(guest, "delete_snapshot", "outside")
        with _machine_by_hand(portal.hosts[1], lab, base):
            assert "“thief” on" in _is_refused(guest, "delete_snapshot", "outside")
        has_snapshots(guest, "outside")
        does(guest, "delete_snapshot", name="outside")

        takes(guest, "inside", "internal")
        writes(guest, 9, base)
        with _clone_by_hand(portal, base):
            assert "clone-by-hand.qcow2" in _is_refused(guest, "revert_snapshot", "inside")
        with _machine_by_hand(portal.hosts[1], lab, base):
            assert "“thief” on" in _is_refused(guest, "revert_snapshot", "inside")
        does(guest, "revert_snapshot", name="inside")


@contextmanager
def _machine_by_hand(host: Host, lab: Lab, path: str) -> Iterator[Guest]:
    """One on the other host that has the disk, too."""
    with lab.guest(host, "thief", start=False) as guest:
        host.virsh("detach-disk", guest.uuid, "vda", "--config")
        host.virsh("attach-disk", guest.uuid, path, "vda", "--subdriver", "qcow2", "--config")
        yield guest
