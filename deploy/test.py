"""The command `./test`: linters and every tier of tests in order, with the servers they need; a table at the end."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FrameType
from typing import IO

from deploy.environment import REPOSITORY, new_secrets
from deploy.services import ServiceError, private_postgresql, private_redis

TIERS = ("lint", "unit", "fakehost", "lab", "browser")
# pytest's exit status when it found no test.
_NO_TESTS = 5
_BIN = os.path.dirname(sys.executable)
# Nothing outside a test's own servers may leak into it.
_SCRUBBED = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the table at the end. `tests` holds pytest's own counts, by word.

    `second_try_count`: so many of them failed, and passed when they were run once more.
    """

    name: str
    status: str
    seconds: float
    tests: dict[str, int]
    second_try_count: int = 0

    @property
    def is_good(self) -> bool:
        return self.status == "passed"

    @property
    def failed_count(self) -> int:
        return sum(count for word, count in self.tests.items() if word not in ("passed", "skipped"))


def main() -> int:
    signal.signal(signal.SIGTERM, _terminate)
    arguments, pytest_arguments = _arguments()
    tiers = [arguments.only] if arguments.only else list(TIERS)
    with tempfile.TemporaryDirectory(prefix="vmportal-test-") as scratch:
        environment = _environment(scratch)
        outcomes: list[Outcome] = []
        for tier in tiers:
            outcomes += _TIERS[tier](environment, pytest_arguments)
    return _report(outcomes)


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(prog="./test", description="Run the tests.", allow_abbrev=False)
    parser.add_argument("--only", choices=TIERS)
    return parser.parse_known_args()


def _environment(scratch: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VMPORTAL_")}
    caches = {"PATH": f"{_BIN}:{os.environ['PATH']}:/usr/sbin:/sbin", "TMPDIR": tempfile.gettempdir()}
    if os.environ.get("SUDO_USER"):
        # The checkout is another's: root's caches do not belong there.
        caches |= {"RUFF_CACHE_DIR": f"{scratch}/ruff", "MYPY_CACHE_DIR": f"{scratch}/mypy"}
        caches |= {"PYTEST_ADDOPTS": f"-o cache_dir={scratch}/pytest"}
    return {name: value for name, value in kept.items() if name not in _SCRUBBED} | caches


# --- tiers


def _lint(environment: dict[str, str], pytest_arguments: list[str]) -> list[Outcome]:
    # The type checker's Django plugin and manage.py load the settings, which want secrets and a place.
    with tempfile.TemporaryDirectory(prefix="vmportal-lint-") as data_dir:
        settings = environment | new_secrets() | {"VMPORTAL_DATA_DIR": data_dir}
        return [_step(f"lint: {name}", command, settings) for name, command in _LINTERS.items()]


_PYTHON_FILES = ["vmportal", "hypervisors", "deploy"]
_LINTERS = {
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy", *_PYTHON_FILES],
    "layers": ["lint-imports"],
    "templates": ["djlint", "--lint", "--quiet", "templates"],
    "migrations": [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
    "system checks": [sys.executable, "manage.py", "check", "--fail-level", "WARNING"],
}


def _unit(environment: dict[str, str], pytest_arguments: list[str]) -> list[Outcome]:
    return _on_both_databases("unit", environment, pytest_arguments)


def _fakehost(environment: dict[str, str], pytest_arguments: list[str]) -> list[Outcome]:
    return _on_both_databases("fakehost", environment, pytest_arguments)


def _on_both_databases(tier: str, environment: dict[str, str], pytest_arguments: list[str]) -> list[Outcome]:
    places = [f"tests/{tier}"]
    with (
        _redis(environment) as with_redis,
        _redis(environment) as other_redis,
        private_postgresql() as url,
        tempfile.TemporaryDirectory(prefix="vmportal-failed-") as cache,
    ):
        other = other_redis | {"DATABASE_URL": url}
        runs = [
            (tier, [*_remembering(places, f"{cache}/sqlite"), *pytest_arguments], with_redis),
            (f"{tier}, PostgreSQL", [*_remembering(places, f"{cache}/postgresql"), *pytest_arguments], other),
        ]
        outcomes = _side_by_side(runs)
        if pytest_arguments:
            return outcomes
        return [_tried_again(*run, outcome) for run, outcome in zip(runs, outcomes, strict=True)]


# What takes most of the time waits for emulated machines: two runs share two cores well. Each has a lab of its own.
_LAB = ("tests/lab/domains",)
_FIRST = ("supervision", "faults", "console", "uploads", "images", "storage", "hardware", "silent_processes", "xml")
_BROWSER = tuple(f"tests/browser/test_{name}.py" for name in _FIRST)


def _lab(environment: dict[str, str], pytest_arguments: list[str]) -> list[Outcome]:
    return _in_halves("lab", _LAB, environment, pytest_arguments)


def _browser(environment: dict[str, str], pytest_arguments: list[str]) -> list[Outcome]:
    return _in_halves("browser", _BROWSER, environment, pytest_arguments)


def _in_halves(
    tier: str, first: tuple[str, ...], environment: dict[str, str], pytest_arguments: list[str]
) -> list[Outcome]:
    """`first` and the rest at the same time; one run alone when only some are asked for."""
    with _redis(environment) as with_redis, _redis(environment) as other_redis:
        if pytest_arguments:
            return _side_by_side([(tier, _pytest_command([f"tests/{tier}"], pytest_arguments), with_redis)])
        rest = [f"tests/{tier}", *(f"--ignore={path}" for path in first)]
        with tempfile.TemporaryDirectory(prefix="vmportal-failed-") as cache:
            runs = [
                (f"{tier}, first half", _remembering(list(first), f"{cache}/first"), with_redis),
                (f"{tier}, second half", _remembering(rest, f"{cache}/second"), other_redis),
            ]
            return [_tried_again(*run, outcome) for run, outcome in zip(runs, _side_by_side(runs), strict=True)]


def _remembering(places: list[str], cache: str) -> list[str]:
    """The command that notes in `cache` which tests failed."""
    return _pytest_command(places, ["-o", f"cache_dir={cache}"])


# More than so many is no accident.
_MOST_TRIED_AGAIN = 20


def _tried_again(name: str, command: list[str], environment: dict[str, str], outcome: Outcome) -> Outcome:
    """Real machines on a busy computer are late now and then: what failed is run once more, alone, in a new lab.

    What fails twice has failed; what passes then is counted and named, to be mended.
    """
    if outcome.status != "failed" or not 0 < outcome.failed_count <= _MOST_TRIED_AGAIN:
        return outcome
    only_failed = [*command, "-v", "--last-failed", "--last-failed-no-failures", "none"]
    again = _step(f"{name}: what failed, once more", only_failed, environment, is_pytest=True)
    seconds = outcome.seconds + again.seconds
    if not again.is_good:
        return replace(outcome, seconds=seconds)
    tests = {"passed": outcome.tests.get("passed", 0) + again.tests.get("passed", 0)}
    tests |= {"skipped": outcome.tests["skipped"]} if "skipped" in outcome.tests else {}
    return replace(again, name=name, seconds=seconds, tests=tests, second_try_count=outcome.failed_count)


def _side_by_side(runs: list[tuple[str, list[str], dict[str, str]]]) -> list[Outcome]:
    """Runs of pytest at the same time: the first one's output as it comes, the others' afterwards."""
    (name, command, environment), *others = runs
    beside = [_Started(*other) for other in others]
    try:
        first = _step(name, command, environment, is_pytest=True)
        return [first, *(other.finish() for other in beside)]
    except BaseException:
        for other in beside:
            other.stop()
        raise


_TIERS: dict[str, Callable[[dict[str, str], list[str]], list[Outcome]]] = {
    "lint": _lint,
    "unit": _unit,
    "fakehost": _fakehost,
    "lab": _lab,
    "browser": _browser,
}


@contextlib.contextmanager
def _redis(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    with private_redis() as url:
        yield environment | {"REDIS_URL": url}


# --- steps


def _pytest_command(places: list[str], arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", *places, *arguments]


def _step(name: str, command: list[str], environment: dict[str, str], *, is_pytest: bool = False) -> Outcome:
    """Run it, its output shown as it comes."""
    print(f"\n=== {name}", flush=True)
    started = time.monotonic()
    process = _start(command, environment, subprocess.PIPE)
    assert process.stdout is not None
    last_line = ""
    try:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            last_line = line.strip() or last_line
        returncode = process.wait()
    except BaseException:
        _interrupt(process)
        raise
    return _outcome(name, returncode, time.monotonic() - started, last_line, is_pytest=is_pytest)


class _Started:
    """A run of pytest beside another: its output waits in a file until `finish` shows it."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self._name = name
        self._started = time.monotonic()
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed when it is shown)
        self._process = _start(command, environment, self._output)

    def finish(self) -> Outcome:
        try:
            returncode = self._process.wait()
        except BaseException:
            self.stop()
            raise
        seconds = time.monotonic() - self._started
        with self._output:
            self._output.seek(0)
            lines = self._output.read().splitlines()
        print(f"\n=== {self._name}", *lines, sep="\n", flush=True)
        last_line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return _outcome(self._name, returncode, seconds, last_line, is_pytest=True)

    def stop(self) -> None:
        """Harmless when it is over."""
        if self._process.poll() is None:
            _interrupt(self._process)
        self._output.close()


def _start(command: list[str], environment: dict[str, str], output: int | IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=output, text=True
    )


def _interrupt(process: subprocess.Popen[str]) -> None:
    """pytest's fixtures take down what they brought up."""
    process.send_signal(signal.SIGINT)
    process.wait()


def _outcome(name: str, returncode: int, seconds: float, last_line: str, *, is_pytest: bool) -> Outcome:
    status = {0: "passed", _NO_TESTS: "found no tests"}.get(returncode, "failed") if is_pytest else _plain(returncode)
    return Outcome(name=name, status=status, seconds=seconds, tests=_counts(last_line) if is_pytest else {})


def _plain(returncode: int) -> str:
    return "passed" if returncode == 0 else "failed"


def _counts(line: str) -> dict[str, int]:
    """The numbers of pytest's closing line, `== 3 passed, 1 skipped in 2.04s ==`."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", line)}


def _report(outcomes: list[Outcome]) -> int:
    totals = {word: sum(outcome.tests.get(word, 0) for outcome in outcomes) for word in ("passed", "skipped")}
    totals["failed"] = sum(outcome.failed_count for outcome in outcomes)
    print("\n=== summary")
    for outcome in outcomes:
        counts = ", ".join(f"{number} {word}" for word, number in outcome.tests.items())
        counts += f", {outcome.second_try_count} of them at the second try" if outcome.second_try_count else ""
        print(f"{outcome.name:<24} {outcome.status:<15} {outcome.seconds:6.0f} s  {counts}".rstrip())
    if any(outcome.tests for outcome in outcomes):
        print(f"\n{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped", flush=True)
    return 0 if outcomes and all(outcome.is_good for outcome in outcomes) else 1


class _Terminated(BaseException):
    """SIGTERM: take down what is up, as on Ctrl-C."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ServiceError as error:
        sys.exit(str(error))
    except (KeyboardInterrupt, _Terminated):
        sys.exit(130)
