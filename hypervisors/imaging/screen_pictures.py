"""A picture of a guest's screen as QEMU gives it (PPM, binary), checked, made smaller and turned into PNG.

What a guest shows is its own: the header is read here before a decoder sees the rest, and only one decoder may.
"""

import io
import re
from dataclasses import dataclass

from PIL import Image

MOST_PIXELS = 20_000_000
# The header beside three bytes a pixel.
MOST_BYTES = 3 * MOST_PIXELS + 64
MOST_WIDTH = 640

_HEADER = re.compile(rb"P6\s+([1-9][0-9]{0,4})\s+([1-9][0-9]{0,4})\s+255\s")


class NoPicture(ValueError):
    """These bytes are no picture that we take."""


@dataclass(frozen=True, kw_only=True)
class ScreenPicture:
    """A PNG; width and height are those of the guest's screen, not of the picture."""

    png: bytes
    screen_width: int
    screen_height: int


def picture_of_screen(ppm: bytes, *, most_width: int = MOST_WIDTH) -> ScreenPicture:
    """At most so wide, in the screen's proportions. Raises: NoPicture."""
    header = _HEADER.match(ppm)
    if header is None:
        raise NoPicture("It is no PPM of eight bits a colour.")
    width, height = int(header[1]), int(header[2])
    if width * height > MOST_PIXELS:
        raise NoPicture(f"{width} × {height} pixels are too many.")
    if len(ppm) != header.end() + 3 * width * height:
        raise NoPicture("Its length does not fit its size.")
    picture = Image.frombytes("RGB", (width, height), ppm[header.end() :])
    picture.thumbnail((most_width, most_width), Image.Resampling.BILINEAR)
    # Screens have few colours: a palette is a third of the bytes, and nobody sees the difference at this size.
    written = io.BytesIO()
    picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(written, format="PNG")
    return ScreenPicture(png=written.getvalue(), screen_width=width, screen_height=height)
