"""Uploads through a real transfer process into real libvirt: cut, killed, filled up; asserted by the files' bytes."""

import hashlib
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.lab import fault
from hypervisors.models import Operation, OperationLock, StoragePool, TransferLease, Upload, Volume
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.operations.storage.uploads import begin_upload
from hypervisors.states import OperationState, UploadState
from tests.lab.portals import Portal, ended, wait_for_operation
from tests.lab.storage.test_storage import Pool
from tests.transfers import Browser, TransferProcess, path_of, running_transfer
from tests.watching import wait_until
from tests.workers import Worker

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)

MIB = 1024**2


@pytest.fixture(scope="module")
def transfer(workers: dict[str, Worker], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransferProcess]:
    with running_transfer(tmp_path_factory.mktemp("transfer")) as process:
        yield process


@pytest.fixture
def browser(transfer: TransferProcess, portal: Portal) -> Browser:
    return Browser(transfer.port, portal.alice)


@pytest.fixture
def pool(portal: Portal, tmp_path: Path) -> Iterator[Pool]:
    made = Pool(portal.hosts[0], tmp_path / "images")
    wait_until(lambda: made.row and made.row.active)
    yield made
    made.remove()


@pytest.fixture
def small_pool(portal: Portal, tmp_path: Path) -> Iterator[Pool]:
    """One on a file system of 200 MiB."""
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200M", "tmpfs", str(directory)], check=True)
    made = None
    try:
        host = portal.hosts[0]
        pid = host.libvirtd_pid()
        # Its own mounts are not the tests'.
        subprocess.run(
            ["nsenter", "-t", str(pid), "-m", "mount", "-t", "tmpfs", "-o", "size=200M", "tmpfs", str(directory)],
            check=False,
        )
        made = Pool(host, directory)
        wait_until(lambda: made.row and made.row.active)
        yield made
    finally:
        if made is not None:
            made.remove()
        subprocess.run(["nsenter", "-t", str(pid), "-m", "umount", "-l", str(directory)], check=False)
        subprocess.run(["umount", "-l", str(directory)], check=False)


def content_of(length: int, seed: int = 1) -> bytes:
    """Bytes that no two places have in common, with a run of zeros in the middle."""
    random_bytes = random.Random(seed).randbytes(MIB)
    pieces = [bytes([number % 251]) + random_bytes[1:] for number in range(length // MIB + 1)]
    for number in range(len(pieces) // 3, len(pieces) // 2):
        pieces[number] = bytes(MIB)
    return b"".join(pieces)[:length]


def begin(portal: Portal, pool: Pool, name: str, length: int, **more: Any) -> Upload:
    row = StoragePool.objects.select_related("hypervisor").get(uuid=pool.uuid)
    parameters = {"name": name, "length_bytes": length} | more
    return begin_upload(user=portal.alice, storage_pool=row, parameters=parameters, fingerprint="")


def is_as_sent(pool: Pool, name: str, content: bytes) -> bool:
    return hashlib.sha256((pool.path / name).read_bytes()).digest() == hashlib.sha256(content).digest()


def test_an_upload_arrives_whole_and_is_compared_with_the_checksum(
    portal: Portal, pool: Pool, browser: Browser
) -> None:
    content = content_of(70 * MIB)
    digest = hashlib.sha256(content).hexdigest()
    upload = begin(portal, pool, "web 1 & <b>.img", len(content), sha256=f"{digest.upper()}  web1.img")
    assert browser.send_all(upload, content) == 204
    operation = ended(upload.operation)
    assert (operation.state, operation.outcome) == (
        OperationState.SUCCEEDED,
        "It is there, and its SHA-256 is the expected one.",
    )
    assert is_as_sent(pool, "web 1 & <b>.img", content)
    # Its zeros are holes.
    assert (pool.path / "web 1 & <b>.img").stat().st_blocks * 512 < len(content) - 8 * MIB
    upload.refresh_from_db()
    assert (upload.state, upload.sha256, upload.received_bytes) == (UploadState.DONE, digest, len(content))
    assert not OperationLock.objects.exists()
    assert not TransferLease.objects.exists()
    wait_until(lambda: Volume.objects.present().whole().filter(name="web 1 & <b>.img").first())


def test_an_upload_whose_transfer_process_and_libvirtd_are_killed_goes_on(
    portal: Portal, pool: Pool, browser: Browser, transfer: TransferProcess
) -> None:
    content = content_of(96 * MIB, seed=2)
    upload = begin(portal, pool, "killed.img", len(content))
    first = browser.begin(upload, browser.offset(upload), content)
    wait_for_operation(upload.operation, lambda row: row.progress.get("transferred_bytes", 0) > 40 * MIB)
    assert not Volume.objects.whole().filter(name="killed.img").exists()
    transfer.kill()
    first.vanish()
    transfer.start()
    offset = browser.offset(upload)
    assert 40 * MIB < offset <= (pool.path / "killed.img").stat().st_size <= 48 * MIB
    second = browser.begin(upload, offset, content[offset:])
    wait_for_operation(upload.operation, lambda row: row.progress.get("transferred_bytes", 0) > 60 * MIB)
    with fault.during(fault.kill_libvirtd, fault.start_libvirtd, portal.hosts[0]):
        assert second.go_on() in (0, 503)
    offset = browser.offset(upload, seconds=60)
    assert 60 * MIB < offset < len(content)
    assert browser.send_all(upload, content) == 204
    operation = ended(upload.operation)
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    assert hashlib.sha256(content).hexdigest() in operation.outcome
    assert is_as_sent(pool, "killed.img", content)


def test_a_worker_killed_meanwhile_does_not_matter(
    portal: Portal, pool: Pool, browser: Browser, workers: dict[str, Worker]
) -> None:
    content = content_of(20 * MIB, seed=3)
    upload = begin(portal, pool, "worker.img", len(content))
    sending = browser.begin(upload, browser.offset(upload), content)
    workers["operations"].kill()
    try:
        assert sending.go_on() == 204
        upload.refresh_from_db()
        assert upload.state == UploadState.RECEIVED
    finally:
        workers["operations"].start()
    assert ended(upload.operation).state == OperationState.SUCCEEDED
    assert is_as_sent(pool, "worker.img", content)


def test_a_cancelled_upload_leaves_nothing(portal: Portal, pool: Pool, browser: Browser) -> None:
    content = content_of(20 * MIB)
    upload = begin(portal, pool, "cancelled.img", len(content))
    sending = browser.begin(upload, browser.offset(upload), content)
    wait_until(lambda: (pool.path / "cancelled.img").stat().st_size > MIB)
    request_cancel(Operation.objects.get(pk=upload.operation_id), user=portal.alice)
    operation = ended(upload.operation)
    assert (operation.state, operation.outcome) == (OperationState.CANCELLED, "Cancelled. Nothing of it is left.")
    sending.vanish()
    assert list(pool.path.iterdir()) == []
    assert browser.ask("HEAD", path_of(upload))[0] == 410


def test_a_storage_pool_that_fills_up_during_an_upload_is_told_and_nothing_is_left(
    portal: Portal, small_pool: Pool, browser: Browser
) -> None:
    content = random.Random(4).randbytes(130 * MIB)
    upload = begin(portal, small_pool, "too-much.img", len(content))
    offset = browser.offset(upload)
    assert browser.send(upload, offset, content[: 10 * MIB])[0] == 204
    directory = str(small_pool.path)
    fill = ["fallocate", "-l", "120M", f"{directory}/filler"]
    subprocess.run(["nsenter", "-t", str(portal.hosts[0].libvirtd_pid()), "-m", *fill], check=True)
    status, _headers, body = browser.send(upload, 10 * MIB, content[10 * MIB : 74 * MIB])
    assert (status, b"The storage pool is full" in body) == (410, True)
    operation = ended(upload.operation)
    assert operation.state == OperationState.FAILED
    assert operation.outcome.startswith("The storage pool is full: 120 MiB are still to come")
    assert operation.outcome.endswith("Nothing of it is left.")
    assert "too-much.img" not in portal.hosts[0].virsh("vol-list", small_pool.name)


def test_a_storage_pool_that_is_full_to_the_last_megabyte_loses_no_tail_silently(
    portal: Portal, small_pool: Pool, browser: Browser
) -> None:
    content = random.Random(6).randbytes(60 * MIB)
    upload = begin(portal, small_pool, "tail.img", len(content))
    sending = browser.begin(upload, browser.offset(upload), content)
    wait_for_operation(upload.operation, lambda row: row.progress.get("transferred_bytes", 0) > 20 * MIB)
    inside = ["nsenter", "-t", str(portal.hosts[0].libvirtd_pid()), "-m"]
    # All but 20 of the 30 MiB that are still to come.
    subprocess.run([*inside, "fallocate", "-l", "150M", f"{small_pool.path}/filler"], check=True)
    assert sending.go_on() in (410, 0)
    operation = ended(upload.operation)
    assert operation.state == OperationState.FAILED
    assert "full" in operation.outcome
    assert operation.outcome.endswith("Nothing of it is left.")
    assert "tail.img" not in portal.hosts[0].virsh("vol-list", small_pool.name)


def test_what_names_a_file_of_the_host_is_not_kept(
    portal: Portal, pool: Pool, browser: Browser, tmp_path: Path
) -> None:
    image = tmp_path / "hostile.qcow2"
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", str(image), "1M"]
    subprocess.run(command, check=True)
    content = image.read_bytes()
    upload = begin(portal, pool, "hostile.qcow2", len(content))
    assert browser.send(upload, browser.offset(upload), content)[0] == 410
    operation = ended(upload.operation)
    assert operation.state == OperationState.FAILED
    assert "Nothing of it is left" in operation.outcome
    assert list(pool.path.iterdir()) == []


def test_a_file_that_is_another_than_was_meant_is_kept_and_said(portal: Portal, pool: Pool, browser: Browser) -> None:
    content = content_of(MIB)
    upload = begin(portal, pool, "other.img", len(content), sha256="0" * 64)
    assert browser.send_all(upload, content) == 204
    operation = ended(upload.operation)
    assert operation.state == OperationState.FAILED
    assert hashlib.sha256(content).hexdigest() in operation.outcome
    assert "The volume “other.img” is kept" in operation.outcome
    assert is_as_sent(pool, "other.img", content)


def test_a_second_browser_waits_until_the_first_has_gone_silent(portal: Portal, pool: Pool, browser: Browser) -> None:
    content = content_of(8 * MIB)
    upload = begin(portal, pool, "twice.img", len(content))
    first = browser.begin(upload, browser.offset(upload), content)
    wait_until(lambda: (pool.path / "twice.img").exists() and (pool.path / "twice.img").stat().st_size > MIB)
    assert browser.send(upload, 0, content)[0] == 423
    # The first says nothing more, and the second gets its place.
    assert browser.send_all(upload, content) == 204
    first.vanish()
    assert ended(upload.operation).state == OperationState.SUCCEEDED
    assert is_as_sent(pool, "twice.img", content)


def test_a_volume_is_downloaded_in_ranges(portal: Portal, pool: Pool, browser: Browser) -> None:
    content = content_of(3 * MIB, seed=5)
    (pool.path / "down load.img").write_bytes(content)
    portal.hosts[0].virsh("pool-refresh", pool.name)
    volume = wait_until(lambda: Volume.objects.present().filter(name="down load.img").first())
    path = f"/transfer/volumes/{volume.pk}"
    status, headers, body = browser.ask("GET", path)
    assert (status, body == content) == (200, True)
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''down%20load.img"
    ranged = {"Range": f"bytes={MIB}-{MIB + 99}", "If-Range": headers["etag"]}
    status, part, body = browser.ask("GET", path, ranged)
    assert (status, body) == (206, content[MIB : MIB + 100])
    assert part["content-range"] == f"bytes {MIB}-{MIB + 99}/{3 * MIB}"
    assert browser.ask("GET", path, {"Range": "bytes=-10"})[2] == content[-10:]
    assert browser.ask("GET", path, {"Range": f"bytes={3 * MIB}-"})[0] == 416
    assert browser.ask("GET", path, ranged | {"If-Range": '"another"'})[0] == 200


def test_the_disk_of_a_running_machine_is_not_downloaded(portal: Portal, browser: Browser) -> None:
    with portal.guest("down-user") as guest:
        name = Path(guest.lab_guest.disk_path).name
        portal.hosts[0].virsh("pool-refresh", "shared")
        rows = Volume.objects.present().filter(storage_pool__hypervisor=portal.rows[0], name=name)
        volume = wait_until(rows.first, seconds=60)
        status, _headers, body = browser.ask("GET", f"/transfer/volumes/{volume.pk}")
        assert (status, "vda of “down-user” on" in body.decode()) == (409, True)
