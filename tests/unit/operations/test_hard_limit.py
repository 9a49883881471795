"""A task that hangs for ever ends its worker: nothing can end a thread."""

import signal
import subprocess
import sys

import pytest

from deploy.environment import REPOSITORY
from tests.workers import product_environment

HANGS = """
import threading, django
django.setup()
from hypervisors.operations.engine.tasks import _hard_limit
with _hard_limit({limit}):
    threading.Event().wait({work})
threading.Event().wait(0.5)
print("went on")
"""


@pytest.mark.parametrize(
    ("limit", "work", "status", "said"), [(0.2, 60, -signal.SIGKILL, ""), (0.3, 0.01, 0, "went on\n")]
)
def test_only_what_outlives_its_limit_ends_the_process(limit: float, work: float, status: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS.format(limit=limit, work=work)],
        cwd=REPOSITORY,
        env=product_environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, said), done.stderr
