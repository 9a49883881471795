"""Celery workers as processes of their own, on the tests' database and Redis."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.db import connection

from hypervisors.models.instances import read_instances
from tests.watching import wait_until


class Worker:
    """The worker of one queue; can be killed as by the kernel, and started again."""

    def __init__(self, queue: str, log_path: Path) -> None:
        self.queue = queue
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it has given a sign of life."""
        command = [sys.executable, "-m", "celery", "-A", "vmportal", "worker", "-n", f"{self.queue}-{os.getpid()}@%h"]
        command += ["-Q", self.queue, "-P", "threads", "-c", "2", "--loglevel", "INFO"]
        command += ["--without-mingle", "--without-gossip"]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=product_environment(), stdout=log, stderr=log, start_new_session=True
            )
        pid = self._process.pid
        wait_until(lambda: pid in [one.pid for one in read_instances() if self.queue in one.holds], seconds=60)

    def kill(self) -> None:
        """Kill it with all its children."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
            self._process = None


@contextmanager
def running_workers(directory: Path, *queues: str) -> Iterator[dict[str, Worker]]:
    workers = {queue: Worker(queue, directory / f"{queue}.log") for queue in queues}
    try:
        for worker in workers.values():
            worker.start()
        yield workers
    finally:
        for worker in workers.values():
            worker.kill()


def product_environment() -> dict[str, str]:
    """The product's settings, on the database that the tests made."""
    database = connection.settings_dict
    name = database["NAME"]
    url = f"sqlite:///{name}"
    if connection.vendor != "sqlite":
        host, port = database["HOST"] or "", database["PORT"]
        url = (
            f"{connection.vendor}://{database['USER']}:{database['PASSWORD']}@{host}{f':{port}' if port else ''}/{name}"
        )
    own = {
        "DJANGO_SETTINGS_MODULE": "vmportal.settings",
        "DATABASE_URL": url,
        "REDIS_URL": settings.REDIS_URL,
        "VMPORTAL_SECRET_KEY": settings.SECRET_KEY,
        "VMPORTAL_ENCRYPTION_KEY": ",".join(settings.ENCRYPTION_KEYS),
    }
    return dict(os.environ) | own
