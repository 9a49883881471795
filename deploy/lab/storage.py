"""Shared storage: one mount, made before the hosts' namespaces, that libvirt takes for a cluster's file system.

libvirt trusts what /proc/mounts calls fuse.glusterfs, and QEMU's image locks hold in it across the hosts, as long as
it is one and the same mount for all.
"""

import contextlib
import os
import shutil
from pathlib import Path

from deploy.lab.plan import LabPlan
from deploy.lab.process import LabError, kill, run, running_script, wait_until

POOL_NAME = "shared"


def mount_shared(plan: LabPlan) -> None:
    source = _source(plan)
    for directory in ("images", "serial"):
        (source / directory).mkdir(parents=True, exist_ok=True)
    plan.shared_path.mkdir(parents=True, exist_ok=True)
    options = f"subtype=glusterfs,fsname={_file_system(plan)}"
    run("bindfs", "--multithreaded", "-o", options, str(source), str(plan.shared_path))
    wait_until(lambda: is_mounted(plan.shared_path), 5, waiting_for=f"mount {plan.shared_path}")


def unmount_shared(plan: LabPlan) -> None:
    """Unmount it, also when its process has died, and remove where it was."""
    while is_mounted(plan.shared_path):
        run("umount", "--lazy", str(plan.shared_path))
    kill(running_script(_source(plan)))
    for directory in (plan.shared_path, plan.shared_path.parent):
        with contextlib.suppress(FileNotFoundError):
            directory.rmdir()
    shutil.rmtree(_source(plan), ignore_errors=True)


def is_mounted(path: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return any(os.fsdecode(line.split()[1].encode()) == str(path) for line in mounts)


def write_pool(plan: LabPlan, etc_libvirt: Path) -> None:
    """The storage pool, active and autostarted, as libvirtd finds it in its own files."""
    pool = f"<pool type='dir'><name>{POOL_NAME}</name><target><path>{plan.pool_path}</path></target></pool>"
    autostart = etc_libvirt / "storage" / "autostart"
    autostart.mkdir(parents=True, exist_ok=True)
    (etc_libvirt / "storage" / f"{POOL_NAME}.xml").write_text(pool)
    (autostart / f"{POOL_NAME}.xml").symlink_to(f"/etc/libvirt/storage/{POOL_NAME}.xml")


def make_disk(plan: LabPlan, file_name: str, *, capacity_mib: int) -> Path:
    """An empty qcow2 file in the shared pool. Raises LabError when there is one already."""
    path = plan.pool_path / file_name
    if path.exists():
        raise LabError(f"{path} exists already.")
    run("qemu-img", "create", "-q", "-f", "qcow2", "--", str(path), f"{capacity_mib}M")
    return path


def _source(plan: LabPlan) -> Path:
    return plan.directory / "shared-source"


def _file_system(plan: LabPlan) -> str:
    return f"{plan.name}:/shared"
