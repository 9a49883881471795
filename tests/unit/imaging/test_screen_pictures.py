"""A guest's screen becomes a small PNG; what is no picture of a screen is refused before anything decodes it."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hypervisors.imaging.screen_pictures import MOST_PIXELS, NoPicture, picture_of_screen


def ppm(width: int, height: int, color: bytes = b"\x10\x20\x30") -> bytes:
    return b"P6\n%d %d\n255\n" % (width, height) + color * (width * height)


def png(width: int, height: int, *, mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    color: int | tuple[int, ...] = (0x10, 0x20, 0x30) if mode == "RGB" else 0
    Image.new(mode, (width, height), color).save(written, format="PNG")
    return written.getvalue()


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A PNG that says that it is so large."""
    header = struct.pack(">4sII", b"IHDR", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


@pytest.mark.parametrize("given", [ppm, png])
def test_a_large_screen_is_made_smaller_in_its_proportions(given: Callable[[int, int], bytes]) -> None:
    made = picture_of_screen(given(1280, 800))
    assert (made.screen_width, made.screen_height) == (1280, 800)
    picture = Image.open(io.BytesIO(made.png))
    assert (picture.format, picture.size) == ("PNG", (640, 400))
    assert picture.convert("RGB").getpixel((320, 200)) == (0x10, 0x20, 0x30)


def test_a_small_screen_keeps_its_size() -> None:
    assert Image.open(io.BytesIO(picture_of_screen(ppm(8, 4)).png)).size == (8, 4)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"P6",
        b"P5\n2 2\n255\n" + bytes(4),
        b"P6\n2 2\n65535\n" + bytes(24),
        b"P6\n0 2\n255\n",
        b"P6\n-2 2\n255\n" + bytes(12),
        ppm(2, 2)[:-1],
        ppm(2, 2) + b"x",
        b"P6\n99999 99999\n255\n" + bytes(12),
        b"P6\n# a comment\n2 2\n255\n" + bytes(12),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x89PNG\r\n\x1a\n",
        png(4, 4)[:45],
        png(4, 4, mode="L"),
        with_size(png(4, 4), 2**31, 2**31),
    ],
)
def test_what_is_no_picture_of_a_screen_is_refused(hostile: bytes) -> None:
    with pytest.raises(NoPicture):
        picture_of_screen(hostile)


def test_a_screen_of_too_many_pixels_is_refused_by_its_header_alone() -> None:
    width, height = MOST_PIXELS // 1000 + 1, 1000
    for hostile in (b"P6\n%d %d\n255\n" % (width, height), with_size(png(4, 4), width, height)):
        with pytest.raises(NoPicture, match="no screen"):
            picture_of_screen(hostile)


@given(st.sampled_from([b"P6\n", png(4, 4)[:33], png(40, 4)[:50]]), st.binary(max_size=200))
def test_any_bytes_make_a_picture_or_are_refused(beginning: bytes, data: bytes) -> None:
    with suppress(NoPicture):
        assert picture_of_screen(beginning + data).png.startswith(b"\x89PNG")
