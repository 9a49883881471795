"""Which system an installation medium is of: by the labels of its ISO 9660 descriptor, else by its file name.

It is a proposal: Windows 10 and 11, and the servers among themselves, have the same labels. Nothing is refused.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from hypervisors.osinfo.database import all_systems
from hypervisors.osinfo.systems import Medium, OperatingSystem


class IsoLabels(Protocol):
    """What stands in an image's primary volume descriptor."""

    @property
    def volume_id(self) -> str: ...
    @property
    def system_id(self) -> str: ...
    @property
    def publisher_id(self) -> str: ...
    @property
    def application_id(self) -> str: ...
    @property
    def volume_size_bytes(self) -> int: ...


def detect_media(labels: IsoLabels, *, arch: str = "x86_64") -> list[OperatingSystem]:
    """The systems whose media have these labels, the best first; empty when none is known."""
    found = ((_score(system, labels, arch), system) for system in all_systems())
    ranked = [(score, system) for score, system in found if score is not None]
    # Python's sort keeps the order of equals, which is that of the systems: the newest first.
    ranked.sort(key=lambda item: item[0], reverse=True)
    return [system for _score, system in ranked]


def guess_from_file_name(name: str) -> OperatingSystem | None:
    """The newest system whose name and version stand in a file's name: "debian-12.5.0-amd64-netinst.iso"."""
    words = _plain(name)
    best: tuple[int, OperatingSystem] | None = None
    for system in all_systems():
        length = max((len(m) for key in _keys(system) if (m := _found(key, words))), default=0)
        if length and (best is None or length > best[0]):
            best = (length, system)
    return best[1] if best else None


def _score(system: OperatingSystem, labels: IsoLabels, arch: str) -> tuple[int, int, int] | None:
    """More matching labels are better, then the asked-for processor; "…-unknown" stands behind what is known."""
    scores = [(_matches(medium, labels), medium.arch == arch) for medium in system.media]
    count, is_arch = max(scores, default=(0, False))
    return (count, is_arch, not system.is_unknown_version) if count else None


def _matches(medium: Medium, labels: IsoLabels) -> int:
    """How many of the medium's labels are so; 0 when one is not."""
    wanted = (
        (medium.volume_id, labels.volume_id),
        (medium.system_id, labels.system_id),
        (medium.publisher_id, labels.publisher_id),
        (medium.application_id, labels.application_id),
    )
    count = 0
    for pattern, text in wanted:
        if not pattern:
            continue
        # Labels are bytes of whoever made the image: short ones only, so that no pattern takes long.
        if not (compiled := _compiled(pattern)) or not compiled.search(text[:128]):
            return 0
        count += 1
    if medium.volume_size_bytes is None or not count:
        return count
    return count + 1 if medium.volume_size_bytes == labels.volume_size_bytes else 0


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None


_ARCHITECTURE = r"((x86-64|amd64|i386|i686|arm64|aarch64)-)?"
_ABBREVIATIONS = {
    "win": ("windows", "win"),
    "rhel": ("rhel",),
    "opensuse": ("opensuse", "opensuse-leap"),
    "alpinelinux": ("alpine", "alpinelinux"),
    "centos": ("centos", "centos-stream"),
}


@lru_cache(maxsize=2048)
def _keys(system: OperatingSystem) -> tuple[re.Pattern[str], ...]:
    if system.is_unknown_version or not system.version:
        return ()
    names = _names(system)
    return tuple(re.compile(pattern) for pattern in names)


def _names(system: OperatingSystem) -> Iterable[str]:
    short = re.escape(_plain(system.short_id))
    yield rf"(?<![a-z0-9]){short}(?![0-9])"
    if system.is_windows:
        release = re.escape(system.short_id.removeprefix("win").replace("2k", "20"))
        yield rf"(?<![a-z0-9])win(dows)?-?(server-?)?{release}(?![0-9])"
        return
    version = re.escape(system.version)
    for distro in _ABBREVIATIONS.get(system.distro, (_plain(system.distro),)):
        if distro:
            yield rf"(?<![a-z0-9]){distro}-([a-z]+-)*{_ARCHITECTURE}{version}(?![0-9])"
    if system.codename and len(system.codename) > 4 and system.distro in ("debian", "ubuntu"):
        yield rf"(?<![a-z0-9]){re.escape(_plain(system.codename).split('-')[0])}(?![a-z0-9])"


def _plain(text: str) -> str:
    """Words with one "-" between them; points stay within versions."""
    return re.sub(r"([^a-z0-9.]|(?<![0-9])\.|\.(?![0-9]))+", "-", text[:300].lower())


def _found(key: re.Pattern[str], text: str) -> str:
    match = key.search(text)
    return match.group() if match else ""
