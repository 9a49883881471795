"""Watchers as processes of their own, on the tests' database and Redis; their logs go to a file each."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.environment import REPOSITORY
from hypervisors.models import HypervisorPool, WatcherLease
from tests.watching import wait_until
from tests.workers import product_environment


class WatcherProcess:
    """One `manage.py watch_hypervisors`."""

    def __init__(self, log_path: Path, environment: Mapping[str, str]) -> None:
        self.log_path = log_path
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(REPOSITORY / "manage.py"), "watch_hypervisors"],
                env=product_environment() | dict(environment),
                stdout=log,
                stderr=log,
            )

    @property
    def pools(self) -> set[int]:
        """The hypervisor pools it leads, as the rows say."""
        mine = WatcherLease.objects.filter(holder__contains=f":{self._process.pid}:").exclude(hypervisor_pool=None)
        return set(mine.values_list("hypervisor_pool", flat=True))

    def wait_until_it_leads(self, *pools: HypervisorPool, seconds: float = 30) -> None:
        wait_until(lambda: {pool.pk for pool in pools} <= self.pools, seconds=seconds)

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def wait(self) -> None:
        self._process.wait(20)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(20)

    @property
    def log(self) -> str:
        return self.log_path.read_text()


@contextmanager
def watcher_process(log_path: Path, **environment: str) -> Iterator[WatcherProcess]:
    """It gets the environment beside the tests' own."""
    process = WatcherProcess(log_path, environment)
    try:
        yield process
    finally:
        process.end()
