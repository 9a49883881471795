"""A transfer process of its own on the tests' database, and what a browser sends to one."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from deploy.ports import free_port
from hypervisors.models import Upload
from hypervisors.models.instances import read_instances
from tests.watching import wait_until
from tests.workers import product_environment

ORIGIN = "http://portal.example"
_PIECE_BYTES = 1 << 16


class TransferProcess:
    """Can be killed as by the kernel, and started again on the same port."""

    def __init__(self, log_path: Path) -> None:
        self.port = free_port()
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it has given a sign of life."""
        command = [sys.executable, "manage.py", "transfer_server", "--listen", f"127.0.0.1:{self.port}"]
        environment = product_environment() | {"VMPORTAL_PUBLIC_ORIGINS": ORIGIN}
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: self.pid in [one.pid for one in read_instances() if one.kind == "transfer"], seconds=60)

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
            self._process = None


@contextmanager
def running_transfer(directory: Path) -> Iterator[TransferProcess]:
    process = TransferProcess(directory / "transfer.log")
    try:
        process.start()
        yield process
    finally:
        process.kill()


class Browser:
    """A person's browser, as far as transfers go; `cookies` are those of Django's test client."""

    def __init__(self, port: int, user: User) -> None:
        self.port = port
        client = Client()
        client.force_login(user)
        self.cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body; (0, …) when nobody answers, or the connection breaks."""
        sent = {"Cookie": self.cookie, "Origin": ORIGIN, "Tus-Resumable": "1.0.0"} | (headers or {})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            try:
                connection.request(method, path, body=body, headers={k: v for k, v in sent.items() if v})
                answer = connection.getresponse()
                return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            except (OSError, http.client.HTTPException):
                return 0, {}, b""

    def offset(self, upload: Upload, *, seconds: float = 30) -> int:
        """Where to go on, once the server says so."""

        def told() -> tuple[int] | None:
            status, headers, _body = self.ask("HEAD", path_of(upload))
            return (int(headers["upload-offset"]),) if status == 200 else None

        return int(wait_until(told, seconds=seconds)[0])

    def send(self, upload: Upload, offset: int, data: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        return self.ask("PATCH", path_of(upload), headers, data)

    def begin(self, upload: Upload, offset: int, data: bytes) -> "SlowPatch":
        """Send half of it at once, and the rest when told to."""
        return SlowPatch(self, upload, offset, data)

    def send_all(self, upload: Upload, content: bytes, *, piece_bytes: int = 64 << 20) -> int:
        """As a patient browser does: the status of the last piece."""
        status = 0
        while (offset := self.offset(upload)) < len(content):
            status, _headers, _body = self.send(upload, offset, content[offset : offset + piece_bytes])
            if status in (410, 404, 403):
                return status
        return status


class SlowPatch:
    """A PATCH whose body comes in two parts."""

    def __init__(self, browser: Browser, upload: Upload, offset: int, data: bytes) -> None:
        self._rest = data[len(data) // 2 :]
        self._connection = http.client.HTTPConnection("127.0.0.1", browser.port, timeout=60)
        self._connection.putrequest("PATCH", path_of(upload))
        headers = {
            "Cookie": browser.cookie,
            "Origin": ORIGIN,
            "Tus-Resumable": "1.0.0",
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            "Content-Length": str(len(data)),
        }
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self._sender = threading.Thread(target=self._send, args=(data[: len(data) // 2],), daemon=True)
        self._sender.start()

    def _send(self, data: bytes) -> None:
        with suppress(OSError):
            for begin in range(0, len(data), _PIECE_BYTES):
                self._connection.send(data[begin : begin + _PIECE_BYTES])

    def go_on(self) -> int:
        """Send the rest; the answer's status, 0 when the connection broke."""
        self._sender.join(60)
        try:
            self._send(self._rest)
            return self._connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            self._connection.close()

    def vanish(self) -> None:
        self._sender.join(60)
        self._connection.close()


def path_of(upload: Upload) -> str:
    return f"/transfer/uploads/{upload.token}"
