"""The checksum that is counted along: whatever is cut, resumed or missed, it is that of the file."""

import hashlib
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from hypervisors.operations.storage.running_digests import RunningDigest

CONTENT = bytes(number % 251 for number in range(5000))


def read(offset: int, length: int) -> Iterable[bytes]:
    yield CONTENT[offset : offset + length]


@given(
    st.lists(
        st.tuples(st.integers(0, 4999), st.integers(1, 2000)),
        max_size=12,
    )
)
def test_it_is_that_of_the_file_after_any_interruptions(
    pieces: list[tuple[int, int]],
) -> None:
    digest = RunningDigest(step_bytes=500)
    for offset, length in pieces:
        digest.rewind(offset)
        for begin in range(offset, offset + length, 100):
            digest.feed(begin, CONTENT[begin : begin + 100])
    digest.catch_up(len(CONTENT), read)
    assert digest.position == len(CONTENT)
    assert digest.hexdigest() == hashlib.sha256(CONTENT).hexdigest()


def test_what_was_lost_on_the_way_is_not_counted() -> None:
    digest = RunningDigest(step_bytes=500)
    digest.feed(0, CONTENT[:1000])
    digest.feed(1000, b"never arrived")
    digest.rewind(1000)
    assert digest.position == 1000
    digest.catch_up(1000, read)
    digest.feed(1000, CONTENT[1000:])
    assert digest.hexdigest() == hashlib.sha256(CONTENT).hexdigest()
