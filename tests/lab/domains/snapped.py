"""Machines of the lab that snapshots are taken of, and what they hold."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.lab.process import LabError
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.models import Domain, DomainSnapshot, StoragePool, Volume
from hypervisors.states import OperationState
from tests.lab.portals import Portal, PortalGuest, ended
from tests.watching import wait_until

POOL = "shared"


@contextmanager
def storage_as_before(portal: Portal) -> Iterator[None]:
    """What a test left in the storage goes afterwards."""
    before = set(files_of(portal))
    wait_until(lambda: StoragePool.objects.filter(name=POOL, active=True).exclude(shared_storage=None).count() == 2)
    yield
    for name in set(files_of(portal)) - before:
        portal.hosts[0].virsh("vol-delete", name, "--pool", POOL)


def files_of(portal: Portal) -> list[str]:
    portal.hosts[0].virsh("pool-refresh", POOL)
    return [line.split()[0] for line in portal.hosts[0].virsh("vol-list", POOL).splitlines() if line.strip()]


@contextmanager
def snapped_guest(portal: Portal, *, start: bool) -> Iterator[PortalGuest]:
    """One whose disk is known as a volume."""
    with portal.guest("snapped", start=start) as guest:
        wait_until_known(guest, guest.lab_guest.disk_path)
        yield guest


def wait_until_known(guest: PortalGuest, path: str) -> None:
    """Until our rows have the file as a volume."""
    for pool in StoragePool.objects.filter(name=POOL):
        request_storage_pool_refresh(pool.hypervisor_id, pool.uuid)
    known = Volume.objects.present().filter(path=path, format="qcow2")
    wait_until(lambda: known.filter(storage_pool__hypervisor=row_of(guest).hypervisor).exists(), seconds=60)


def row_of(guest: PortalGuest) -> Domain:
    row = guest.row
    assert row is not None
    return row


def wait_until_answering(guest: PortalGuest) -> None:
    """While its memory is written QEMU answers nobody, which is known to be over a moment after it is."""
    wait_until(lambda: row_of(guest).answering, seconds=60)


def does(guest: PortalGuest, kind: str, **given: Any) -> str:
    wait_until_answering(guest)
    operation = ended(guest.ask(kind, **given))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    return operation.outcome


def takes(guest: PortalGuest, name: str, mode: str, **given: Any) -> DomainSnapshot:
    """The snapshot's row, once the inventory has seen it."""
    does(guest, "create_snapshot", name=name, mode=mode, **given)
    row: DomainSnapshot = wait_until(
        lambda: row_of(guest).snapshots.filter(name=name, is_current=True).first(), seconds=60
    )
    return row


def has_snapshots(guest: PortalGuest, *names: str) -> None:
    """libvirt and our rows have these and no others."""
    listed = guest.portal.hosts[0].virsh("snapshot-list", guest.uuid, "--name").split()
    assert sorted(listed) == sorted(names)
    wait_until(lambda: set(row_of(guest).snapshots.values_list("name", flat=True)) == set(names), seconds=60)


def parents_of(guest: PortalGuest) -> dict[str, str]:
    lines = guest.portal.hosts[0].virsh("snapshot-list", guest.uuid, "--parent").splitlines()
    # Name, date, time, zone, state, parent.
    return {words[0]: (words[5] if len(words) > 5 else "") for words in map(str.split, lines) if words}


def writes(guest: PortalGuest, pattern: int, path: str) -> None:
    guest.portal.hosts[0].run("qemu-io", "-f", "qcow2", "-c", f"write -P {pattern} 0 64k", path)


def holds(guest: PortalGuest, pattern: int, path: str) -> bool:
    try:
        said = guest.portal.hosts[0].run("qemu-io", "-r", "-U", "-f", "qcow2", "-c", f"read -P {pattern} 0 64k", path)
    except LabError:
        return False
    return "Pattern verification failed" not in said and "read 65536/65536" in said


def disk_of(guest: PortalGuest) -> str:
    return guest.portal.hosts[0].virsh("domblklist", guest.uuid).split()[1]


def chain_of(guest: PortalGuest) -> list[str]:
    host = guest.portal.hosts[0]
    said = host.run("qemu-img", "info", "-U", "--backing-chain", "--output=json", disk_of(guest))
    return [Path(image["filename"]).name for image in json.loads(said)]
