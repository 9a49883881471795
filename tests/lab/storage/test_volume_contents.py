"""What is in volumes: copied, cut, wiped, read, written by a real libvirt; asserted by qemu-img and the files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.lab.host import Host
from deploy.lab.lab import Lab
from hypervisors import errors
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.gateway.storage.volumes import (
    clone_volume,
    create_volume,
    read_volume,
    read_volume_bytes,
    resize_volume,
    wipe_volume,
    write_volume,
)
from hypervisors.gateway.uris import parse_uri
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from tests.lab.storage.test_storage import Pool, image_info

MIB = 1024**2


@pytest.fixture
def pool(lab: Lab, tmp_path: Path) -> Iterator[Pool]:
    made = Pool(lab.hosts[0], tmp_path / "images")
    yield made
    made.remove()


@pytest.fixture
def connection(lab: Lab) -> Iterator[Connection]:
    opened = open_connection(Endpoint(uri=parse_uri(lab.hosts[0].uri), key="lab-contents", revision=1))
    yield opened
    opened.close()


def qcow2(name: str, size: int = 8 * MIB, **more: object) -> VolumeSpec:
    return VolumeSpec(name=name, format="qcow2", capacity_bytes=size, **more)  # type: ignore[arg-type]


def raw(name: str, size: int = 8 * MIB, **more: object) -> VolumeSpec:
    return VolumeSpec(name=name, format="raw", capacity_bytes=size, **more)  # type: ignore[arg-type]


def has_pattern(host: Host, path: Path, format_: str, *, at: str = "1M", pattern: int = 7) -> bool:
    said = host.run("qemu-io", "-r", "-f", format_, "-c", f"read -P {pattern} {at} 64k", str(path))
    return "verification failed" not in said


def write_pattern(host: Host, path: Path, format_: str, *, at: str = "1M", pattern: int = 7) -> None:
    host.run("qemu-io", "-f", format_, "-c", f"write -P {pattern} {at} 64k", str(path))


@pytest.mark.parametrize(("preallocation", "least", "most"), [("off", 0, MIB), ("metadata", 0, MIB), ("full", 8, 9)])
def test_a_qcow2_volume_takes_what_is_to_be_taken_at_once(
    preallocation: str, least: int, most: int, connection: Connection, pool: Pool
) -> None:
    made = create_volume(connection, pool.uuid, qcow2("p.qcow2", preallocation=preallocation))
    most = most if most > 100 else most * MIB
    assert least * MIB <= made.allocation_bytes <= most
    data = image_info(pool.host, pool.path / "p.qcow2")["format-specific"]["data"]  # type: ignore[index]
    assert (data["compat"], data["lazy-refcounts"]) == ("1.1", True)
    mapped = pool.host.run("qemu-img", "map", "--output=json", str(pool.path / "p.qcow2"))
    assert ('"offset"' in mapped) == (preallocation != "off")


@pytest.mark.parametrize("source_format", ["qcow2", "raw"])
@pytest.mark.parametrize("format_", ["qcow2", "raw"])
def test_a_copy_holds_the_same_in_its_own_format_and_is_grown_afterwards(
    source_format: str, format_: str, connection: Connection, pool: Pool
) -> None:
    source = qcow2("a") if source_format == "qcow2" else raw("a")
    create_volume(connection, pool.uuid, source)
    write_pattern(pool.host, pool.path / "a", source_format)
    spec = VolumeSpec(name="b", format=format_, capacity_bytes=16 * MIB)  # type: ignore[arg-type]
    made = clone_volume(connection, pool.uuid, spec, source_pool_uuid=pool.uuid, source_name="a")
    assert (made.format, made.backing_path) == (format_, "")
    assert has_pattern(pool.host, pool.path / "b", format_)
    grown = resize_volume(connection, pool.uuid, "b", 16 * MIB)
    assert grown.capacity_bytes == 16 * MIB
    assert image_info(pool.host, pool.path / "b")["virtual-size"] == 16 * MIB
    assert grown.allocation_bytes < 8 * MIB


def test_a_copy_of_an_overlay_needs_its_base_no_more(connection: Connection, pool: Pool) -> None:
    base = create_volume(connection, pool.uuid, qcow2("base"))
    write_pattern(pool.host, pool.path / "base", "qcow2")
    create_volume(connection, pool.uuid, qcow2("top", backing_path=base.path, backing_format="qcow2"))
    clone_volume(connection, pool.uuid, qcow2("b"), source_pool_uuid=pool.uuid, source_name="top")
    (pool.path / "base").unlink()
    assert has_pattern(pool.host, pool.path / "b", "qcow2")


def test_a_volume_shrinks_only_when_that_is_said(connection: Connection, pool: Pool) -> None:
    create_volume(connection, pool.uuid, qcow2("a"))
    with pytest.raises(errors.OperationRefused):
        resize_volume(connection, pool.uuid, "a", 4 * MIB)
    assert resize_volume(connection, pool.uuid, "a", 4 * MIB, shrink=True).capacity_bytes == 4 * MIB


@pytest.mark.parametrize("format_", ["qcow2", "raw"])
def test_nothing_of_a_wiped_volume_is_left(format_: str, connection: Connection, pool: Pool) -> None:
    spec = qcow2("a") if format_ == "qcow2" else raw("a", preallocation="full")
    create_volume(connection, pool.uuid, spec)
    write_pattern(pool.host, pool.path / "a", format_)
    wipe_volume(connection, pool.uuid, "a")
    assert not (pool.path / "a").read_bytes().strip(b"\0")
    assert read_volume(connection, pool.uuid, "a") is not None


def test_the_head_of_a_volume_is_read_as_it_lies_there(connection: Connection, pool: Pool) -> None:
    create_volume(connection, pool.uuid, qcow2("a"))
    head = read_volume_bytes(connection, pool.uuid, "a", 0, 65536)
    assert len(head) == 65536
    assert head == (pool.path / "a").read_bytes()[:65536]
    (pool.path / "short").write_bytes(b"0123456789")
    refresh_storage_pool(connection, pool.uuid)
    assert read_volume_bytes(connection, pool.uuid, "short", 0, 65536) == b"0123456789"
    assert read_volume_bytes(connection, pool.uuid, "short", 4, 3) == b"456"
    with pytest.raises(errors.NotFound):
        read_volume_bytes(connection, pool.uuid, "none", 0, 1)


def test_small_content_is_written_whole(connection: Connection, pool: Pool) -> None:
    create_volume(connection, pool.uuid, raw("seed", 0))
    content = bytes(range(256)) * 4000
    assert write_volume(connection, pool.uuid, "seed", [content[:700_000], content[700_000:]]) == len(content)
    assert (pool.path / "seed").read_bytes() == content


def test_content_whose_end_a_full_storage_pool_loses_is_an_error(lab: Lab, connection: Connection) -> None:
    host, directory = lab.hosts[0], Path(f"/run/vmportal-full-{lab.name}")
    host.run("mkdir", "-p", str(directory))
    host.run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(directory))
    try:
        full = Pool(host, directory)
        create_volume(connection, full.uuid, raw("seed", 0))
        with pytest.raises(errors.StoragePoolFull):
            write_volume(connection, full.uuid, "seed", [bytes([7]) * MIB] * 3)
        full.remove()
    finally:
        host.run("umount", str(directory))
        host.run("rmdir", str(directory))


def test_a_volume_whose_file_was_deleted_behind_libvirts_back_is_gone(connection: Connection, pool: Pool) -> None:
    create_volume(connection, pool.uuid, qcow2("gone"))
    (pool.path / "gone").unlink()
    assert read_volume(connection, pool.uuid, "gone") is None
    assert "gone" not in pool.host.virsh("vol-list", pool.name)
