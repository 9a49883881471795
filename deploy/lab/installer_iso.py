"""A small bootable CD of the real Debian installer, from Debian's netboot package; made once and kept in a cache.

https://wiki.syslinux.org/wiki/index.php?title=ISOLINUX. The installer asks for its language first, as newt draws it.
"""

import fcntl
import hashlib
import tempfile
from pathlib import Path

from deploy.lab.boot_image import cache_path
from deploy.lab.process import LabError, run

_NETBOOT = Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64")
_BOOT_LOADER = Path("/usr/lib/ISOLINUX/isolinux.bin")
_MODULE = Path("/usr/lib/syslinux/modules/bios/ldlinux.c32")
# What Debian's own CDs are called: by this osinfo's database knows it.
VOLUME_ID = "Debian 12.5.0 amd64 n"
FILE_NAME = "debian-12.5.0-amd64-netinst.iso"
# The plain screen of 80 columns: a frame buffer is drawn slowly by an emulated guest.
_CONFIGURATION = """\
default install
prompt 0
timeout 1
label install
  kernel linux
  append initrd=initrd.gz vga=normal nomodeset fb=false quiet ---
"""


def cached_installer_iso() -> Path:
    """Made at the first call, in a second. Raises LabError."""
    for path in (_NETBOOT / "linux", _NETBOOT / "initrd.gz", _BOOT_LOADER, _MODULE):
        if not path.exists():
            raise LabError(f"{path} is missing: install what deploy/lab/apt-packages.txt lists.")
    cache = cache_path()
    cache.mkdir(parents=True, exist_ok=True)
    iso = cache / f"installer-{_fingerprint()}" / FILE_NAME
    with (cache / "installer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not iso.exists():
            _make(iso)
    return iso


def _fingerprint() -> str:
    """Changes with the installer and with how it is put on the CD."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in ("linux", "initrd.gz"):
        status = (_NETBOOT / name).stat()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _make(iso: Path) -> None:
    iso.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=iso.parent) as scratch:
        root = Path(scratch) / "root"
        (root / "isolinux").mkdir(parents=True)
        for source in (_BOOT_LOADER, _MODULE, _NETBOOT / "linux", _NETBOOT / "initrd.gz"):
            (root / "isolinux" / source.name).write_bytes(source.read_bytes())
        (root / "isolinux" / "isolinux.cfg").write_text(_CONFIGURATION)
        made = Path(scratch) / "made.iso"
        run(
            *("xorriso", "-as", "mkisofs", "-quiet", "-V", VOLUME_ID, "-o", str(made)),
            *("-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot"),
            *("-boot-load-size", "4", "-boot-info-table", "-R", "-J", str(root)),
        )
        made.rename(iso)
