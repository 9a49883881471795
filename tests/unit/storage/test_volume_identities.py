"""Whether two hosts see one and the same file: proved, or not known."""

from dataclasses import replace

import pytest

from hypervisors.gateway.storage.volume_identities import VolumeIdentity, is_own_address, is_same_chain

FILE = VolumeIdentity(
    name="web1.qcow2",
    path="/srv/images/web1.qcow2",
    pool_type="dir",
    pool_source="",
    capacity_bytes=1024,
    changed_at="1795703792.184434816",
    backing_path="",
)
IMAGE = replace(FILE, pool_type="rbd", pool_source="mon1:6789:images", changed_at="")


def test_one_file_is_known_by_its_last_change() -> None:
    assert FILE.is_same_as(replace(FILE, path="/mnt/images/web1.qcow2"))
    assert not FILE.is_same_as(replace(FILE, changed_at="1795703792.184434817"))
    assert not FILE.is_same_as(replace(FILE, capacity_bytes=2048))


@pytest.mark.parametrize("changed_at", ["", "1795703792", "1795703792.000000000"])
def test_a_file_system_that_counts_seconds_proves_nothing(changed_at: str) -> None:
    assert not replace(FILE, changed_at=changed_at).is_same_as(replace(FILE, changed_at=changed_at))


def test_storage_on_the_network_is_known_by_its_source() -> None:
    assert IMAGE.is_same_as(IMAGE)
    assert not IMAGE.is_same_as(replace(IMAGE, pool_source="mon9:6789:images"))
    assert not IMAGE.is_same_as(replace(IMAGE, pool_type="gluster"))
    assert not IMAGE.is_same_as(replace(IMAGE, name="web2.qcow2"))


def test_each_backing_file_must_be_the_same() -> None:
    overlay = replace(FILE, backing_path="/srv/images/base.qcow2")
    base = replace(FILE, name="base.qcow2", path="/srv/images/base.qcow2", changed_at="1795703000.5")
    assert is_same_chain((overlay, base), (overlay, base))
    assert not is_same_chain((overlay, base), (overlay, replace(base, changed_at="1795703001.5")))
    assert not is_same_chain((overlay,), (overlay,)), "the base is in no storage pool"
    assert not is_same_chain((), ())


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("127.0.0.1:10809", True),
        ("[::1]", True),
        ("0.0.0.0", True),
        ("", True),
        ("nas1", False),
        ("nas1:10809", False),
        ("10.0.0.5", False),
    ],
)
def test_an_address_of_the_host_itself_is_no_shared_server(host: str, is_own: bool) -> None:
    assert is_own_address(host) is is_own
