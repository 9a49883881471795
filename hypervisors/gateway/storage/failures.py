"""What libvirt's storage calls fail with, as errors.py's classes that say what to do."""

from contextlib import AbstractContextManager

import libvirt

from hypervisors import errors
from hypervisors.gateway.failure_rules import rule, translated_by


def translated_storage(what: str) -> AbstractContextManager[None]:
    """Turn libvirtError into errors.*; `what` is what was asked, as in "create volume web1.qcow2"."""
    return translated_by(_RULES, what)


# First match wins.
_RULES = [
    rule(
        "no space left|not enough free space|disk quota exceeded",
        errors.StoragePoolFull,
        "The storage pool is full: free some space, or choose another.",
    ),
    rule(
        "asynchronous jobs running",
        errors.StorageBusy,
        "A volume of this storage pool is being made or copied; try again when that has ended.",
    ),
    rule(
        "still being allocated|being allocated",
        errors.StorageBusy,
        "The volume is still being written; try again when that has ended.",
    ),
    rule(
        r"is (still )?in use|failed to get .* lock|is another process using the image",
        errors.StorageBusy,
        "Something uses the volume: a running virtual machine, an upload or a copy. End that first.",
    ),
    rule(
        "already (exists|in use)",
        errors.NameTaken,
        "Choose another name; if it is not in the list, refresh the storage pool.",
        code=libvirt.VIR_ERR_STORAGE_VOL_EXIST,
    ),
    rule("(pool|storage pool) .*is not active", errors.StoragePoolInactive, "Start the storage pool first."),
]
