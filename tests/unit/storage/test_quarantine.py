"""A volume whose bytes say something else than what was made is marked, and one that is as it should be is not."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.storage.mirror import save_volumes
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.inventory.storage.quarantine import judge_named
from hypervisors.models import Domain, Hypervisor, Operation, OperationLock, SharedStorage, StoragePool, Volume
from hypervisors.operations.engine.subjects import volume_lock_key
from tests.rows import define, domain_xml

pytestmark = pytest.mark.django_db


@pytest.fixture
def pool(hypervisor: Hypervisor) -> StoragePool:
    return make_pool(hypervisor)


def make_pool(hypervisor: Hypervisor, **fields: Any) -> StoragePool:
    values = {"uuid": uuid4(), "name": "images", "pool_type": "dir", "active": True, "autostart": True}
    return StoragePool.objects.create(hypervisor=hypervisor, target_path="/images", **(values | fields))


def listed(format_: str, *, name: str = "a", backing_path: str = "", **fields: Any) -> VolumeFacts:
    values: dict[str, Any] = {"capacity_bytes": 1, "allocation_bytes": 1, "backing_format": ""} | fields
    path = f"/images/{name}"
    return VolumeFacts(
        name=name, key=path, path=path, volume_type="file", format=format_, backing_path=backing_path, **values
    )


def told(pool: StoragePool, *facts: VolumeFacts) -> str:
    """What is said of the volume "a" after the watcher was told this."""
    save_volumes(pool, facts)
    return Volume.objects.get(storage_pool=pool, name="a").quarantine


def test_what_was_there_before_us_is_trusted(pool: StoragePool) -> None:
    assert told(pool, listed("qcow2", backing_path="/images/base")) == ""


@pytest.mark.parametrize("later", ["qcow2", "vmdk", "vdi"])
def test_a_raw_volume_that_has_a_header_later_is_not(later: str, pool: StoragePool) -> None:
    assert told(pool, listed("raw")) == ""
    assert f"It was raw, and its content says now that it is {later}" in told(pool, listed(later))
    # It stays so, whatever else changes; and ends when the header is gone.
    assert "It was raw" in told(pool, listed(later, allocation_bytes=7))
    assert told(pool, listed("raw")) == ""


def test_what_is_being_uploaded_is_for_whoever_uploads_it_to_judge(pool: StoragePool) -> None:
    told(pool, listed("raw"))
    operation = Operation.objects.create(kind="upload_volume", subject_type="storage_pool", subject_name="a")
    OperationLock.objects.create(key=volume_lock_key(pool, "a"), operation=operation)
    assert told(pool, listed("qcow2")) == ""
    note_origin(pool, "a", format_="qcow2")
    operation.locks.all().delete()
    assert told(pool, listed("qcow2", allocation_bytes=7)) == ""


def test_what_we_made_is_to_stay_what_we_made(pool: StoragePool) -> None:
    note_origin(pool, "a", format_="raw")
    assert "It was made as raw" in told(pool, listed("qcow2"))
    note_origin(pool, "a", format_="qcow2", backing_path="/images/base")
    assert Volume.objects.get().quarantine == "", "somebody looked"
    assert told(pool, listed("qcow2", backing_path="/images/base")) == ""
    assert "It was not made on top of /etc/shadow" in told(pool, listed("qcow2", backing_path="/etc/shadow"))
    assert told(pool, listed("qcow2")) == "", "flattened by blockpull: names nothing"


def test_a_disk_that_its_machine_takes_for_raw_is_raw(pool: StoragePool, make_domain: Callable[..., Domain]) -> None:
    define(make_domain(name="web1"), inactive_xml=domain_xml("/images/a.img"))
    save_volumes(pool, [listed("qcow2", name="a.img")])
    assert "“web1” has it as a raw disk" in Volume.objects.get().quarantine


def test_it_is_seen_too_when_the_machine_is_told_of_after_the_volume(
    pool: StoragePool, make_domain: Callable[..., Domain]
) -> None:
    save_volumes(pool, [listed("qcow2", name="a.img"), listed("iso", name="b.iso")])
    define(make_domain(name="web1"), inactive_xml=domain_xml("/images/a.img", "/images/b.iso"))
    judge_named({"a.img", "b.iso"})
    assert "“web1” has it as a raw disk" in Volume.objects.get(name="a.img").quarantine
    assert Volume.objects.get(name="b.iso").quarantine == ""


def test_a_disk_that_its_machine_reads_as_qcow2_may_change_what_it_is_on_top_of(
    pool: StoragePool, make_domain: Callable[..., Domain]
) -> None:
    note_origin(pool, "a", format_="qcow2", backing_path="/images/base")
    define(make_domain(name="web1"), inactive_xml=domain_xml("/images/a"))
    assert told(pool, listed("qcow2", backing_path="/images/snapshot")) == ""


def test_what_one_host_made_counts_on_every_host_that_shares_the_storage(
    pool: StoragePool, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    shared = SharedStorage.objects.create(
        hypervisor_pool=pool.hypervisor.hypervisor_pool, name="images", pool_type="dir", identity="x"
    )
    other = make_pool(make_hypervisor(), shared_storage=shared)
    pool.shared_storage = shared
    pool.save()
    note_origin(pool, "a", format_="raw")
    assert "It was made as raw" in told(other, listed("qcow2"))
