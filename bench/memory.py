"""What the idle stack weighs: the proportional set size of every process below Supervisor, and of Supervisor itself.

PSS counts a page that several processes share once, divided among them: their sum is what the stack takes of the
machine. https://www.kernel.org/doc/html/latest/filesystems/proc.html (smaps_rollup)
"""

import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from bench.figures import Figure
from deploy.stack import Stack

TARGET_MEBIBYTES = 400
# Until what the start needed has been given back, and the first heartbeats, sweeps and samples have been.
_SETTLE_SECONDS = 20


def idle_figures() -> list[Figure]:
    """Of a stack of its own, without hypervisors."""
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as directory, Stack(Path(directory) / "data") as stack:
        return _figures(stack)


def _figures(stack: Stack) -> list[Figure]:
    time.sleep(_SETTLE_SECONDS)
    by_program = stack_mebibytes(stack)
    total = sum(by_program.values())
    parts = ", ".join(f"{name} {value:.0f}" for name, value in sorted(by_program.items(), key=lambda one: -one[1]))
    return [
        Figure(
            what="Idle stack, PSS of all its processes",
            value=f"{total:.0f} MiB: {parts}",
            target=f"{TARGET_MEBIBYTES} MiB",
            met=total <= TARGET_MEBIBYTES,
        )
    ]


def stack_mebibytes(stack: Stack) -> dict[str, float]:
    """MiB of each program with all its descendants, and of Supervisor."""
    children = _children()
    found: dict[str, float] = {}
    programs = {row["name"]: row["pid"] for row in stack.ask_supervisor("getAllProcessInfo") if row["pid"]}
    for name, pid in programs.items():
        found[name] = sum(_pss_mebibytes(one) for one in _tree(pid, children))
    found["supervisord"] = _pss_mebibytes(stack.ask_supervisor("getPID"))
    return found


def _tree(pid: int, children: dict[int, list[int]]) -> list[int]:
    return [pid, *(below for child in children[pid] for below in _tree(child, children))]


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
            children[int(fields[1])].append(int(directory.name))
    return children


def _pss_mebibytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    print("\n".join(figure.row() for figure in idle_figures()))
