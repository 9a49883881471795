"""Uploads and fetches as operations, on libvirt's test driver: what is made and removed, whatever broke in between.

The test driver's volumes hold nothing: what arrives in them is asked on real hosts, in tests/lab.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Hypervisor, Operation, OperationLock, StoragePool, TransferLease, Upload, Volume
from hypervisors.operations.engine.requests import request_cancel, request_operation
from hypervisors.operations.engine.runner import run_operation
from hypervisors.operations.storage.uploads import begin_upload, note_arrived, note_checked, note_failure, note_progress
from hypervisors.states import OperationState, UploadState
from tests.fakehost.fake_storage import GIB, Storage
from tests.fakehost.killing import make_stale, run_to_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

MIB = 1024**2


def begin(storage: Storage, user: User, **more: Any) -> Upload:
    parameters = {"name": "web1.iso", "length_bytes": 10 * MIB} | more
    return begin_upload(user=user, storage_pool=storage.row, parameters=parameters, fingerprint="")


def look(upload: Upload) -> Operation:
    """Have a worker look once."""
    Operation.objects.filter(pk=upload.operation_id).update(heartbeat_at=timezone.now() - timedelta(seconds=1))
    run_operation(upload.operation_id)
    upload.refresh_from_db()
    return Operation.objects.get(pk=upload.operation_id)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"name": "../../etc/passwd"}, "has no “/”"),
        ({"name": ""}, "needs a name"),
        ({"length_bytes": 0}, "between 1 byte and 1 PiB"),
        ({"length_bytes": None}, "between 1 byte and 1 PiB"),
        ({"length_bytes": True}, "between 1 byte and 1 PiB"),
        ({"length_bytes": 2**60}, "between 1 byte and 1 PiB"),
        ({"length_bytes": 60 * GIB}, "The storage pool is full: 60.0 GiB are still to come, 50.0 GiB are free"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"purpose": "virus"}, "“iso”, “disk” or “ova”"),
    ],
)
def test_what_cannot_be_is_refused(parameters: dict[str, Any], reason: str, storage: Storage, alice: User) -> None:
    with pytest.raises(NotPossible, match=reason):
        begin(storage, alice, **parameters)
    assert not Operation.objects.exists()
    assert not Upload.objects.exists()


def test_the_volume_is_made_hidden_and_locked_until_all_has_arrived(storage: Storage, alice: User, dora: User) -> None:
    upload = begin(storage, alice)
    operation = look(upload)
    assert (operation.state, upload.state, storage.names()) == (OperationState.RUNNING, UploadState.OPEN, ["web1.iso"])
    volume = storage.mirror("web1.iso")
    assert not Volume.objects.whole().exists()
    with pytest.raises(Conflict, match="“Upload”, asked for by alice"):
        request_operation(user=dora, kind="delete_volume", subject=volume)
    with pytest.raises((Conflict, NotPossible)):
        begin(storage, dora)
    assert note_progress(upload, position=5 * MIB, safe_bytes=4 * MIB, bytes_per_second=MIB)
    operation.refresh_from_db()
    shown = {key: operation.progress[key] for key in ("percent", "bytes_per_second", "remaining_seconds")}
    assert shown == {"percent": 50.0, "bytes_per_second": MIB, "remaining_seconds": 5}
    assert note_arrived(upload)
    note_checked(upload, "a" * 64)
    operation = look(upload)
    assert (operation.state, upload.state) == (OperationState.SUCCEEDED, UploadState.DONE)
    assert operation.outcome == f"It is there. SHA-256: {'a' * 64}"
    assert Volume.objects.whole().get() == volume
    assert not OperationLock.objects.exists()


def test_one_that_failed_or_was_cancelled_is_removed_once_nobody_writes_it(storage: Storage, alice: User) -> None:
    upload = begin(storage, alice)
    look(upload)
    lease = TransferLease.objects.create(key=f"upload:{upload.token}", holder="me", until="2100-01-01T00:00Z")
    note_failure(upload, "The storage pool is full.")
    assert look(upload).state == OperationState.RUNNING
    assert storage.names() == ["web1.iso"]
    lease.refresh_from_db()
    assert lease.is_wanted
    lease.delete()
    operation = look(upload)
    assert (operation.state, operation.outcome) == (
        OperationState.FAILED,
        "The storage pool is full. Nothing of it is left.",
    )
    assert storage.names() == []
    upload = begin(storage, alice)
    look(upload)
    request_cancel(Operation.objects.get(pk=upload.operation_id), user=alice)
    assert look(upload).outcome == "Cancelled. Nothing of it is left."
    assert storage.names() == []
    assert not note_progress(upload, position=1, safe_bytes=1, bytes_per_second=1)


@pytest.mark.parametrize(
    ("sha256", "state", "ended"),
    [
        ("", UploadState.DONE, OperationState.SUCCEEDED),
        ("b" * 64, UploadState.MISMATCHED, OperationState.FAILED),
    ],
)
@pytest.mark.parametrize("is_cancelled", [False, True])
def test_one_that_is_there_stays_though_its_worker_died_before_it_could_say_so(
    sha256: str, state: UploadState, ended: OperationState, is_cancelled: bool, storage: Storage, alice: User
) -> None:
    upload = begin(storage, alice, sha256=sha256)
    look(upload)
    Upload.objects.update(state=state, sha256="a" * 64)
    if is_cancelled:
        request_cancel(Operation.objects.get(pk=upload.operation_id), user=alice)
    operation = look(upload)
    assert (operation.state, upload.state, storage.names()) == (ended, state, ["web1.iso"])
    assert ("It is there. SHA-256" in operation.outcome) == (state == UploadState.DONE)
    assert ("it is not the file that was meant" in operation.outcome) == (state == UploadState.MISMATCHED)


def test_what_nothing_came_of_for_a_day_is_removed(storage: Storage, alice: User) -> None:
    upload = begin(storage, alice)
    look(upload)
    Upload.objects.update(touched_at=timezone.now() - timedelta(hours=23))
    assert look(upload).state == OperationState.RUNNING
    Upload.objects.update(touched_at=timezone.now() - timedelta(hours=25))
    operation = look(upload)
    assert (operation.state, storage.names()) == (OperationState.FAILED, [])
    assert operation.outcome.startswith("Nothing has come for 24 hours.")


def test_a_name_that_somebody_took_meanwhile_is_left_alone(storage: Storage, alice: User) -> None:
    upload = begin(storage, alice)
    other = "<volume><name>web1.iso</name><capacity>1000000</capacity></volume>"
    storage.connection.raw.storagePoolLookupByUUID(storage.row.uuid.bytes).createXML(other, 0)
    operation = look(upload)
    assert (operation.state, upload.state) == (OperationState.FAILED, UploadState.FAILED)
    assert "There is a volume called “web1.iso”" in operation.outcome
    assert storage.names() == ["web1.iso"]


def test_a_worker_that_died_while_it_made_the_volume_is_followed_by_one_that_takes_it(
    storage: Storage, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisors.operations.storage import upload_volume

    upload = begin(storage, alice)

    def dies(*arguments: Any, **more: Any) -> None:
        make(*arguments, **more)
        raise SystemExit

    make = upload_volume.make_volume
    monkeypatch.setattr(upload_volume, "make_volume", dies)
    with pytest.raises(SystemExit):
        run_operation(upload.operation_id)
    monkeypatch.setattr(upload_volume, "make_volume", make)
    upload.refresh_from_db()
    assert (upload.state, storage.names()) == (UploadState.MAKING, ["web1.iso"])
    operation = Operation.objects.get(pk=upload.operation_id)
    make_stale(operation)
    request_cancel(operation, user=alice)
    run_operation(operation.pk)
    operation = look(upload)
    assert (operation.state, storage.names()) == (OperationState.CANCELLED, [])


def test_storage_that_cannot_grow_gets_the_whole_length_at_once(storage: Storage, alice: User) -> None:
    StoragePool.objects.update(pool_type="logical")
    storage.row.refresh_from_db()
    upload = begin(storage, alice)
    look(upload)
    facts = storage.find("web1.iso")
    assert facts is not None
    assert (facts.capacity_bytes, facts.allocation_bytes) == (10 * MIB, 10 * MIB)


def test_a_url_that_leads_inside_fetches_nothing(storage: Storage, alice: User, settings: LazySettings) -> None:
    parameters = {"name": "a.iso", "url": "http://127.0.0.1:9/a.iso"}
    operation = run_to_end(request_operation(user=alice, kind="fetch_url", subject=storage.row, parameters=parameters))
    assert (operation.state, storage.names()) == (OperationState.FAILED, [])
    assert "which is in a private network: files are fetched from the Internet only" in operation.outcome
    settings.FETCH_ALLOW = [ip_network("127.0.0.0/8")]
    operation = run_to_end(request_operation(user=alice, kind="fetch_url", subject=storage.row, parameters=parameters))
    assert (operation.state, operation.outcome) == (OperationState.FAILED, "127.0.0.1 does not answer.")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://me:secret@example.org/x", "nonsense", ""])
def test_what_is_no_url_is_refused_at_once(url: str, storage: Storage, alice: User) -> None:
    with pytest.raises(NotPossible):
        request_operation(user=alice, kind="fetch_url", subject=storage.row, parameters={"name": "a.iso", "url": url})
    assert not Operation.objects.exists()


def test_others_of_the_same_storage_hide_it_too(
    storage: Storage, alice: User, make_hypervisor: Callable[..., Hypervisor], tmp_path: Path
) -> None:
    shared = storage.row.hypervisor.hypervisor_pool.shared_storages.create(
        name="images", pool_type="dir", identity="images:/images"
    )
    StoragePool.objects.update(shared_storage=shared)
    elsewhere = StoragePool.objects.create(
        hypervisor=make_hypervisor(),
        shared_storage=shared,
        uuid="00000000-0000-0000-0000-000000000007",
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
    )
    storage.row.refresh_from_db()
    begin(storage, alice)
    hidden = Volume.objects.create(storage_pool=elsewhere, name="web1.iso")
    seen = Volume.objects.create(storage_pool=elsewhere, name="web2.iso")
    assert list(Volume.objects.whole()) == [seen]
    Operation.objects.update(state=OperationState.SUCCEEDED)
    assert set(Volume.objects.whole()) == {hidden, seen}


def test_a_fetch_that_begins_again_writes_into_a_new_volume(
    storage: Storage, alice: User, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hypervisors.operations.storage import fetch_url

    settings.FETCH_ALLOW = [ip_network("127.0.0.0/8")]
    made: list[list[str]] = []
    make_volume = fetch_url.make_volume

    def make(*arguments: Any, **more: Any) -> None:
        made.append(storage.names())
        make_volume(*arguments, **more)

    def ends(*_arguments: Any, **_more: Any) -> Any:
        raise NotPossible("That is enough.")

    monkeypatch.setattr(fetch_url, "make_volume", make)
    # A former worker left some of it, and the server does not say which version of the file it has.
    monkeypatch.setattr(fetch_url, "arrived_bytes", lambda *_arguments, **_more: 5)
    monkeypatch.setattr(fetch_url, "IncomingVolume", ends)
    with _file_server() as url:
        parameters = {"name": "web1.iso", "url": url}
        operation = request_operation(user=alice, kind="fetch_url", subject=storage.row, parameters=parameters)
        run_to_end(operation)
    assert operation.outcome == "That is enough. What had been done is undone."
    assert made == [[], []]
    assert storage.names() == []


@contextmanager
def _file_server() -> Iterator[str]:
    """Sends ten bytes, without a tag."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "10")
            self.end_headers()
            self.wfile.write(b"0123456789")

        def log_message(self, *args: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}/file.iso"
    listening.shutdown()
    thread.join(10)
    listening.server_close()
