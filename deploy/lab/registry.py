"""Which labs there are on this machine: one file each under /run, so that names and subnets never collide."""

import contextlib
import fcntl
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from deploy.lab.plan import MAX_HOSTS, LabPlan, plan_from_json
from deploy.lab.process import LabError, run

REGISTRY = Path("/run/vmportal-labs")
# The second byte of a lab's network, 10.N.0.0/24.
_NUMBERS = range(60, 191)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")


def find_plan(name: str) -> LabPlan | None:
    try:
        return plan_from_json((REGISTRY / f"{name}.json").read_text())
    except FileNotFoundError:
        return None


def find_plan_in(directory: Path) -> LabPlan | None:
    """Of a lab that has its number, and may not have come any further."""
    plans = (plan_from_json(path.read_text()) for path in REGISTRY.glob("*.json"))
    return next((plan for plan in plans if plan.directory == directory), None)


def register(name: str, directory: Path, *, host_count: int, sasl_host: int) -> LabPlan:
    """Take a free number. Raises LabError for a name that cannot be, or is another's."""
    if not _NAME.fullmatch(name) or name.endswith("-switch"):
        raise LabError(f"{name!r} is no name for a lab: up to 20 of a-z, 0-9 and -, a letter or digit first.")
    if not 1 <= host_count <= MAX_HOSTS or not 0 <= sasl_host <= host_count:
        raise LabError(f"A lab has 1 to {MAX_HOSTS} hosts, and --sasl-host is the number of one of them.")
    with _locked():
        if found := find_plan(name):
            raise LabError(f"There is a lab {name} already, in {found.directory}.")
        plan = LabPlan(
            name=name, number=_free_number(name), directory=directory, host_count=host_count, sasl_host=sasl_host
        )
        (REGISTRY / f"{name}.json").write_text(plan.as_json())
    return plan


def unregister(name: str) -> None:
    """The last one takes the registry along."""
    with _locked():
        (REGISTRY / f"{name}.json").unlink(missing_ok=True)
        if not any(REGISTRY.glob("*.json")):
            (REGISTRY / "lock").unlink()
            REGISTRY.rmdir()


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    while True:
        REGISTRY.mkdir(exist_ok=True)
        try:
            lock = (REGISTRY / "lock").open("w")
        except FileNotFoundError:
            continue
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # The last lab may have taken the registry along while this one waited.
            if _is_current(lock.fileno()):
                yield
                return


def _is_current(descriptor: int) -> bool:
    try:
        return Path(f"/proc/self/fd/{descriptor}").samefile(REGISTRY / "lock")
    except FileNotFoundError:
        return False


def _free_number(name: str) -> int:
    """The same lab mostly gets the same number; one that a lab or any route of this machine has is passed over."""
    taken = {plan_from_json(path.read_text()).number for path in REGISTRY.glob("*.json")}
    routes = run("ip", "-4", "route", "show", "table", "all")
    start = zlib.crc32(name.encode()) % len(_NUMBERS)
    numbers: list[int] = [*_NUMBERS[start:], *_NUMBERS[:start]]
    for number in numbers:
        if number not in taken and not re.search(rf"\b10\.{number}\.0\.", routes):
            return number
    raise LabError("All networks from 10.60.0.0 to 10.190.0.0 are taken.")
