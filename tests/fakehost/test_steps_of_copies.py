"""Steps that copy, on libvirt's test driver: what fails leaves nothing, and what somebody has by now stays."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.storage.volumes import create_volume, list_volumes
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Hypervisor, Operation, StoragePool, Volume
from hypervisors.operations.domains.cloning.steps import CopyNvram
from hypervisors.operations.domains.creation.disk_steps import CopiedDisk
from hypervisors.operations.domains.moving.steps import Place, PointAtImage
from hypervisors.operations.engine.claimed_runs import ClaimedRun
from hypervisors.operations.engine.records import Claim, Heartbeat
from hypervisors.operations.storage.volume_copies import CopyVolume, CopyVolumeParameters
from hypervisors.states import OperationState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

POOL = UUID("dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566")
MIB = 2**20


@pytest.fixture
def storage(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> StoragePool:
    """With one volume, "source"."""
    (tmp_path / "node.xml").write_text(
        f"<node><pool type='dir'><name>images</name><uuid>{POOL}</uuid>"
        "<target><path>/images</path></target></pool></node>"
    )
    row = StoragePool.objects.create(
        hypervisor=make_hypervisor(uri=f"test://{tmp_path}/node.xml"),
        uuid=POOL,
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
    )
    create_volume(connection_of(row), POOL, VolumeSpec(name="source", format="qcow2", capacity_bytes=MIB))
    return row


def connection_of(storage: StoragePool) -> Any:
    return cached_connection(endpoint_of(storage.hypervisor))


def names(storage: StoragePool) -> list[str]:
    return [facts.name for facts in list_volumes(connection_of(storage), POOL)]


def run_on(storage: StoragePool) -> ClaimedRun:
    operation = Operation.objects.create(
        kind="create_domain",
        subject_type="hypervisor",
        subject_key=str(storage.hypervisor_id),
        hypervisor=storage.hypervisor,
        state=OperationState.RUNNING,
    )
    return ClaimedRun(Claim(operation=operation, adopted=True, resumed=False), Heartbeat(operation))


def define_user(storage: StoragePool, *, devices: str = "", firmware: str = "") -> None:
    connection_of(storage).raw.defineXML(
        f"<domain type='test'><name>web1</name><memory>65536</memory><os><type>hvm</type>{firmware}</os>"
        f"<devices>{devices}</devices></domain>"
    )


def test_a_copy_that_cannot_be_given_its_size_is_not_left_over(storage: StoragePool) -> None:
    spec = VolumeSpec(name="copy", format="qcow2", capacity_bytes=2 * MIB)
    step = CopiedDisk(storage, spec, source_storage_pool=storage, source_name="source")
    create_volume(connection_of(storage), POOL, VolumeSpec(name="copy", format="qcow2", capacity_bytes=MIB))
    # The test driver copies with the size that is asked for, and resizes nothing.
    with pytest.raises(HypervisorError):
        step._grow(run_on(storage))
    assert names(storage) == ["source"]


def test_what_a_machine_has_under_the_name_of_a_copy_is_not_deleted_as_its_half(storage: StoragePool) -> None:
    parameters = CopyVolumeParameters(name="copy", storage_pool_id=storage.pk, format="qcow2", capacity_bytes=MIB)
    step = CopyVolume(Volume(storage_pool=storage, name="source"), storage, parameters)
    create_volume(connection_of(storage), POOL, VolumeSpec(name="copy", format="qcow2", capacity_bytes=MIB))
    define_user(
        storage,
        devices="<disk type='file' device='disk'><source file='/images/copy'/><target dev='vda' bus='virtio'/></disk>",
    )
    with pytest.raises(NotPossible, match="vda of “web1”"):
        step.is_done(run_on(storage), {"name": "copy"})
    connection_of(storage).raw.lookupByName("web1").undefine()
    assert not step.is_done(run_on(storage), {"name": "copy"})
    assert names(storage) == ["source"]


def test_uefi_variables_of_a_machine_that_stays_are_not_taken_from_it(storage: StoragePool) -> None:
    define_user(storage, firmware="<loader type='pflash'>/fw/code.fd</loader><nvram>/nvram/web1_VARS.fd</nvram>")
    step = CopyNvram("web1")
    with pytest.raises(NotPossible, match="nvram of “web1”"):
        step.undo(run_on(storage), {"copy": "/nvram/web1_VARS.fd"}, {})


def test_a_copy_of_a_machine_that_ran_meanwhile_is_not_put_in_its_disks_place(storage: StoragePool) -> None:
    disk = "<disk type='file' device='disk'><source file='/images/source'/><target dev='vda' bus='virtio'/></disk>"
    define_user(storage, devices=disk)
    begun = timezone.now()
    domain = Domain.objects.create(
        hypervisor=storage.hypervisor,
        uuid=UUID(bytes=connection_of(storage).raw.lookupByName("web1").UUID()),
        name="web1",
        state="shutoff",
        state_since=begun + timedelta(seconds=5),
    )
    run = run_on(storage)
    run.operation.domain, run.operation.started_at = domain, begun
    old, new = (Place(path=path, format="qcow2", is_block=False) for path in ("/images/source", "/images/copy"))
    step = PointAtImage("vda", old, new, is_off=True)
    with pytest.raises(NotPossible, match="started meanwhile"):
        step.do(run, {})
    Domain.objects.update(state_since=begun - timedelta(seconds=5))
    step.do(run, {})
    assert step.is_done(run, {})
