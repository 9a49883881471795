"""A file more for an initial RAM disk."""

import pytest

from hypervisors.cloudinit.ramdisks import with_files


@pytest.mark.parametrize("length", [0, 1, 4, 1021])
def test_the_archive_begins_at_a_multiple_of_four_bytes_and_holds_the_file(length: int) -> None:
    content = "d-i x\nä".encode()
    whole = b"".join(with_files([b"x" * length], {"preseed.cfg": content}))
    begin = whole.index(b"070701")
    assert (whole[:length], begin % 4, whole[length:begin].strip(b"\0")) == (b"x" * length, 0, b"")
    # The kernel's own format: by hand, as cpio need not be installed.
    size, name_size = (int(whole[begin + at : begin + at + 8], 16) for at in (54, 94))
    name_at = begin + 110
    assert whole[name_at : name_at + name_size] == b"preseed.cfg\0"
    data_at = name_at + name_size + (-(110 + name_size) % 4)
    assert whole[data_at : data_at + size] == content
    assert b"TRAILER!!!" in whole[data_at + size :]
