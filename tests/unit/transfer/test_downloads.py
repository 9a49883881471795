"""Which piece of a volume a browser asks for, RFC 9110 §14."""

import pytest

from hypervisors.gateway.storage.volume_streams import VolumeContent
from hypervisors.transfer.downloads import wanted_piece
from hypervisors.transfer.requests import Refused

CONTENT = VolumeContent(length_bytes=1000, changed_at="1.5")


def asked(**headers: str) -> tuple[int, int, bool]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    piece = wanted_piece(named, CONTENT, tag='"7"')
    return piece.offset, piece.length, piece.is_range


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-", (0, 1000, True)),
        ("bytes=0-0", (0, 1, True)),
        ("bytes=10-19", (10, 10, True)),
        ("bytes=990-2000", (990, 10, True)),
        ("bytes=-10", (990, 10, True)),
        ("bytes=-5000", (0, 1000, True)),
        ("bytes=20-10", (0, 1000, False)),
        ("bytes=-", (0, 1000, False)),
        ("bytes=0-1,5-6", (0, 1000, False)),
        ("lines=0-1", (0, 1000, False)),
        ("bytes=x-1", (0, 1000, False)),
    ],
)
def test_one_range_is_sent_and_anything_else_is_the_whole(text: str, expected: tuple[int, int, bool]) -> None:
    assert asked(Range=text) == expected


def test_without_a_range_and_with_another_version_it_is_the_whole() -> None:
    assert asked() == (0, 1000, False)
    assert asked(Range="bytes=10-", If_Range='"7"') == (10, 990, True)
    assert asked(Range="bytes=10-", If_Range='"6"') == (0, 1000, False)


@pytest.mark.parametrize("text", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_what_is_beyond_the_end_is_refused_with_the_length(text: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(Range=text)
    assert (refused.value.status, refused.value.headers["Content-Range"]) == (416, "bytes */1000")
