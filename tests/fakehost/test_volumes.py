"""The gateway's volumes against libvirt's test driver."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hypervisors import errors
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.storage.storage_pools import (
    list_storage_pool_uuids,
    read_storage_pool,
    refresh_storage_pool,
)
from hypervisors.gateway.storage.volumes import create_volume, delete_volume, list_volumes, read_volume
from hypervisors.gateway.uris import parse_uri
from hypervisors.libvirtxml.storage_volumes import VolumeSpec

POOL = UUID("00000000-0000-4000-8000-0000000000aa")
GIB = 2**30


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Connection]:
    """One with a storage pool."""
    (tmp_path / "node.xml").write_text(
        f"<node><pool type='dir'><name>images</name><uuid>{POOL}</uuid><target><path>/srv/images</path></target></pool>"
        "</node>"
    )
    uri = parse_uri(f"test://{tmp_path}/node.xml", allow_test_driver=True)
    connection = open_connection(Endpoint(uri=uri, key=str(tmp_path), revision=1))
    yield connection
    connection.close()


def spec(name: str, size: int = GIB) -> VolumeSpec:
    return VolumeSpec(name=name, format="qcow2", capacity_bytes=size)


def test_a_storage_pool_is_listed_and_read(host: Connection) -> None:
    assert list_storage_pool_uuids(host) == [POOL]
    facts = read_storage_pool(host, POOL)
    assert facts is not None
    assert (facts.name, facts.pool_type, facts.target_path, facts.active) == ("images", "dir", "/srv/images", True)
    assert facts.capacity_bytes > 0
    assert read_storage_pool(host, uuid4()) is None
    refresh_storage_pool(host, POOL)


def test_volumes_are_created_listed_and_deleted(host: Connection) -> None:
    made = create_volume(host, POOL, spec("web1.qcow2"))
    assert (made.name, made.format, made.capacity_bytes) == ("web1.qcow2", "qcow2", GIB)
    assert made.path == "/srv/images/web1.qcow2"
    create_volume(host, POOL, spec("db1.qcow2"))
    assert [volume.name for volume in list_volumes(host, POOL)] == ["db1.qcow2", "web1.qcow2"]
    assert read_volume(host, POOL, "web1.qcow2") == made
    delete_volume(host, POOL, "web1.qcow2")
    assert read_volume(host, POOL, "web1.qcow2") is None
    delete_volume(host, POOL, "web1.qcow2")  # it is gone already: no error


def test_what_is_known_is_not_read_again_unless_its_size_changed(host: Connection) -> None:
    made = create_volume(host, POOL, spec("web1.qcow2"))
    assert list_volumes(host, POOL, known={"web1.qcow2": made}) == [made]
    host.raw.storagePoolLookupByUUID(POOL.bytes).storageVolLookupByName("web1.qcow2").delete(0)
    create_volume(host, POOL, spec("web1.qcow2", 2 * GIB))
    (now,) = list_volumes(host, POOL, known={"web1.qcow2": made})
    assert now.capacity_bytes == 2 * GIB


def test_a_taken_name_a_full_and_an_inactive_storage_pool_say_what_to_do(host: Connection) -> None:
    create_volume(host, POOL, spec("web1.qcow2"))
    with pytest.raises(errors.NameTaken, match=r"Could not create volume web1\.qcow2.*Choose another name"):
        create_volume(host, POOL, spec("web1.qcow2"))
    reserved = VolumeSpec(name="huge", format="raw", capacity_bytes=2**60, allocation_bytes=2**60)
    with pytest.raises(errors.StoragePoolFull, match="free some space"):
        create_volume(host, POOL, reserved)
    host.raw.storagePoolLookupByUUID(POOL.bytes).destroy()
    with pytest.raises(errors.StoragePoolInactive, match="Start the storage pool first"):
        list_volumes(host, POOL)


def test_an_unknown_storage_pool_is_not_found(host: Connection) -> None:
    for call in (list_volumes, refresh_storage_pool):
        with pytest.raises(errors.NotFound):
            call(host, uuid4())
    with pytest.raises(errors.NotFound):
        delete_volume(host, uuid4(), "web1.qcow2")
