"""One whole stack, no browser: each process dies and comes back alone, and nothing is left after the end."""

import contextlib
import gzip
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.environment import REPOSITORY
from deploy.ports import free_port
from deploy.stack import Stack

PROCESSES = ["web", "console", "transfer", "worker", "migrations", "storage", "watcher", "redis", "nginx"]


@pytest.fixture(scope="module")
def lone_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, without hypervisors."""
    with Stack(tmp_path_factory.mktemp("stack") / "data") as stack:
        yield stack


def until(is_so: Callable[[], bool], *, timeout_seconds: float = 30) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.05)


def pids(stack: Stack) -> dict[str, int]:
    return {name: stack.pid(name) for name in PROCESSES}


def processes_of(data_dir: Path) -> list[str]:
    """The command lines of all processes that were started for this data directory."""
    mark = f"VMPORTAL_DATA_DIR={data_dir}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_killed_process_comes_back_alone(lone_stack: Stack, name: str) -> None:
    before = pids(lone_stack)
    lone_stack.wait_restarted(name, lone_stack.kill(name, signal.SIGKILL))
    lone_stack.wait_healthy(timeout_seconds=30)
    after = pids(lone_stack)
    assert {other for other in PROCESSES if after[other] != before[other]} == {name}


def web_processes(stack: Stack) -> set[int]:
    parent = stack.pid("web")
    return {int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}


def test_there_are_as_many_web_processes_as_cores_and_each_is_replaced_alone(lone_stack: Stack) -> None:
    parent, before = lone_stack.pid("web"), web_processes(lone_stack)
    assert len(before) == len(os.sched_getaffinity(0))
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(web_processes(lone_stack) - {victim}) == len(before))
    assert web_processes(lone_stack) & before == before - {victim}
    assert lone_stack.pid("web") == parent
    lone_stack.wait_healthy()


def test_each_process_shows_in_the_process_list_what_it_runs(lone_stack: Stack) -> None:
    shown = {
        name: Path(f"/proc/{lone_stack.pid(name)}/cmdline").read_bytes().replace(b"\0", b" ") for name in PROCESSES
    }
    assert b"vmportal.web" in shown["web"]
    assert b"console_proxy" in shown["console"]
    assert b"watch_hypervisors" in shown["watcher"]
    assert b"-Q storage" in shown["storage"]
    assert b"redis-server" in shown["redis"]


@pytest.mark.parametrize("name", ["console", "transfer", "worker", "migrations", "storage", "watcher", "redis"])
def test_a_frozen_process_is_ill(lone_stack: Stack, name: str) -> None:
    frozen = lone_stack.kill(name, signal.SIGSTOP)
    try:
        until(lambda: not lone_stack.health()[1]["checks"][name]["well"], timeout_seconds=15)
        assert lone_stack.health()[0] == 503
    finally:
        os.kill(frozen, signal.SIGCONT)
    lone_stack.wait_healthy()


def test_a_web_process_that_is_frozen_is_replaced_and_the_others_serve_on(lone_stack: Stack) -> None:
    frozen, *others = sorted(web_processes(lone_stack))
    os.kill(frozen, signal.SIGSTOP)
    until(lambda: frozen not in web_processes(lone_stack), timeout_seconds=20)
    until(lambda: len(web_processes(lone_stack)) == len(others) + 1)
    assert set(others) < web_processes(lone_stack)
    lone_stack.wait_healthy()
    assert [fetch(f"{lone_stack.url}/accounts/login/")[0] for _ in range(10)] == [200] * 10


def test_web_processes_that_are_all_frozen_are_not_well(lone_stack: Stack) -> None:
    frozen = web_processes(lone_stack)
    try:
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        assert lone_stack.health()[0] != 200
    finally:
        for pid in frozen:
            # They may have been replaced by now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    lone_stack.wait_healthy()


def test_while_the_web_process_is_away_a_page_says_so_and_reloads_itself(lone_stack: Stack) -> None:
    lone_stack.stop_process("web")
    try:
        status, headers, body = fetch(f"{lone_stack.url}/vms/")
    finally:
        lone_stack.start_process("web")
    assert status == 502
    assert headers["cache-control"] == "no-store"
    assert b'http-equiv="refresh"' in body
    lone_stack.wait_healthy()


def test_hashed_and_versioned_files_are_kept_for_a_year_and_travel_compressed(lone_stack: Stack) -> None:
    css = lone_stack.data_dir / "static" / "css"
    # Small ones are sent as they are.
    hashed = max(
        (path for path in css.iterdir() if re.fullmatch(r".+\.[0-9a-f]{12}\.css", path.name)),
        key=lambda path: path.stat().st_size,
    ).name
    for path in (f"css/{hashed}", "vendor/novnc-1.7.0/core/rfb.js"):
        status, headers, body = fetch(f"{lone_stack.url}/static/{path}", **{"Accept-Encoding": "gzip"})
        assert status == 200
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert gzip.decompress(body) == (lone_stack.data_dir / "static" / path).read_bytes()
    assert headers["content-type"] == "text/javascript"


@pytest.mark.parametrize("path", ["/static/../secrets.env", "/static/%2e%2e/secrets.env", "/static../secrets.env"])
def test_nothing_beside_the_static_files_is_served(lone_stack: Stack, path: str) -> None:
    secrets = (lone_stack.data_dir / "secrets.env").read_bytes()
    assert b"VMPORTAL_SECRET_KEY=" in secrets
    _status, _, body = fetch(f"{lone_stack.url}{path}")
    assert [line for line in secrets.splitlines() if line in body] == []


def test_the_administrators_password_is_kept_until_it_is_changed(lone_stack: Stack) -> None:
    password = lone_stack.admin_password
    assert len(password) >= 16
    assert lone_stack.prepare() == {"admin_created": False}
    assert lone_stack.admin_password == password
    change = "from django.contrib.auth.models import User; u = User.objects.get(); u.set_password('x'); u.save()"
    lone_stack.manage("shell", "-c", change)
    lone_stack.prepare()
    assert lone_stack.admin_password == ""


def test_nothing_is_left_after_a_stop(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "data")
    stack.start()
    assert len(processes_of(stack.data_dir)) > len(PROCESSES)
    stack.stop()
    assert processes_of(stack.data_dir) == []
    assert not stack.places.runtime_dir.exists()
    assert not (stack.data_dir / "running.env").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_in_the_background_of_a_script_heeds_signals(tmp_path: Path, number: signal.Signals) -> None:
    """A shell without a terminal starts what is in the background with SIGINT ignored."""
    ignoring = 'trap "" INT; exec "$0" "$@"'
    command = [str(REPOSITORY / "run"), "--data-dir", str(tmp_path / "data"), "--listen", f"127.0.0.1:{free_port()}"]
    with subprocess.Popen(
        ["sh", "-c", ignoring, *command],
        stdout=subprocess.PIPE,
        text=True,
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("VMPORTAL_", "DATABASE_", "REDIS_"))
        },
    ) as run:
        assert run.stdout is not None
        assert any(line.startswith("· Data is kept in") for line in iter(run.stdout.readline, ""))
        run.send_signal(number)
        assert run.wait(60) in (0, 130)
    assert processes_of(tmp_path / "data") == []


def test_nothing_is_left_when_the_starter_itself_is_killed(tmp_path: Path) -> None:
    start = "import sys; from deploy.stack import Stack; stack = Stack(sys.argv[1]); stack.start()"
    code = f"{start}; print('up', flush=True); input()"
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "data")],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "VMPORTAL_DATA_DIR"},
    )
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        starter.kill()
    until(lambda: processes_of(tmp_path / "data") == [], timeout_seconds=60)
    # Nor does what the killed one held stand in the way of the next.
    heir = Stack(tmp_path / "data")
    heir.claim()
    heir.stop()
