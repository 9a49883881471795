"""What the first bytes of an image say: its format, its size, and why it must not be used."""

from dataclasses import dataclass

# As much as is held back and looked at before an image is believed.
HEAD_BYTES = 64 * 1024
# The largest disk that is made here; what claims more is a mistake or an attack.
MOST_VIRTUAL_BYTES = 2**50


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """`format`: as libvirt calls a disk's (qcow2, raw, iso, vmdk, vdi, vpc …), or what it is else (gzip, tar, ovf …).

    `virtual_size_bytes`: how large a disk a guest would see; None where the head does not say.
    `problem`: a sentence for people, why it cannot be used as a disk; "" if nothing speaks against it.
    """

    format: str
    virtual_size_bytes: int | None = None
    problem: str = ""


class HeaderProblem(Exception):
    """A header that is hostile, damaged or not supported; the text is the sentence for people."""


def checked_virtual_size(size_bytes: int) -> int:
    """Raises: HeaderProblem for a disk that nobody has."""
    if size_bytes <= 0:
        raise HeaderProblem("Its header says that the disk has no size.")
    if size_bytes > MOST_VIRTUAL_BYTES:
        raise HeaderProblem("Its header says that the disk is larger than 1 PiB.")
    return size_bytes
