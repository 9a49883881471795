"""Which files make up the database: directories in rising precedence, as libosinfo looks at them.

A file of a later directory takes the place of one with the same relative path; an empty one removes it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STANDARD_DIRECTORIES = (Path("/usr/share/osinfo"), Path("/usr/local/share/osinfo"), Path("/etc/osinfo"))
OWN_ENTRIES = Path(__file__).parent / "data" / "newer_systems.xml"
_KINDS = ("os", "install-script", "datamap")
_MAX_FILE_BYTES = 4 * 1024**2


@dataclass(frozen=True, kw_only=True)
class DatabaseFiles:
    """Paths by kind ("os", "install-script", "datamap"), in the order in which they are read."""

    paths: dict[str, tuple[Path, ...]]
    # Differs as soon as a directory or file was changed.
    fingerprint: frozenset[tuple[str, int, int]]


def find_files(directories: Iterable[Path]) -> DatabaseFiles:
    """What there is now. Directories that are not there are passed over."""
    paths: dict[str, dict[str, Path]] = {kind: {} for kind in _KINDS}
    seen: set[tuple[str, int, int]] = set()
    for directory in directories:
        for kind in _KINDS:
            for relative, path, status in _xml_files(directory / kind):
                seen.add((str(path), status.st_mtime_ns, status.st_size))
                paths[kind].pop(relative, None)
                if 0 < status.st_size <= _MAX_FILE_BYTES:
                    paths[kind][relative] = path
    return DatabaseFiles(
        paths={kind: tuple(found[name] for name in sorted(found)) for kind, found in paths.items()},
        fingerprint=frozenset(seen),
    )


def _xml_files(top: Path) -> Iterable[tuple[str, Path, os.stat_result]]:
    for folder, _folders, names in os.walk(top):
        for name in names:
            path = Path(folder, name)
            if not name.endswith(".xml"):
                continue
            try:
                yield str(path.relative_to(top)), path, path.stat()
            except OSError:
                continue
