"""Small file systems that a test can fill."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(*, mebibytes: int) -> Iterator[Path]:
    """A file system of that size, where every user may pass."""
    path = Path(tempfile.mkdtemp(prefix="vmportal-disk-"))
    options = f"size={mebibytes}m,mode=755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
        path.rmdir()


def fill(disk: Path) -> Path:
    """Take all the room that is left; the file that does."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 16)) == 1 << 16:
                pass
        except OSError:
            return filler
    return filler
