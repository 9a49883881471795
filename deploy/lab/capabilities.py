"""What libvirt has found out about QEMU, handed on from lab to lab: asking QEMU costs each new host seconds.

libvirt takes a file of these only when it was made by the same libvirt for the same QEMU, kernel and processor.
"""

import contextlib
import os
import shutil
from pathlib import Path

from deploy.lab.boot_image import cache_path
from deploy.lab.plan import HostPlan, LabPlan


def install_capabilities(host: HostPlan) -> None:
    """Before the host is started for the first time."""
    if _kept().exists():
        shutil.copytree(_kept(), _of(host), dirs_exist_ok=True)


def keep_capabilities(plan: LabPlan) -> None:
    """When the lab goes down: what its hosts know by now."""
    for host in plan.hosts:
        for file in _of(host).glob("*.xml"):
            _keep(file)


def _keep(file: Path) -> None:
    kept = _kept() / file.name
    with contextlib.suppress(FileNotFoundError):
        if kept.exists() and kept.read_bytes() == file.read_bytes():
            return
    _kept().mkdir(parents=True, exist_ok=True)
    new = kept.with_suffix(f".{os.getpid()}")
    shutil.copy(file, new)
    new.rename(kept)


def _of(host: HostPlan) -> Path:
    return host.directory / "cache" / "qemu" / "capabilities"


def _kept() -> Path:
    return cache_path() / "capabilities"
