"""What libvirt's storage calls fail with, as errors.py's classes that say what to do.

libvirt has one code (55, 38, 1) for many reasons here, so its text decides.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from hypervisors import errors
from hypervisors.gateway.failures import message_of, translate


@contextmanager
def translated_storage(what: str) -> Iterator[None]:
    """Turn libvirtError into errors.*; `what` is what was asked, as in "create volume web1.qcow2"."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate_storage(error, what) from error


def translate_storage(error: libvirt.libvirtError, what: str) -> errors.HypervisorError:
    general = translate(error, what)
    if isinstance(general, errors.ConnectionLost | errors.NotFound):
        return general
    code, said = error.get_error_code(), message_of(error)
    for pattern, kind, advice in _RULES:
        if pattern.search(said) or (kind is errors.NameTaken and code == libvirt.VIR_ERR_STORAGE_VOL_EXIST):
            return kind(f"{general} {advice}", libvirt_code=code)
    return general


def _rule(
    pattern: str, kind: type[errors.OperationRefused], advice: str
) -> tuple[re.Pattern[str], type[errors.OperationRefused], str]:
    return re.compile(pattern, re.IGNORECASE), kind, advice


# First match wins.
_RULES = [
    _rule(
        "no space left|not enough free space|disk quota exceeded",
        errors.StoragePoolFull,
        "The storage pool is full: free some space, or choose another.",
    ),
    _rule(
        "asynchronous jobs running",
        errors.StorageBusy,
        "A volume of this storage pool is being made or copied; try again when that has ended.",
    ),
    _rule(
        "still being allocated|being allocated",
        errors.StorageBusy,
        "The volume is still being written; try again when that has ended.",
    ),
    _rule(
        r"is (still )?in use|failed to get .* lock|is another process using the image",
        errors.StorageBusy,
        "Something uses the volume: a running virtual machine, an upload or a copy. End that first.",
    ),
    _rule(
        "already (exists|in use)",
        errors.NameTaken,
        "Choose another name; if it is not in the list, refresh the storage pool.",
    ),
    _rule("(pool|storage pool) .*is not active", errors.StoragePoolInactive, "Start the storage pool first."),
]
