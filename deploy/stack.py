"""One whole vmportal on a data directory and a port: prepared, started, watched, broken on purpose, stopped.

`./run`, the browser tests and `bench/` start vmportal through this class. Several stacks may run at the same time.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from supervisor.xmlrpc import SupervisorTransport

from deploy.configuration import write_configuration
from deploy.environment import (
    REPOSITORY,
    check_data_dir,
    connect_host,
    django_environment,
    read_assignments,
    read_secrets,
    write_private,
)
from deploy.ports import PortTaken, check_port_is_free, free_port
from deploy.programs import Places

# The environment of the running stack, for commands beside it.
_RUNNING_FILE = "running.env"
_START_SECONDS = 90
# Longer than the slowest programs' stop_wait_seconds one after the other.
_STOP_SECONDS = 75


class StackError(Exception):
    """The stack cannot start, or is not well; the text says why and what to do."""


class Stack:
    """A vmportal of its own. Use as a context manager, or call start() and stop()."""

    def __init__(
        self,
        data_dir: Path | str,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        """Without a port, a free one is taken.

        `env` is added to this process's environment, from which alone vmportal's own variables are not taken over: a
        stack started by a test has nothing to do with the database and Redis of that test.
        """
        self.data_dir = check_data_dir(Path(data_dir))
        self.host = host
        self.port = port if port is not None else free_port()
        self.url = f"http://{connect_host(host)}:{self.port}"
        runtime_name = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:12]
        runtime_dir = Path(tempfile.gettempdir()) / f"vmportal-{os.getuid()}-{runtime_name}"
        self.places = Places(data_dir=self.data_dir, runtime_dir=runtime_dir)
        inherited = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        self._given = inherited | {name: value for name, value in (env or {}).items() if value or not _is_ours(name)}
        self._environment: dict[str, str] | None = None
        self._supervisord: subprocess.Popen[bytes] | None = None
        self._lock: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- life

    def start(self, *, timeout_seconds: float = _START_SECONDS) -> None:
        """Prepare, start every process and wait until all are well. Raises StackError; then nothing is left running."""
        try:
            self.prepare()
            self.launch()
            self.wait_healthy(timeout_seconds=timeout_seconds)
        except BaseException:
            self.stop()
            raise

    def prepare(self, hypervisors: Sequence[tuple[str, str, str]] = ()) -> dict[str, Any]:
        """Migrate, collect static files, make the administrator once, register (pool, name, URI) triples.

        Returns {"admin_created": bool}. Raises StackError.
        """
        self.claim()
        arguments = [part for triple in hypervisors for part in ("--hypervisor", *triple)]
        done = subprocess.run(
            [sys.executable, "-m", "deploy.prepare", *arguments],
            cwd=REPOSITORY,
            # That no watcher listens yet is no news.
            env=self.environment | {"VMPORTAL_LOG_LEVEL": "ERROR"},
            stdout=subprocess.PIPE,
            check=False,
            umask=0o077,
        )
        if done.returncode != 0:
            raise StackError("The database could not be prepared; the reason stands above.")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def launch(self) -> None:
        """Start Supervisor and with it every process. Raises StackError when the port is taken."""
        self.claim()
        try:
            check_port_is_free(self.host, self.port)
        except PortTaken as error:
            raise StackError(str(error)) from error
        own_redis = "REDIS_URL" not in self._given
        write_configuration(self.places, self.environment, host=self.host, port=self.port, own_redis=own_redis)
        running = {name: value for name, value in self.environment.items() if _is_ours(name)}
        write_private(self.data_dir / _RUNNING_FILE, "".join(f"{name}={value}\n" for name, value in running.items()))
        command = [sys.executable, "-m", "deploy.supervising", "-c", str(self.places.supervisor_configuration)]
        # Should this process be killed, the kernel stops Supervisor, and that stops the rest. A session of its own:
        # Ctrl-C reaches only us, and we stop things in order.
        self._supervisord = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *command],
            cwd=REPOSITORY,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Stop everything; harmless when nothing runs."""
        if self._supervisord is not None:
            self._supervisord.terminate()
            try:
                self._supervisord.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._supervisord.kill()
                self._supervisord.wait()
            self._supervisord = None
        if self._lock is not None:
            self._fold_journal()
        self._release()

    @property
    def is_running(self) -> bool:
        return self._supervisord is not None and self._supervisord.poll() is None

    # --- health

    def wait_healthy(self, *, timeout_seconds: float = _START_SECONDS) -> dict[str, Any]:
        """Wait for /healthz to say that all is well; returns its report. Raises StackError with what is ill and why."""
        deadline = time.monotonic() + timeout_seconds
        report: dict[str, Any] = {}
        while time.monotonic() < deadline:
            if self._supervisord is not None and self._supervisord.poll() is not None:
                raise StackError(f"Supervisor ended.\n{self._tail('supervisord')}")
            status, report = self.health()
            if status == 200:
                return report
            time.sleep(0.1)
        raise StackError(self._diagnosis(report, timeout_seconds))

    def health(self) -> tuple[int, dict[str, Any]]:
        """The status and report of /healthz through nginx; (0, {}) when nobody answers."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.url}/healthz", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _json_or_empty(error.read())
        except (OSError, ValueError):
            return 0, {}

    def _diagnosis(self, report: dict[str, Any], timeout_seconds: float) -> str:
        ill = {name: check["detail"] for name, check in report.get("checks", {}).items() if not check["well"]}
        lines = [f"vmportal is not well after {timeout_seconds:.0f} s."]
        lines += [f"  {name}: {detail}" for name, detail in ill.items()] or ["  /healthz does not answer."]
        lines += [f"  {name} is {state}" for name, state in self.states().items() if state != "RUNNING"]
        suspects = [_PROGRAM_OF_CHECK.get(name, name) for name in ill] or ["web", "nginx"]
        lines += [self._tail(name) for name in suspects if (self.places.log_dir / f"{name}.log").exists()]
        return "\n".join(lines)

    def _tail(self, name: str, lines: int = 15) -> str:
        path = self.places.log_dir / f"{name}.log"
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join([f"--- the end of {path}", *text.splitlines()[-lines:]])

    # --- single processes

    def states(self) -> dict[str, str]:
        """Supervisor's state of each process, such as RUNNING, BACKOFF or FATAL; empty when Supervisor is away."""
        try:
            return {row["name"]: row["statename"] for row in self.ask_supervisor("getAllProcessInfo")}
        except (OSError, xmlrpc.client.Error):
            return {}

    def pid(self, process: str) -> int:
        """The process id of a running process. Raises StackError."""
        row = self.ask_supervisor("getProcessInfo", process)
        if not row["pid"]:
            raise StackError(f"{process} is {row['statename']}")
        return int(row["pid"])

    def restart(self, process: str) -> None:
        """Stop the process, and start it again; returns when it is up."""
        self.stop_process(process)
        self.start_process(process)

    def stop_process(self, process: str) -> None:
        self.ask_supervisor("stopProcess", process, True)

    def start_process(self, process: str) -> None:
        self.ask_supervisor("startProcess", process, True)

    def kill(self, process: str, signal_number: int = signal.SIGKILL, *, group: bool = False) -> int:
        """Send a signal to the process (or with it to its children); Supervisor restarts what ends. Returns its id."""
        pid = self.pid(process)
        # Supervisor makes each program the leader of a group of its own.
        (os.killpg if group else os.kill)(pid, signal_number)
        return pid

    def wait_restarted(self, process: str, former_pid: int, *, timeout_seconds: float = 30) -> int:
        """Wait until Supervisor has put another in the place of the process; returns its id. Raises StackError."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            row = self.ask_supervisor("getProcessInfo", process)
            if row["statename"] == "RUNNING" and row["pid"] not in (0, former_pid):
                return int(row["pid"])
            time.sleep(0.05)
        raise StackError(f"{process} did not come back within {timeout_seconds:.0f} s.\n{self._tail(process)}")

    def ask_supervisor(self, method: str, *arguments: Any) -> Any:
        """Call a method of http://supervisord.org/api.html. Raises OSError, xmlrpc.client.Error."""
        transport = SupervisorTransport(None, None, f"unix://{self.places.supervisor_socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    # --- Django

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every process; internal ports are chosen once per Stack."""
        if self._environment is None:
            self._make_data_dir()
            password = read_secrets(self.data_dir)["REDIS_PASSWORD"]
            self._environment = self._given | django_environment(
                data_dir=self.data_dir,
                host=self.host,
                port=self.port,
                redis_url=f"redis://:{password}@127.0.0.1:{free_port()}/0",
                console_port=free_port(),
                transfer_port=free_port(),
                given={name: value for name, value in self._given.items() if _is_ours(name)},
            )
        return self._environment

    def attached_environment(self) -> dict[str, str]:
        """The environment of the stack that runs on this data directory, where one does; else of one that would."""
        path = self.data_dir / _RUNNING_FILE
        return self.environment | (read_assignments(path) if path.exists() else {})

    def manage(self, *arguments: str) -> str:
        """Run a manage.py command beside the stack and return what it printed. Raises CalledProcessError."""
        command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    @property
    def admin_password(self) -> str:
        """The generated password of the user `admin`; empty once it was changed."""
        path = self.data_dir / "admin-password"
        return path.read_text().strip() if path.exists() else ""

    # --- one stack per data directory

    def claim(self) -> None:
        """Take the data directory for this process. Raises StackError when another vmportal runs on it."""
        if self._lock is not None:
            return
        self._make_data_dir()
        lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise StackError(
                f"Another vmportal runs on {self.data_dir}. Stop it, or choose another --data-dir and --listen."
            ) from None
        self._lock = lock
        _make_runtime_dir(self.places.runtime_dir)

    def _make_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"{self.data_dir} cannot be used: {error.strerror}. Choose another --data-dir.") from error

    def _fold_journal(self) -> None:
        """Write SQLite's journal into the database: whoever copies the one file has everything."""
        path = self.data_dir / "db.sqlite3"
        if "DATABASE_URL" in self._given or not path.exists():
            return
        # Somebody may look at it, or the disk be full: the journal is kept then, and nothing is lost.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=5)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _release(self) -> None:
        if self._lock is None:
            return
        (self.data_dir / _RUNNING_FILE).unlink(missing_ok=True)
        for path in self.places.runtime_dir.glob("*"):
            path.unlink(missing_ok=True)
        self.places.runtime_dir.rmdir()
        self._lock.close()
        self._lock = None


_PROGRAM_OF_CHECK = {"database": "web"}


def _is_ours(name: str) -> bool:
    """Whether vmportal reads this variable."""
    others = ("DATABASE_URL", "REDIS_URL", "WEB_CONCURRENCY", "DJANGO_SETTINGS_MODULE")
    return name.startswith("VMPORTAL_") or name in others


def _json_or_empty(text: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _make_runtime_dir(path: Path) -> None:
    """Make the private directory for sockets; refuse one that somebody else put there."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StackError(f"{path} is not a private directory of ours. Remove it.")
