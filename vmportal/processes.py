"""Forked processes: they end with their parent, and show in the process list what they run."""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int, parent: int) -> None:
    """Have the kernel send this process the signal when its parent ends; at once when it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal_number)


def show_command(arguments: Sequence[str]) -> None:
    """Write the command over that of the parent, as far as there is room: for ps(1), and whoever reads /proc."""
    # proc(5): arg_start and arg_end are fields 48 and 49; the second ends at the last parenthesis.
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if 0 < start < end:
        text = b"".join(argument.encode() + b"\0" for argument in arguments)
        # A last byte of zero says that the command ends within its place.
        ctypes.memmove(start, text[: end - start - 1].ljust(end - start, b"\0"), end - start)
