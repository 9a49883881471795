"""The kernel and the initramfs of the lab's guests: Debian's cloud kernel and busybox, made once and kept in a cache.

The kernel's package is only unpacked, never installed. The initramfs is in the kernel's own "newc" cpio format
(buffer-format.rst), not compressed: the emulated guest would be slow to unpack it.
"""

import contextlib
import fcntl
import hashlib
import lzma
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.lab.process import LabError, run

_SOURCES = Path(__file__).parent / "guest_files"
_BUSYBOX = Path("/bin/busybox")
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_MODULES = (
    *("button", "evdev", "failover", "net_failover", "virtio", "virtio_balloon", "virtio_blk", "virtio_net"),
    *("virtio_pci", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_ring"),
)
# Where each of our files stands in the guest.
_FILES = {
    "init": "init",
    "inittab": "etc/inittab",
    "rc": "etc/rc",
    "counter": "etc/counter",
    "udhcpc": "etc/udhcpc",
    "profile": "etc/profile",
    "passwd": "etc/passwd",
    "power-button": "etc/acpi/PWRF/00000080",
}


@dataclass(frozen=True, kw_only=True)
class BootImage:
    kernel: Path
    initramfs: Path


def cached_boot_image() -> BootImage:
    """Made at the first call, which takes a download of about 30 MB. Raises LabError."""
    cache = cache_path()
    image = BootImage(kernel=cache / "vmlinuz", initramfs=cache / f"initramfs-{_fingerprint()}.cpio")
    if image.kernel.exists() and image.initramfs.exists():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.kernel.exists():
            _fetch_kernel(cache)
        if not image.initramfs.exists():
            with _replacing(image.initramfs) as new:
                new.write_bytes(_initramfs(cache / "modules"))
    return image


def cache_path() -> Path:
    return Path(os.environ.get("VMPORTAL_CACHE_DIR") or "/var/cache/vmportal") / "lab"


def _fingerprint() -> str:
    """Changes with whatever the initramfs is made of, except the kernel, which is fetched once."""
    if not _BUSYBOX.exists():
        raise LabError("/bin/busybox is missing: install busybox-static")
    digest = hashlib.sha256(_BUSYBOX.read_bytes() + Path(__file__).read_bytes())
    for name in _FILES:
        digest.update((_SOURCES / name).read_bytes())
    return digest.hexdigest()[:16]


# --- the kernel


def _fetch_kernel(cache: Path) -> None:
    """Leave modules/ first and vmlinuz last, by which the rest is known to be whole."""
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        package = _download_kernel(Path(scratch))
        (cache / "modules").mkdir(exist_ok=True)
        kernel = b""
        for name, content in _files_of(package):
            if name.startswith("vmlinuz-"):
                kernel = content
            elif name.split(".ko")[0] in _MODULES:
                plain = lzma.decompress(content) if name.endswith(".xz") else content
                (cache / "modules" / f"{name.split('.ko')[0]}.ko").write_bytes(plain)
        with _replacing(cache / "vmlinuz") as new:
            new.write_bytes(kernel)


def _download_kernel(directory: Path) -> Path:
    try:
        _apt_download(directory)
    except LabError:
        run("apt-get", "-q", "update", timeout_seconds=300)
        _apt_download(directory)
    return next(directory.glob("*.deb"))


def _apt_download(directory: Path) -> None:
    shown = run("apt-cache", "show", "--no-all-versions", _KERNEL_PACKAGE)
    depends = re.search(r"^Depends: (linux-image-[^ ,]+)", shown, re.MULTILINE)
    if depends is None:
        raise LabError(f"{_KERNEL_PACKAGE} depends on no kernel.")
    # apt-get leaves its download where it stands; as root it warns that it does not use its own user there.
    run("env", f"--chdir={directory}", "apt-get", "-q", "download", depends[1], timeout_seconds=300)


def _files_of(package: Path) -> Iterator[tuple[str, bytes]]:
    """Each plain file of a Debian package, by its last name."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as unpacker,
        tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive,
    ):
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                yield Path(member.name).name, content.read()


# --- the initramfs


def _initramfs(modules: Path) -> bytes:
    directories = ("bin", "dev", "etc", "etc/acpi", "etc/acpi/PWRF", "lib", "lib/modules")
    entries = [_entry(name, mode=0o40755) for name in directories]
    # The kernel opens it for /init before anything is mounted.
    entries.append(_entry("dev/console", mode=0o20600, device=(5, 1)))
    entries.append(_entry("bin/busybox", mode=0o100755, content=_BUSYBOX.read_bytes()))
    entries += [
        _entry(target, mode=0o100755, content=(_SOURCES / name).read_bytes()) for name, target in _FILES.items()
    ]
    entries += [
        _entry(f"lib/modules/{name}.ko", mode=0o100644, content=(modules / f"{name}.ko").read_bytes())
        for name in _MODULES
    ]
    return b"".join([*entries, _entry("TRAILER!!!", mode=0)])


def _entry(name: str, *, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    encoded = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, its device (2), the device that it is (2), length of its name, checksum
    numbers = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _padded(header + encoded) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A new file that takes the place of the old one when it is whole."""
    new = path.with_name(f"{path.name}.new")
    yield new
    new.rename(path)
