"""Files fetched from a web server of the tests' own into real volumes: cut off, another file, cancelled."""

import hashlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections

from hypervisors.models import Operation, StoragePool
from hypervisors.operations.engine.requests import request_cancel, request_operation
from hypervisors.operations.engine.runner import run_operation
from hypervisors.states import OperationState
from tests.lab.portals import Portal, wait_for_operation
from tests.lab.storage.test_storage import Pool
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()

MIB = 1024**2
CONTENT = random.Random(11).randbytes(24 * MIB)


class _Server(BaseHTTPRequestHandler):
    """Breaks off in the middle once, and then gives the rest; /endless waits there for ever."""

    protocol_version = "HTTP/1.1"
    asked: list[str] = []

    def do_GET(self) -> None:
        self.close_connection = True
        self.asked.append(self.headers.get("Range", ""))
        begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in self.headers else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.send_header("ETag", '"1"')
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        # The first request only asks how long it is.
        is_cut = self.path in ("/cut", "/endless") and len(self.asked) == 2
        self.wfile.write(CONTENT[begin : len(CONTENT) // 2 if is_cut else None])
        if self.path == "/endless" and is_cut:
            self.server.released.wait(60)  # type: ignore[attr-defined]

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(settings: LazySettings) -> Iterator[str]:
    settings.FETCH_ALLOW = [ip_network("127.0.0.0/8")]
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    listening.daemon_threads = True
    listening.released = threading.Event()  # type: ignore[attr-defined]
    _Server.asked = []
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.released.set()  # type: ignore[attr-defined]
    listening.shutdown()
    thread.join(10)
    listening.server_close()


@pytest.fixture
def pool(portal: Portal, tmp_path: Path) -> Iterator[Pool]:
    made = Pool(portal.hosts[0], tmp_path / "images")
    wait_until(lambda: made.row and made.row.active)
    yield made
    made.remove()


def ask(portal: Portal, pool: Pool, url: str, **more: str) -> Operation:
    row = StoragePool.objects.select_related("hypervisor").get(uuid=pool.uuid)
    parameters = {"name": "fetched.img", "url": url} | more
    return request_operation(user=portal.alice, kind="fetch_url", subject=row, parameters=parameters)


def run(operation: Operation) -> Operation:
    assert run_operation(operation.pk) is None
    operation.refresh_from_db()
    return operation


def test_a_file_whose_server_breaks_off_is_fetched_from_there_on(portal: Portal, pool: Pool, server: str) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    operation = run(ask(portal, pool, f"{server}/cut", sha256=digest))
    assert (operation.state, operation.outcome) == (
        OperationState.SUCCEEDED,
        "It is there, and its SHA-256 is the expected one.",
    )
    assert _Server.asked == ["", "", f"bytes={len(CONTENT) // 2}-"]
    assert (pool.path / "fetched.img").read_bytes() == CONTENT


def test_another_file_than_was_meant_leaves_nothing(portal: Portal, pool: Pool, server: str) -> None:
    operation = run(ask(portal, pool, f"{server}/file", sha256="0" * 64))
    assert operation.state == OperationState.FAILED
    assert hashlib.sha256(CONTENT).hexdigest() in operation.outcome
    assert "What had been done is undone." in operation.outcome
    assert list(pool.path.iterdir()) == []


def test_a_fetch_that_is_cancelled_leaves_nothing(portal: Portal, pool: Pool, server: str) -> None:
    operation = ask(portal, pool, f"{server}/endless")
    threading.Thread(target=_run_apart, args=(operation,), daemon=True).start()
    file = pool.path / "fetched.img"
    wait_until(lambda: file.exists() and file.stat().st_size > MIB)
    request_cancel(Operation.objects.get(pk=operation.pk), user=portal.alice)
    over = wait_for_operation(operation, lambda row: row.is_finished)
    assert (over.state, over.outcome) == (OperationState.CANCELLED, "Cancelled. What had been done is undone.")
    assert list(pool.path.iterdir()) == []


def _run_apart(operation: Operation) -> None:
    try:
        run_operation(operation.pk)
    finally:
        connections.close_all()
