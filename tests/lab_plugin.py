"""The fixture `lab`: two real hypervisors of this run alone, for tests/lab and tests/browser. It needs root."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.lab.lab import Lab, bring_up, find_lab_plan, take_down
from deploy.lab.registry import REGISTRY

_DIRECTORY_PREFIX = "vmportal-lab-"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Two hosts without guests. `with lab.guest(host, "web1") as guest:` makes one for a test."""
    if os.geteuid() != 0:
        pytest.fail("The lab makes namespaces and mounts: run the tests as root, as ./test does.")
    _take_down_orphans()
    name = f"t{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix=_DIRECTORY_PREFIX, ignore_cleanup_errors=True) as directory:
        try:
            yield bring_up(name, Path(directory) / "lab", host_count=2)
        finally:
            plan = find_lab_plan(name, None)
            if plan is not None:
                take_down(plan)


def _take_down_orphans() -> None:
    """Labs of test runs that were killed."""
    for file in REGISTRY.glob("t*.json"):
        pid = re.fullmatch(r"t(\d+)", file.stem)
        plan = find_lab_plan(file.stem, None)
        if not (pid and plan) or Path(f"/proc/{pid[1]}").exists():
            continue
        if plan.directory.parent.name.startswith(_DIRECTORY_PREFIX):
            take_down(plan)
            shutil.rmtree(plan.directory.parent, ignore_errors=True)
