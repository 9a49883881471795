"""What an image is, from its first bytes; strict, because libvirt and QEMU believe whatever a header says.

Whoever writes the bytes of a volume picks its format at libvirt's next look, and a header can name any file of the
host. Nothing here opens a file; nothing raises, whatever the bytes are.
"""

from collections.abc import Callable

from hypervisors.imaging import iso9660, qcow2_header, vdi_header, vmdk, vpc_header
from hypervisors.imaging.image_facts import HEAD_BYTES, HeaderProblem, ImageFacts
from hypervisors.imaging.iso9660 import IsoLabels, iso_labels
from hypervisors.imaging.tar_headers import is_tar_header

__all__ = ["HEAD_BYTES", "ImageFacts", "IsoLabels", "inspect_head", "iso_labels"]

# Formats of disks, each with where its signature stands. A head has at most one of them.
_DISK_SIGNATURES: dict[str, tuple[tuple[int, bytes], ...]] = {
    "qcow2": ((0, qcow2_header.MAGIC),),
    "vmdk": ((0, vmdk.MAGIC), (0, b"COWD"), (0, b"\xca\xfe\xba\xbe\x00\x00\x00\x00")),
    "vdi": ((vdi_header.SIGNATURE_OFFSET, vdi_header.SIGNATURE),),
    "vpc": ((0, vpc_header.COOKIE),),
    "vhdx": ((0, b"vhdxfile"),),
    "qed": ((0, b"QED\0"),),
    "cow": ((0, b"OOOM"),),
    "parallels": ((0, b"WithoutFreeSpace"), (0, b"WithouFreSpacExt")),
    "bochs": ((0, b"Bochs Virtual HD Image"),),
    "cloop": ((0, b"#!/bin/sh\n#V2.0 Format"),),
    "luks": ((0, b"LUKS\xba\xbe"),),
}
_READERS: dict[str, Callable[..., int]] = {
    "qcow2": qcow2_header.qcow2_virtual_size,
    "vmdk": vmdk.vmdk_virtual_size,
    "vdi": vdi_header.vdi_virtual_size,
    "vpc": vpc_header.vpc_virtual_size,
}
_UNSUPPORTED = {
    "vhdx": "It is a VHDX, which hosts take for a raw disk: convert it to qcow2 first (qemu-img convert -O qcow2).",
    "luks": "It is encrypted (LUKS).",
}
_COMPRESSED = {
    "gzip": (b"\x1f\x8b",),
    "xz": (b"\xfd7zXZ\0",),
    "bzip2": tuple(b"BZh%d" % level for level in range(1, 10)),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "lz4": (b"\x04\x22\x4d\x18",),
    "zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "rar": (b"Rar!\x1a\x07",),
}
_OTHERS = {
    "cpio": ((b"070701", b"070702", b"070707"), "It is a cpio archive, not a disk."),
    "elf": ((b"\x7fELF",), "It is a program, not a disk."),
    "rpm": ((b"\xed\xab\xee\xdb",), "It is a package, not a disk."),
    "deb": ((b"!<arch>\n",), "It is a package, not a disk."),
    "pdf": ((b"%PDF-",), "It is a document, not a disk."),
}
_LINUX_KERNEL_OFFSET, _LINUX_KERNEL = 0x202, b"HdrS"
_TEXT_START_BYTES = 4096


def inspect_head(head: bytes, *, size_bytes: int | None = None) -> ImageFacts:
    """`head`: the first HEAD_BYTES (or all, if it has less); `size_bytes`: of the whole file, if it is known."""
    formats = _disk_formats(head)
    if len(formats) > 1:
        return ImageFacts(
            format=formats[0], problem=f"It claims to be of several formats at once: {', '.join(formats)}."
        )
    if not formats:
        return _other_facts(head, size_bytes)
    if formats[0] == "iso":
        return ImageFacts(format="iso", virtual_size_bytes=size_bytes or _iso_size(head))
    return _disk_facts(formats[0], head, size_bytes)


def _disk_formats(head: bytes) -> list[str]:
    found = [
        format_
        for format_, signatures in _DISK_SIGNATURES.items()
        if any(head.startswith(magic, offset) for offset, magic in signatures)
    ]
    if vmdk.is_text_descriptor(head):
        found.append("vmdk")
    if iso9660.is_disc(head):
        found.append("iso")
    return found


def _disk_facts(format_: str, head: bytes, size_bytes: int | None) -> ImageFacts:
    if format_ == "vmdk" and not head.startswith(vmdk.MAGIC):
        return ImageFacts(
            format="vmdk",
            problem="It is a VMDK that only describes a disk, which lies in other files; "
            "export it as one file (streamOptimized or monolithicSparse).",
        )
    if format_ not in _READERS:
        problem = _UNSUPPORTED.get(format_, f"It is of the format {format_}, which cannot be used here.")
        return ImageFacts(format=format_, problem=problem)
    try:
        return ImageFacts(format=format_, virtual_size_bytes=_READERS[format_](head, size_bytes=size_bytes))
    except HeaderProblem as problem:
        return ImageFacts(format=format_, problem=str(problem))


def _other_facts(head: bytes, size_bytes: int | None) -> ImageFacts:
    """What holds no disk format: archives, programs and text; what remains is raw."""
    for format_, magics in _COMPRESSED.items():
        if head.startswith(magics):
            return ImageFacts(format=format_, problem=f"It is compressed ({format_}): unpack it first.")
    for format_, (magics, problem) in _OTHERS.items():
        if head.startswith(magics):
            return ImageFacts(format=format_, problem=problem)
    if is_tar_header(head):
        return ImageFacts(format="tar", virtual_size_bytes=None)
    if head.startswith(_LINUX_KERNEL, _LINUX_KERNEL_OFFSET):
        return ImageFacts(format="kernel")
    return _text_facts(head) or ImageFacts(format="raw", virtual_size_bytes=size_bytes)


def _text_facts(head: bytes) -> ImageFacts | None:
    start = head[:_TEXT_START_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return ImageFacts(format="html", problem="It is a web page, not a disk: probably the answer of a server.")
    if start.startswith((b"<?xml", b"<envelope", b"<ovf:envelope")):
        return ImageFacts(format="ovf" if b"envelope" in start else "xml")
    return None


def _iso_size(head: bytes) -> int | None:
    labels = iso_labels(head)
    return labels.volume_size_bytes if labels is not None else None
