"""OVAs are read by ranges; what a tar can do to whoever unpacks it is refused, and no bytes raise anything else."""

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.imaging import manifest, tar_headers
from hypervisors.imaging.ova import MOST_MEMBERS, Package, read_member, read_package
from tests.unit.imaging import packages

OVF = packages.descriptor()


def package_of(content: bytes) -> Package:
    return read_package(lambda offset, length: content[offset : offset + length], size_bytes=len(content))


def refusal(content: bytes) -> str:
    with pytest.raises(ValueError, match=r"archive|OVA|descriptor|manifest") as refused:
        package_of(content)
    return str(refused.value)


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_members_are_found_where_they_lie(format_: int) -> None:
    long_name = ("x" * 120 if format_ != tarfile.USTAR_FORMAT else "x" * 90) + ".vmdk"
    members = [("web1.ovf", OVF), ("web1.mf", b""), ("disk1.vmdk", b"d" * 1000), (long_name, b"e")]
    content = packages.archive(members, format_=format_)
    package = package_of(content)
    assert read_member(lambda offset, length: content[offset : offset + length], package.descriptor) == OVF
    disk = package.find("disk1.vmdk")
    assert disk is not None
    assert content[disk.offset : disk.offset + disk.size_bytes] == b"d" * 1000
    assert package.manifest is not None
    assert package.find(long_name) is not None


def test_only_headers_are_read() -> None:
    content = packages.archive([("web1.ovf", OVF), ("disk1.vmdk", bytes(10_000_000))])
    read_bytes = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal read_bytes
        read_bytes += length
        return content[offset : offset + length]

    read_package(read, size_bytes=len(content))
    assert read_bytes < 4096


@pytest.mark.parametrize(
    "name",
    ["../web1.vmdk", "/etc/passwd", "a/b.vmdk", "..", "a\\b.vmdk", "./../x", "x\n.vmdk", "\x1b[2J", "\u202e.vmdk"],
)
def test_a_path_is_refused(name: str) -> None:
    assert "“" in refusal(packages.archive([("web1.ovf", OVF), (name, b"x")], format_=tarfile.PAX_FORMAT))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_folders_and_devices_are_refused(kind: bytes) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("disk1.vmdk")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    assert "no plain file" in refusal(out.getvalue())


def test_a_name_that_stands_there_twice_is_refused() -> None:
    assert "twice" in refusal(packages.archive([("web1.ovf", OVF), ("d.vmdk", b"1"), ("./d.vmdk", b"2")]))


def test_more_members_than_any_appliance_has_are_refused() -> None:
    many = [("web1.ovf", OVF), *((f"{number}.vmdk", b"") for number in range(MOST_MEMBERS))]
    assert str(MOST_MEMBERS) in refusal(packages.archive(many))


def test_a_file_that_goes_on_behind_the_end_is_refused() -> None:
    whole = packages.archive([("web1.ovf", OVF), ("disk1.vmdk", b"d" * 5000)])
    start = whole.index(b"d" * 5000)
    assert "cut off" in refusal(whole[: start + 4000])
    huge = tar_headers.build_header("disk1.vmdk", 2**60)
    assert "cut off" in refusal(packages.archive([("web1.ovf", OVF)])[: -20 * 512] + huge + bytes(2048))


@pytest.mark.parametrize(
    "members", [[], [("a.ovf", OVF), ("b.ovf", OVF)], [("a.ovf", b"")], [("a.ovf", bytes(5 * 2**20))]]
)
def test_an_archive_without_one_descriptor_is_no_ova(members: list[tuple[str, bytes]]) -> None:
    assert "descriptor" in refusal(packages.archive(members))


def test_a_damaged_header_is_told() -> None:
    content = bytearray(packages.archive([("web1.ovf", OVF), ("disk1.vmdk", b"d")]))
    content[1] ^= 1
    assert "checksum" in refusal(bytes(content))


def test_our_headers_are_read_by_tar() -> None:
    for size in (0, 5, 8**11 + 1):
        header = tar_headers.build_header("disk1.vmdk", size, modified_at=1_700_000_000)
        assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == size
        assert tar_headers.parse_header(header).size_bytes == size


@given(
    content=st.binary(max_size=3000), flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6)
)
def test_no_bytes_raise_anything_but_a_sentence(content: bytes, flips: list[tuple[int, int]]) -> None:
    whole = bytearray(packages.archive([("web1.ovf", b"<x/>"), ("disk1.vmdk", content)], format_=tarfile.PAX_FORMAT))
    for offset, value in flips:
        whole[offset] = value
    for candidate in (bytes(whole), content):
        with suppress(ValueError):
            members = package_of(candidate).members
            assert all(member.offset + member.size_bytes <= len(candidate) for member in members)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_a_manifest_gives_the_digests(algorithm: str) -> None:
    digests = manifest.parse_manifest(packages.manifest([("disk1.vmdk", b"content")], algorithm))
    begun = digests["disk1.vmdk"].begin()
    begun.update(b"content")
    assert begun.hexdigest() == digests["disk1.vmdk"].hexadecimal


@pytest.mark.parametrize(
    "content",
    [
        b"SHA256(a.vmdk)= 12",
        b"MD5(a.vmdk)= d41d8cd98f00b204e9800998ecf8427e",
        b"what is this",
        packages.manifest([("a", b"1"), ("a", b"2")]),
        b"\n" * 2000,
        b"\xff\xfe",
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="manifest"):
        manifest.parse_manifest(content)
