"""The transfer server's door: who gets in, by which method, from which page; what an upload's state answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from socketserver import ThreadingMixIn
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db import DatabaseError, connections

from hypervisors.errors import NotPossible
from hypervisors.models import AuditRecord, Domain, Hypervisor, Operation, StoragePool, TransferLease, Upload, Volume
from hypervisors.operations.engine.requests import request_cancel
from hypervisors.operations.storage.uploads import begin_upload
from hypervisors.states import OperationState, UploadState
from hypervisors.transfer import leases, uploads
from hypervisors.transfer.server import MAX_REQUESTS, TransferServer
from hypervisors.transfer.transfers import Transfer, TransferRegistry
from hypervisors.transfer.upkeep import Upkeep
from hypervisors.transfer.uploads import _Leased
from tests.roles import bind
from tests.transfers import ORIGIN, Browser, path_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

GIB = 1024**3
PATCH = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}


@pytest.fixture
def port(settings: LazySettings, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    settings.PUBLIC_ORIGINS = [ORIGIN]
    monkeypatch.setattr(uploads, "_OPENING_SECONDS", 0.3)
    server = TransferServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.stop()
    thread.join(10)
    connections.close_all()


@pytest.fixture
def storage_pool(make_hypervisor: Callable[..., Hypervisor]) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=make_hypervisor(uri="qemu+tcp://127.0.0.1:1/system"),
        uuid=uuid4(),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        available_bytes=50 * GIB,
    )


@pytest.fixture
def upload(storage_pool: StoragePool, alice: User) -> Upload:
    parameters = {"name": "web1.iso", "length_bytes": 1000}
    return begin_upload(user=alice, storage_pool=storage_pool, parameters=parameters, fingerprint="1000-7")


def becomes(upload: Upload, state: UploadState, **values: Any) -> None:
    Upload.objects.filter(pk=upload.pk).update(state=state, **values)


def test_only_its_owner_signed_in_and_from_our_page_gets_at_an_upload(
    port: int, upload: Upload, alice: User, dora: User, charlie: User
) -> None:
    becomes(upload, UploadState.DONE)
    alices = Browser(port, alice)
    assert alices.ask("HEAD", path_of(upload))[0] == 200
    for other in (dora, charlie):
        assert Browser(port, other).ask("HEAD", path_of(upload))[0] == 404
    assert alices.ask("HEAD", path_of(upload), {"Cookie": ""})[0] == 401
    assert alices.ask("HEAD", path_of(upload), {"Cookie": "sessionid=made-up"})[0] == 401
    for origin in ("", "http://elsewhere.example", f"{ORIGIN}.elsewhere.example"):
        assert alices.ask("PATCH", path_of(upload), PATCH | {"Origin": origin}, b"x")[0] == 403
        assert alices.ask("DELETE", path_of(upload), {"Origin": origin})[0] == 403


def test_who_loses_the_right_or_signs_out_sends_nothing_more(
    port: int, charlie: User, storage_pool: StoragePool
) -> None:
    binding = bind(charlie, "operator")
    parameters = {"name": "web1.iso", "length_bytes": 1000}
    upload = begin_upload(user=charlie, storage_pool=storage_pool, parameters=parameters, fingerprint="")
    becomes(upload, UploadState.OPEN)
    browser = Browser(port, charlie)
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[0] == 503
    binding.delete()
    # That ends sessions, too.
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[0] == 401
    assert Browser(port, charlie).ask("PATCH", path_of(upload), PATCH, b"x")[0] == 403


def test_what_is_no_tus_is_refused(port: int, upload: Upload, alice: User) -> None:
    becomes(upload, UploadState.OPEN)
    browser = Browser(port, alice)
    status, headers, _body = browser.ask("OPTIONS", path_of(upload))
    assert (status, headers["tus-version"], headers["tus-extension"]) == (204, "1.0.0", "termination")
    assert browser.ask("HEAD", path_of(upload), {"Tus-Resumable": "0.2.2"})[0] == 412
    assert browser.ask("PATCH", path_of(upload), PATCH | {"Content-Type": "text/plain"}, b"x")[0] == 415
    for offset in ("", "-1", "x", "9" * 30, "1.0"):
        assert browser.ask("PATCH", path_of(upload), PATCH | {"Upload-Offset": offset}, b"x")[0] == 400
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x" * 1001)[0] == 400
    assert browser.ask("POST", path_of(upload), {}, b"x")[0] == 501
    assert browser.ask("GET", path_of(upload))[0] == 405
    for path in ("/transfer/uploads/", "/transfer/uploads/../../etc/passwd", "/", "/transfer/volumes/x"):
        assert browser.ask("GET", path)[0] == 404


def test_each_state_answers_for_itself(port: int, upload: Upload, alice: User) -> None:
    browser = Browser(port, alice)
    assert browser.ask("HEAD", path_of(upload))[0] == 423
    becomes(upload, UploadState.MAKING)
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[0] == 423
    becomes(upload, UploadState.FAILED, problem="The storage pool is full.")
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[::2] == (410, b"The storage pool is full.")
    becomes(upload, UploadState.DISCARDED)
    assert browser.ask("HEAD", path_of(upload))[0] == 410
    becomes(upload, UploadState.CHECKING)
    status, headers, _body = browser.ask("HEAD", path_of(upload))
    assert (status, headers["upload-offset"], headers["upload-length"]) == (200, "1000", "1000")
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[0] == 409


def test_a_host_that_is_away_is_told_and_nothing_stays_taken(port: int, upload: Upload, alice: User) -> None:
    becomes(upload, UploadState.OPEN)
    status, headers, body = Browser(port, alice).ask("PATCH", path_of(upload), PATCH, b"x")
    assert (status, headers["retry-after"], b"127.0.0.1" in body) == (503, "2", True)
    assert not TransferLease.objects.exists()


def test_one_upload_at_a_time_and_two_on_one_host(port: int, upload: Upload, alice: User) -> None:
    becomes(upload, UploadState.OPEN)
    browser = Browser(port, alice)
    lease = TransferLease.objects.create(key=f"upload:{upload.token}", holder="other", until="2100-01-01T00:00Z")
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[0] == 423
    lease.refresh_from_db()
    assert lease.is_wanted
    lease.delete()
    for number in range(2):
        key = f"host:{upload.storage_pool.hypervisor_id}:{number}"
        TransferLease.objects.create(key=key, holder="others", until="2100-01-01T00:00Z")
    status, _headers, body = browser.ask("PATCH", path_of(upload), PATCH, b"x")
    assert (status, body) == (423, b"Waits until other transfers of its host are done.")
    assert TransferLease.objects.count() == 2
    # Those of a process that is not heard of any more count no longer.
    TransferLease.objects.update(until="2020-01-01T00:00Z")
    assert browser.ask("PATCH", path_of(upload), PATCH, b"x")[0] == 503


def test_one_that_is_ended_just_before_its_turn_writes_nothing(
    port: int, upload: Upload, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    becomes(upload, UploadState.OPEN)
    take = leases.take

    def taken_late(key: str, holder: str) -> bool:
        becomes(upload, UploadState.DISCARDED)
        return take(key, holder)

    monkeypatch.setattr(leases, "take", taken_late)
    status, _headers, body = Browser(port, alice).ask("PATCH", path_of(upload), PATCH, b"x")
    assert (status, body) == (409, b"It was ended meanwhile.")
    assert not TransferLease.objects.exists()


def test_one_that_lost_one_of_its_leases_ends(upload: Upload, alice: User) -> None:
    registry = TransferRegistry()
    with closing(socket.socket()) as client:
        transfer = Transfer(
            client=client, user_id=alice.pk, session_key="", storage_pool=upload.storage_pool, upload=upload
        )
        with _Leased(registry, transfer, upload.storage_pool.hypervisor_id):
            upkeep = Upkeep(registry, threading.Event())
            upkeep._renew(transfer)
            assert not transfer.stopped.is_set()
            TransferLease.objects.filter(key=f"upload:{upload.token}").update(holder="another process")
            upkeep._renew(transfer)
            assert transfer.stopped.is_set()


def test_a_database_that_is_away_at_the_end_leaves_no_transfer_behind(
    upload: Upload, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = TransferRegistry()

    def is_away(holder: str) -> None:
        raise DatabaseError

    monkeypatch.setattr(leases, "release", is_away)
    with closing(socket.socket()) as client:
        transfer = Transfer(
            client=client, user_id=alice.pk, session_key="", storage_pool=upload.storage_pool, upload=upload
        )
        with pytest.raises(DatabaseError), _Leased(registry, transfer, None):
            assert len(registry) == 1
    assert (len(registry), transfer.ended.is_set()) == (0, True)


def test_a_checksum_that_is_given_when_it_goes_on_counts(
    upload: Upload, alice: User, storage_pool: StoragePool
) -> None:
    given: dict[str, Any] = {"name": "web1.iso", "length_bytes": 1000}
    again = begin_upload(
        user=alice, storage_pool=storage_pool, parameters=given | {"sha256": "a" * 64}, fingerprint="1000-7"
    )
    upload.refresh_from_db()
    assert (again.pk, upload.sha256_expected) == (upload.pk, "a" * 64)
    with pytest.raises(NotPossible, match="64 hexadecimal"):
        begin_upload(user=alice, storage_pool=storage_pool, parameters=given | {"sha256": "a"}, fingerprint="1000-7")


def test_a_name_with_a_null_character_is_refused_before_anybody_looks_for_it(
    alice: User, storage_pool: StoragePool
) -> None:
    given: dict[str, Any] = {"name": "web1\0.iso", "length_bytes": 1000}
    with pytest.raises(NotPossible):
        begin_upload(user=alice, storage_pool=storage_pool, parameters=given, fingerprint="1000-7")


@pytest.mark.parametrize("state", [UploadState.WAITING, UploadState.OPEN, UploadState.CHECKING])
def test_one_whose_operation_ended_without_it_takes_nothing_more(
    state: UploadState, port: int, upload: Upload, alice: User, storage_pool: StoragePool
) -> None:
    becomes(upload, state)
    request_cancel(upload.operation, user=alice)
    assert upload.operation.state == OperationState.CANCELLED
    browser = Browser(port, alice)
    for method in ("HEAD", "PATCH"):
        assert browser.ask(method, path_of(upload), PATCH, b"x" * (method == "PATCH"))[0] == 410
    assert not Upload.objects.unfinished().exists()
    parameters = {"name": "web1.iso", "length_bytes": 1000}
    again = begin_upload(user=alice, storage_pool=storage_pool, parameters=parameters, fingerprint="1000-7")
    assert again != upload


def test_a_thread_that_cannot_be_started_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadingMixIn, "process_request", fails)
    server = TransferServer(("127.0.0.1", 0))
    with closing(socket.socket()) as client:
        for _number in range(MAX_REQUESTS + 1):
            with pytest.raises(RuntimeError):
                server.process_request(client, ("127.0.0.1", 1))
    server.server_close()


def test_a_cancelled_upload_is_audited(port: int, upload: Upload, alice: User) -> None:
    assert Browser(port, alice).ask("DELETE", path_of(upload))[0] == 423
    becomes(upload, UploadState.OPEN)
    assert Browser(port, alice).ask("DELETE", path_of(upload))[0] == 204
    record = AuditRecord.objects.filter(action="cancel upload_volume").get()
    assert (record.actor_name, record.address) == ("alice", "127.0.0.1")
    assert Operation.objects.get(pk=upload.operation_id).is_finished


def test_a_download_needs_the_right_and_no_running_machine(
    port: int, storage_pool: StoragePool, alice: User, charlie: User, bob: User
) -> None:
    volume = Volume.objects.create(storage_pool=storage_pool, name="a.iso", path="/images/a.iso", format="iso")
    path = f"/transfer/volumes/{volume.pk}"
    assert Browser(port, charlie).ask("GET", path)[0] == 404
    assert Browser(port, bob).ask("GET", path)[0] == 404
    alices = Browser(port, alice)
    assert alices.ask("GET", path, {"Cookie": ""})[0] == 401
    assert alices.ask("GET", path, {"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert alices.ask("POST", path)[0] == 501
    assert alices.ask("DELETE", path)[0] == 405
    assert alices.ask("GET", "/transfer/volumes/999999")[0] == 404
    assert alices.ask("GET", path)[0] == 503
    assert not TransferLease.objects.exists()
    Operation.objects.all().delete()


def test_a_request_that_never_ends_holds_up_nobody(port: int, upload: Upload, alice: User) -> None:
    with closing(socket.create_connection(("127.0.0.1", port))) as silent:
        silent.sendall(b"PATCH /transfer/uploads/x HTTP/1.1\r\nHost: x\r\n")
        assert Browser(port, alice).ask("GET", "/transfer/alive")[0] == 204


def test_a_file_that_broke_off_is_found_again_by_its_owner_alone(
    storage_pool: StoragePool, alice: User, dora: User, upload: Upload, domain: Domain
) -> None:
    parameters = {"name": "web1.iso", "length_bytes": 1000}
    again = begin_upload(user=alice, storage_pool=storage_pool, parameters=parameters, fingerprint="1000-7")
    assert again.pk == upload.pk
    for user, fingerprint in ((dora, "1000-7"), (alice, "1000-8"), (alice, "")):
        with pytest.raises(Exception, match="“Upload”, asked for by alice"):
            begin_upload(user=user, storage_pool=storage_pool, parameters=parameters, fingerprint=fingerprint)
