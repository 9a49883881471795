"""What a viewer without input may send: every message type, in every cut."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    assert len(view_only._rest) < 100


def test_an_unknown_message_ends_the_console() -> None:
    with pytest.raises(ConsoleClosed):
        ViewOnlyFilter().feed(CLIENT_INIT + b"\x2a")


def test_a_megabyte_of_empty_messages_costs_no_more_than_they_are() -> None:
    empty = struct.pack(">BxH", 2, 0)
    costs = []
    for count in (1 << 14, 1 << 18):
        view_only = ViewOnlyFilter()
        started = time.process_time()
        assert len(view_only.feed(CLIENT_INIT + empty * count)) == 1 + 4 * count
        costs.append(time.process_time() - started)
    # 16 times as much; it was 200 times as long, 14 s.
    assert costs[1] < 64 * costs[0]
    assert costs[1] < 3


@pytest.mark.parametrize("count", [1025, 65535])
def test_a_message_longer_than_any_viewer_sends_ends_the_console(count: int) -> None:
    with pytest.raises(ConsoleClosed):
        ViewOnlyFilter().feed(CLIENT_INIT + struct.pack(">BxH", 2, count))


MESSAGES = st.lists(st.sampled_from(PASSED + DROPPED), max_size=30)


@given(messages=MESSAGES, cuts=st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_every_sequence_passes_alike_in_every_cut(messages: list[bytes], cuts: list[int]) -> None:
    sent, view_only, passed, position = CLIENT_INIT + b"".join(messages), ViewOnlyFilter(), b"", 0
    while position < len(sent):
        cut = cuts[position % len(cuts)]
        passed += view_only.feed(sent[position : position + cut])
        position += cut
    assert passed == CLIENT_INIT + b"".join(message for message in messages if message in PASSED)


@given(data=st.binary(max_size=3000), cut=st.integers(1, 700))
def test_whatever_is_sent_only_harmless_messages_pass_and_little_is_kept(data: bytes, cut: int) -> None:
    view_only, passed = ViewOnlyFilter(), b""
    for start in range(0, len(data), cut):
        try:
            passed += view_only.feed(data[start : start + cut])
        except ConsoleClosed:
            break
        assert len(view_only._rest) <= 4100
    position = 1
    while position < len(passed):
        position += _length(passed, position)
    assert position == max(1, len(passed))


def _length(passed: bytes, at: int) -> int:
    """Of the message there, which must be one of those that show the screen."""
    if passed[at] == 2:
        return 4 + 4 * int.from_bytes(passed[at + 2 : at + 4], "big")
    return 9 + passed[at + 8] if passed[at] == 248 else {0: 20, 3: 10, 150: 10}[passed[at]]
