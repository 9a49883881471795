"""What a viewer without input may send: every message type, in every cut."""

import struct

import pytest

from hypervisors.console.closing import ConsoleClosed
from hypervisors.console.view_only import ViewOnlyFilter

CLIENT_INIT = b"\1"
SET_PIXEL_FORMAT = bytes(20)
SET_ENCODINGS = struct.pack(">BxHiii", 2, 3, 0, 1, -223)
UPDATE_REQUEST = struct.pack(">BBHHHH", 3, 1, 0, 0, 640, 480)
CONTINUOUS_UPDATES = struct.pack(">BBHHHH", 150, 1, 0, 0, 640, 480)
FENCE = struct.pack(">B3xIB5s", 248, 1, 5, b"\4\4\4\4\4")
PASSED = [SET_PIXEL_FORMAT, SET_ENCODINGS, UPDATE_REQUEST, CONTINUOUS_UPDATES, FENCE]

KEY = struct.pack(">BBxxI", 4, 1, 0x61)
POINTER = struct.pack(">BBHH", 5, 1, 10, 10)
CUT_TEXT = struct.pack(">BxxxI", 6, 4) + b"\4\4\4\4"
EXTENDED_CUT_TEXT = struct.pack(">Bxxxi", 6, -8) + b"\4" * 8
XVP = b"\xfa\0\1\3"
DESKTOP_SIZE = struct.pack(">BxHHBx", 251, 800, 600, 1) + b"\4" * 16
QEMU_KEY = struct.pack(">BBHII", 255, 0, 1, 0x61, 0x1E)
QEMU_AUDIO_ON = struct.pack(">BBH", 255, 1, 0)
QEMU_AUDIO_FORMAT = struct.pack(">BBHBBI", 255, 1, 2, 3, 2, 44100)
DROPPED = [
    KEY, POINTER, CUT_TEXT, EXTENDED_CUT_TEXT, XVP, DESKTOP_SIZE, QEMU_KEY, QEMU_AUDIO_ON, QEMU_AUDIO_FORMAT
]  # fmt: skip


def _mixed() -> bytes:
    passed = [PASSED[index % len(PASSED)] for index in range(len(DROPPED))]
    return b"".join(bad + good for bad, good in zip(DROPPED, passed, strict=True))


def _expected() -> bytes:
    return CLIENT_INIT + b"".join(PASSED[index % len(PASSED)] for index in range(len(DROPPED)))


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 11, 4096])
def test_only_what_shows_the_screen_passes_in_any_cut(cut: int) -> None:
    view_only, sent = ViewOnlyFilter(), CLIENT_INIT + _mixed()
    passed = b"".join(view_only.feed(sent[start : start + cut]) for start in range(0, len(sent), cut))
    assert passed == _expected()


@pytest.mark.parametrize("message", DROPPED)
def test_input_is_dropped(message: bytes) -> None:
    view_only = ViewOnlyFilter()
    assert view_only.feed(CLIENT_INIT) == CLIENT_INIT
    assert view_only.feed(message) == b""
    assert view_only.feed(UPDATE_REQUEST) == UPDATE_REQUEST


def test_an_exclusive_viewer_becomes_a_shared_one() -> None:
    assert ViewOnlyFilter().feed(b"\0") == b"\1"


def test_a_huge_paste_is_not_kept_in_memory() -> None:
    view_only = ViewOnlyFilter()
    view_only.feed(CLIENT_INIT + struct.pack(">BxxxI", 6, 1 << 30))
    for _ in range(100):
        assert view_only.feed(b"x" * 10_000) == b""
    assert len(view_only._buffer) < 100


def test_an_unknown_message_ends_the_console() -> None:
    with pytest.raises(ConsoleClosed):
        ViewOnlyFilter().feed(CLIENT_INIT + b"\x2a")
