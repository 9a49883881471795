"""A picture of a guest's screen as QEMU gives it (PNG, before QEMU 7.1 PPM), checked, made smaller, and again a PNG.

The bytes come from a process that a guest may have taken over: size and kind are read here before a decoder sees the
rest, and no decoder but that one may.
"""

import io
import re
import struct
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 20_000_000
# The header beside three bytes a pixel; a PNG of noise is hardly larger.
MOST_BYTES = 3 * MOST_PIXELS + 64 * 1024
MOST_WIDTH = 640

_PPM = re.compile(rb"P6\s+([1-9][0-9]{0,4})\s+([1-9][0-9]{0,4})\s+255\s")
# The signature, then a first chunk of 13 bytes: width, height, bits a colour, kind of colours, three more of which the
# last says whether it is interlaced.
_PNG = struct.Struct(">8s I4s II BB BBB")
_PNG_BEGINNING = (b"\x89PNG\r\n\x1a\n", 13, b"IHDR")
_EIGHT_BITS_RGB = (8, 2, 0, 0, 0)


class NoPicture(ValueError):
    """These bytes are no picture that we take."""


@dataclass(frozen=True, kw_only=True)
class ScreenPicture:
    """A PNG; width and height are those of the guest's screen, not of the picture."""

    png: bytes
    screen_width: int
    screen_height: int


def picture_of_screen(data: bytes, *, most_width: int = MOST_WIDTH) -> ScreenPicture:
    """At most so wide, in the screen's proportions. Raises: NoPicture."""
    picture = _from_png(data) if data.startswith(_PNG_BEGINNING[0]) else _from_ppm(data)
    width, height = picture.size
    picture.thumbnail((most_width, most_width), Image.Resampling.BILINEAR)
    # Screens have few colours: a palette is a third of the bytes, and nobody sees the difference at this size.
    written = io.BytesIO()
    picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(written, format="PNG")
    return ScreenPicture(png=written.getvalue(), screen_width=width, screen_height=height)


def _from_ppm(data: bytes) -> Image.Image:
    header = _PPM.match(data)
    if header is None:
        raise NoPicture("It is neither a PNG nor a PPM of eight bits a colour.")
    width, height = int(header[1]), int(header[2])
    _check_size(width, height)
    if len(data) != header.end() + 3 * width * height:
        raise NoPicture("Its length does not fit its size.")
    return Image.frombytes("RGB", (width, height), data[header.end() :])


def _from_png(data: bytes) -> Image.Image:
    if len(data) < _PNG.size:
        raise NoPicture("It is cut off.")
    header = _PNG.unpack_from(data)
    width, height = header[3:5]
    if header[:3] != _PNG_BEGINNING or header[5:] != _EIGHT_BITS_RGB:
        raise NoPicture("It is no PNG of eight bits a colour.")
    _check_size(width, height)
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG",))
        picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise NoPicture(f"It is no whole PNG: {error}") from error
    return picture


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise NoPicture(f"{width} × {height} pixels are no screen.")
