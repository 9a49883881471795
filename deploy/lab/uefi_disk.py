"""A disk that boots by UEFI alone: the lab's kernel and initramfs as one EFI program on a FAT partition.

It is what firmware starts from a disk that it never saw: \\EFI\\BOOT\\BOOTX64.EFI, with its command line inside.
"""

import fcntl
import hashlib
import struct
import tempfile
from pathlib import Path

from deploy.lab.boot_image import cache_path, cached_boot_image
from deploy.lab.process import LabError, run

_STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
_MIB = 1024**2
_SECTOR = 512
_START_MIB, _PARTITION_MIB = 1, 48
_KERNEL_OPTIONS = (
    "console=tty1 quiet loglevel=0 panic=5 mitigations=off nokaslr cryptomgr.notests init_on_alloc=0 lab.name=uefi"
)
# Where the stub looks for each part; none may reach into the next.
_SECTIONS = {".osrel": 0x20000, ".cmdline": 0x30000, ".linux": 0x2000000, ".initrd": 0x3000000}


def cached_uefi_disk() -> Path:
    """A raw image, sparse, made at the first call. Raises LabError."""
    image = cached_boot_image()
    if not _STUB.exists():
        raise LabError(f"{_STUB} is missing: install systemd-boot-efi")
    digest = hashlib.sha256(Path(__file__).read_bytes() + image.initramfs.name.encode()).hexdigest()[:16]
    disk = cache_path() / f"uefi-{digest}.raw"
    with (cache_path() / "uefi.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not disk.exists():
            new = disk.with_suffix(".new")
            _make_disk(new, image.kernel, image.initramfs)
            new.rename(disk)
    return disk


def _make_disk(disk: Path, kernel: Path, initramfs: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        program = _program(Path(scratch), kernel, initramfs)
        partition = Path(scratch) / "partition"
        with partition.open("wb") as file:
            file.truncate(_PARTITION_MIB * _MIB)
        run("mkfs.fat", "-F", "16", str(partition))
        run("mmd", "-i", str(partition), "::EFI", "::EFI/BOOT")
        run("mcopy", "-i", str(partition), str(program), "::EFI/BOOT/BOOTX64.EFI")
        with disk.open("wb") as file:
            file.write(_partition_table())
            file.seek(_START_MIB * _MIB)
            file.write(partition.read_bytes())
            file.truncate((_START_MIB + _PARTITION_MIB + 1) * _MIB)


def _program(scratch: Path, kernel: Path, initramfs: Path) -> Path:
    (scratch / "osrel").write_text("ID=lab\nPRETTY_NAME=lab\n")
    (scratch / "cmdline").write_text(_KERNEL_OPTIONS)
    parts = {".osrel": scratch / "osrel", ".cmdline": scratch / "cmdline", ".linux": kernel, ".initrd": initramfs}
    options: list[str] = []
    for section, path in parts.items():
        options += ["--add-section", f"{section}={path}", "--change-section-vma", f"{section}={_SECTIONS[section]:#x}"]
    program = scratch / "BOOTX64.EFI"
    run("objcopy", *options, str(_STUB), str(program))
    return program


def _partition_table() -> bytes:
    """One EFI system partition (type EF), in the old way that every firmware reads."""
    entry = struct.pack(
        "<B3sB3sII",
        *(0, b"\xfe\xff\xff", 0xEF, b"\xfe\xff\xff"),
        *(_START_MIB * _MIB // _SECTOR, _PARTITION_MIB * _MIB // _SECTOR),
    )
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"
