"""A Redis and a PostgreSQL of the tests' own: in a temporary directory, gone afterwards; on loopback unless told."""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.ports import free_port

_START_SECONDS = 60
_POSTGRES_USER = "postgres"


class ServiceError(Exception):
    """A server did not start; the text holds the end of its log."""


@contextlib.contextmanager
def private_redis(address: str = "127.0.0.1") -> Iterator[str]:
    """The URL of a Redis that keeps nothing."""
    port, password = free_port(), secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="vmportal-redis-") as directory:
        log = Path(directory) / "log"
        options = ["--port", str(port), "--bind", address, "--save", "", "--appendonly", "no", "--dir", directory]
        with _serving(["redis-server", *options, "--requirepass", password], address, port, log):
            yield f"redis://:{password}@{address}:{port}/0"


@contextlib.contextmanager
def private_postgresql(address: str = "127.0.0.1", *, network: str = "") -> Iterator[str]:
    """The URL of a database in a PostgreSQL cluster made for this; fast, and not safe against power cuts.

    `network`, such as 10.1.0.0/24, is let in beside this machine.
    """
    port, password = free_port(), secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory(prefix="vmportal-postgresql-") as name:
        directory = Path(name)
        password_file = directory / "password"
        password_file.write_text(f"{password}\n")
        _hand_over(directory, password_file)
        authentication = ["--auth=scram-sha-256", f"--username={_POSTGRES_USER}", f"--pwfile={password_file}"]
        cluster = directory / "cluster"
        make = [_postgresql_program("initdb"), "-D", str(cluster), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run([*_unprivileged(), *make, *authentication], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServiceError(f"initdb: {done.stderr}")
        if network:
            with (cluster / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {network} scram-sha-256\n")
        server = [_postgresql_program("postgres"), "-D", str(cluster), "-p", str(port)]
        settings = {"listen_addresses": address, "unix_socket_directories": "", "fsync": "off"}
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with _serving([*_unprivileged(), *server, *options], address, port, directory / "log", stop_signal="INT"):
            _wait_until_ready(address, port, directory / "log")
            yield f"postgres://{_POSTGRES_USER}:{password}@{address}:{port}/postgres"


def _wait_until_ready(address: str, port: int, log_path: Path) -> None:
    """It listens before it lets anybody in."""
    command = [_postgresql_program("pg_isready"), "-q", "-h", address, "-p", str(port)]
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise ServiceError(f"PostgreSQL did not start:\n{log_path.read_text(errors='replace')[-2000:]}")


def _hand_over(*paths: Path) -> None:
    if os.geteuid() == 0:
        for path in paths:
            shutil.chown(path, _POSTGRES_USER)


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(_POSTGRES_USER)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def _postgresql_program(name: str) -> str:
    """The newest version's program; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else name


@contextlib.contextmanager
def _serving(
    command: list[str], address: str, port: int, log_path: Path, *, stop_signal: str = "TERM"
) -> Iterator[None]:
    """The command runs and listens on the port; it gets the signal at the end, also should we be killed."""
    with log_path.open("wb") as log:
        guarded = [*_guard(command, stop_signal)]
        process = subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_until_listening(process, address, port, log_path)
        yield
    finally:
        process.send_signal({"TERM": 15, "INT": 2}[stop_signal])
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _guard(command: list[str], stop_signal: str) -> list[str]:
    # A change of user clears the signal, so it is set last, by a setpriv of its own.
    if command[0] == "setpriv":
        end = command.index("--") + 1
        return [*command[:end], "setpriv", "--pdeathsig", stop_signal, "--", *command[end:]]
    return ["setpriv", "--pdeathsig", stop_signal, "--", *command]


def _wait_until_listening(process: subprocess.Popen[bytes], address: str, port: int, log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.05)
    raise ServiceError(f"{process.args!r} did not start:\n{log_path.read_text(errors='replace')[-2000:]}")
