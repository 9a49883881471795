"""A cloud image for the lab: Debian 12 with cloud-init and the guest agent, made once and kept in a cache.

It is what Debian's own "genericcloud" image is, smaller, and quick to boot in an emulated processor: one disk with a
FAT partition that SYSLINUX boots from BIOS, and a root file system at its end, which grows with the disk.
"""

import contextlib
import fcntl
import hashlib
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.lab.boot_image import cache_path
from deploy.lab.process import LabError, run

_SUITE = "bookworm"
_PACKAGES = (
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd", "e2fsprogs", "udev", "dbus", "systemd-sysv"),
    *("cloud-init", "cloud-guest-utils", "qemu-guest-agent", "netplan.io", "iproute2", "openssh-server", "sudo"),
)
_MIB = 1024**2
_SECTOR = 512
_BOOT_MIB, _ROOT_MIB = 64, 900
_MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
# Quiet, and without what costs an emulated processor time.
_KERNEL_OPTIONS = (
    "root=LABEL=root ro console=tty0 console=ttyS0 quiet loglevel=3 mitigations=off nokaslr apparmor=0 "
    "cryptomgr.notests init_on_alloc=0 systemd.show_status=no fsck.mode=skip"
)
_FILES = {
    "etc/fstab": "LABEL=root / ext4 defaults 0 0\n",
    "etc/hostname": "localhost\n",
    "etc/machine-id": "",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\nvirtio_scsi\nsd_mod\next4\n",
    "etc/initramfs-tools/conf.d/lab": "MODULES=list\nCOMPRESS=zstd\n",
    "etc/cloud/cloud.cfg.d/90_lab.cfg": (
        "datasource_list: [NoCloud, None]\n"
        "ssh_genkeytypes: [ed25519]\n"
        "disable_ec2_metadata: true\n"
        # Debian's own list, without what looks for packages, keys and certificates that no test asks for.
        "cloud_init_modules: [seed_random, bootcmd, write_files, growpart, resizefs, set_hostname, update_hostname,"
        " update_etc_hosts, users_groups, ssh]\n"
        "cloud_config_modules: [set_passwords, runcmd]\n"
        "cloud_final_modules: [scripts_user, final_message]\n"
    ),
}
# They wake up, or wait for a network, while somebody measures.
_MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("systemd-networkd-wait-online.service", "cloud-init-hotplugd.socket", "e2scrub_reap.service"),
)
_LEFT_OUT = (
    *("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n", "var/cache/apt", "var/lib/apt/lists"),
)


def cached_cloud_image() -> Path:
    """A qcow2 image of about 1 GiB; made at the first call, which takes two minutes and a download. Raises LabError."""
    cache = cache_path()
    image = cache / f"cloud-{_fingerprint()}.qcow2"
    if image.exists():
        return image
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "cloud.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            _make(image)
    return image


def _fingerprint() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def _make(image: Path) -> None:
    if not _MBR.exists():
        raise LabError(f"{_MBR} is missing: install syslinux-common")
    with tempfile.TemporaryDirectory(dir=image.parent, prefix="cloud-") as scratch:
        directory = Path(scratch)
        root = directory / "root"
        run("debootstrap", "--variant=minbase", _SUITE, str(root), _mirror(), timeout_seconds=600)
        with _mounted(root):
            _install(root)
        boot = _boot_partition(directory, root)
        disk = directory / "disk.raw"
        _assemble(disk, boot, _root_partition(directory, root))
        new = image.with_name(f"{image.name}.new")
        run("qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(disk), str(new), timeout_seconds=120)
        new.rename(image)


def _mirror() -> str:
    """Where this machine's own packages of the suite come from. Raises: LabError."""
    wanted = ("Identifier: Packages", f"Codename: {_SUITE}", "Component: main")
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    if not listed:
        raise LabError(f"apt knows no archive of Debian {_SUITE}")
    return listed[0]


@contextlib.contextmanager
def _mounted(root: Path) -> Iterator[None]:
    """What packages look for while they are installed."""
    for kind in ("proc", "sys"):
        run("mount", "--bind", f"/{kind}", str(root / kind))
    try:
        yield
    finally:
        for kind in ("proc", "sys"):
            run("umount", "--lazy", str(root / kind))


def _install(root: Path) -> None:
    # Nothing is started in there.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    _in(root, "apt-get", "-q", "update")
    _write_files(root)
    _in(root, "apt-get", "-q", "-y", "--no-install-recommends", "install", *_PACKAGES)
    policy.unlink()
    # Packages have written over some of them.
    _write_files(root)
    _in(root, "systemctl", "enable", "systemd-networkd.service")
    for unit in _MASKED:
        _in(root, "systemctl", "mask", unit)
    for path in _LEFT_OUT:
        shutil.rmtree(root / path, ignore_errors=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def _write_files(root: Path) -> None:
    for name, text in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _in(root: Path, *command: str) -> None:
    run("chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", *command, timeout_seconds=600)


# --- the disk


def _boot_partition(directory: Path, root: Path) -> Path:
    """FAT, with SYSLINUX, the kernel and its initramfs."""
    image, configuration = directory / "boot.fat", directory / "syslinux.cfg"
    _make_sparse(image, _BOOT_MIB * _MIB)
    run("mkfs.vfat", "-F", "16", "-n", "BOOT", str(image))
    configuration.write_text(
        "DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\n"
        f"  LINUX vmlinuz\n  INITRD initrd\n  APPEND {_KERNEL_OPTIONS}\n"
    )
    files = {
        "vmlinuz": next((root / "boot").glob("vmlinuz-*")),
        "initrd": next((root / "boot").glob("initrd.img-*")),
        "syslinux.cfg": configuration,
    }
    for name, path in files.items():
        run("mcopy", "-i", str(image), str(path), f"::{name}", timeout_seconds=60)
    run("syslinux", "--install", str(image))
    for path in list((root / "boot").iterdir()):
        path.unlink()
    return image


def _root_partition(directory: Path, root: Path) -> Path:
    image = directory / "root.ext4"
    _make_sparse(image, _ROOT_MIB * _MIB)
    run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-m", "0", "-d", str(root), str(image), timeout_seconds=120)
    return image


def _assemble(disk: Path, boot: Path, root: Path) -> None:
    """The partition table, boot code and both partitions; the root's is the last, so that it can grow."""
    boot_at = _MIB
    root_at = boot_at + boot.stat().st_size
    _make_sparse(disk, root_at + root.stat().st_size + _MIB)
    with disk.open("r+b") as file:
        file.write(_MBR.read_bytes()[:440])
        file.seek(440)
        file.write(struct.pack("<IH", 0x6C616231, 0))
        file.write(_entry(boot_at, boot.stat().st_size, kind=0x0E, active=True))
        file.write(_entry(root_at, root.stat().st_size, kind=0x83))
        file.write(bytes(32) + b"\x55\xaa")
    for partition, at in ((boot, boot_at), (root, root_at)):
        options = ("conv=notrunc,sparse", "bs=1M", f"seek={at // _MIB}", "status=none")
        run("dd", f"if={partition}", f"of={disk}", *options, timeout_seconds=120)


def _entry(offset: int, length: int, *, kind: int, active: bool = False) -> bytes:
    """One of a partition table; its old addresses by cylinder say "too large"."""
    flag = 0x80 if active else 0
    large = b"\xfe\xff\xff"
    return bytes([flag]) + large + bytes([kind]) + large + struct.pack("<II", offset // _SECTOR, length // _SECTOR)


def _make_sparse(path: Path, length: int) -> None:
    with path.open("wb") as file:
        file.truncate(length)
