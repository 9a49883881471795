"""Streams through ssh to an address on the hypervisor: `ssh -W` over one shared connection per hypervisor.

The shared connection (ControlMaster, ssh_config(5)) is opened through the endpoint's own wrapper, whose key file is
gone once it stands, and ends by itself half a minute after the last stream.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypervisors.errors import ConnectionFailed, ConnectionTimedOut, NotPossible
from hypervisors.gateway.endpoints import Endpoint, openable_uri

_PERSIST_SECONDS = 30
_SOCKET_PATH = re.compile(r"/[A-Za-z0-9/._+-]+")
_CLIENT_OPTIONS = [
    *("-F", "/dev/null", "-o", "ControlMaster=no", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
    # Should the shared connection be gone, never fall back to one of root's own.
    *("-o", "ProxyCommand=false"),
]


@dataclass(kw_only=True)
class SshStream:
    """One stream; its process lives as long as the socket is open."""

    socket: socket.socket
    process: "subprocess.Popen[bytes]"

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def complaint(self) -> str:
        """What ssh said when it ended; empty while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5)
        if self.process.poll() is None:
            return ""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode("utf-8", "replace").strip()


def open_ssh_stream(endpoint: Endpoint, address: str, port: int, *, timeout_seconds: float = 8) -> SshStream:
    """A stream to address:port as seen from the hypervisor. Raises: errors.ConnectionFailed."""
    control = _shared_connection(endpoint).control_path(timeout_seconds)
    near, far = socket.socketpair()
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    with far:
        process = subprocess.Popen(
            ["ssh", *_CLIENT_OPTIONS, "-S", str(control), "-W", target, "--", endpoint.uri.host],
            stdin=far.fileno(),
            stdout=far.fileno(),
            stderr=subprocess.PIPE,
        )
    return SshStream(socket=near, process=process)


def open_ssh_socket(endpoint: Endpoint, path: str, *, timeout_seconds: float = 8) -> socket.socket:
    """A stream to a unix socket of the hypervisor. Raises: errors.ConnectionFailed, errors.NotPossible.

    ssh -W knows ports only: the shared connection forwards a socket of ours for the moment of connecting.
    """
    if not _SOCKET_PATH.fullmatch(path):
        raise NotPossible(f"The socket “{path}” cannot be reached through ssh; give the VM a VNC display with a port.")
    control = _shared_connection(endpoint).control_path(timeout_seconds)
    ours = control.with_name(f"socket-{secrets.token_hex(6)}")
    forward = ["-L", f"{ours}:{path}"]
    _command(endpoint, control, "forward", forward, timeout_seconds)
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(os.fspath(ours))
    except OSError as error:
        link.close()
        raise ConnectionFailed(f"The socket {path} of {endpoint.uri.host} cannot be reached: {error}.") from error
    finally:
        # What is connected stays so.
        with suppress(ConnectionFailed):
            _command(endpoint, control, "cancel", forward, timeout_seconds)
        ours.unlink(missing_ok=True)
    return link


def _command(endpoint: Endpoint, control: Path, command: str, arguments: list[str], timeout_seconds: float) -> None:
    """Ask the shared connection for something. Raises: errors.ConnectionFailed."""
    asked = ["ssh", *_CLIENT_OPTIONS, "-S", str(control), "-O", command, *arguments, "--", endpoint.uri.host]
    try:
        result = subprocess.run(asked, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConnectionTimedOut(
            f"{endpoint.uri.host} did not answer by ssh within {timeout_seconds:.0f} s."
        ) from error
    if result.returncode:
        raise ConnectionFailed(f"ssh to {endpoint.uri.host} failed: {result.stderr.strip() or 'no reason given'}.")


def close_shared_connections() -> None:
    """End them all, for the process's end."""
    with _lock:
        shared = list(_shared.values())
        _shared.clear()
    for connection in shared:
        connection.close()


@dataclass(kw_only=True)
class _SharedConnection:
    endpoint: Endpoint
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="vmportal-tunnel-")))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def control_path(self, timeout_seconds: float) -> Path:
        """The control socket of a connection that stands, opened if need be."""
        path = self.directory / "control"
        with self.lock:
            if not _listens(path):
                self._open(path, timeout_seconds)
        return path

    def close(self) -> None:
        uri = self.endpoint.uri
        command = ["ssh", *_CLIENT_OPTIONS, "-S", str(self.directory / "control"), "-O", "exit", "--", uri.host]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=2, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _open(self, path: Path, timeout_seconds: float) -> None:
        uri = self.endpoint.uri
        path.unlink(missing_ok=True)
        login = ["-l", uri.username] if uri.username else []
        options = ["-M", "-N", "-S", str(path), "-o", f"ControlPersist={_PERSIST_SECONDS}", "-p", str(uri.port), *login]
        with openable_uri(self.endpoint) as openable, tempfile.TemporaryFile() as said:
            assert openable.ssh_pid_file is not None
            wrapper = openable.ssh_pid_file.with_name("ssh")
            try:
                # It goes to the background, and so returns, once it is logged in.
                result = subprocess.run(
                    [str(wrapper), *options, "--", uri.host],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    timeout=timeout_seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise ConnectionTimedOut(f"{uri.host} did not answer by ssh within {timeout_seconds:.0f} s.") from error
            if result.returncode:
                said.seek(0)
                words = said.read(1000).decode("utf-8", "replace").strip()
                raise ConnectionFailed(f"ssh to {uri.host} failed: {words or 'no reason given'}.")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True


_lock = threading.Lock()
_shared: dict[str, _SharedConnection] = {}


def _shared_connection(endpoint: Endpoint) -> _SharedConnection:
    with _lock:
        known = _shared.get(endpoint.key)
        if known is not None and known.endpoint == endpoint:
            return known
        # The one to the old address ends by itself with its last stream.
        _shared[endpoint.key] = _SharedConnection(endpoint=endpoint)
        return _shared[endpoint.key]
