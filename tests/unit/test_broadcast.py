"""What a process does with its messages while they cannot be sent."""

import asyncio

import pytest

from hypervisors import broadcast
from tests.watching import wait_until


def test_samples_that_wait_are_bounded_and_the_next_are_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "_MOST_WAITING", 3)
    loop = broadcast._loop()
    wait_until(lambda: loop._waiting == 0)
    redis_hangs, sent = asyncio.Event(), []

    async def send(number: int) -> None:
        await redis_hangs.wait()
        sent.append(number)

    assert [loop.submit(send(number)) for number in range(5)] == [True, True, True, False, False]
    loop.loop.call_soon_threadsafe(redis_hangs.set)
    wait_until(lambda: loop._waiting == 0)
    assert loop.submit(send(5))
    wait_until(lambda: sent == [0, 1, 2, 5])
