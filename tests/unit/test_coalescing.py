"""Changes to one group leave at once while they are few, and together while they are many."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from hypervisors import coalescing
from hypervisors.coalescing import BURST_MESSAGES, PERIOD_SECONDS, GroupQueue, Record, merged


def update(key: str, **fields: Any) -> Record:
    return {"what": "domain", "id": key, "op": "update", "fields": fields}


def added(key: str, **fields: Any) -> Record:
    return update(key, **fields) | {"op": "add"}


def removed(key: str) -> Record:
    return update(key) | {"op": "remove"}


class Sent:
    """What has left: when, with which step, and with which records."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, int, list[Record]]] = []
        self.arrived = asyncio.Event()

    async def take(self, records: list[Record], step: int) -> None:
        self.messages.append((asyncio.get_running_loop().time(), step, records))
        self.arrived.set()

    def records(self) -> list[Record]:
        return [record for _, _, records in self.messages for record in records]

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.arrived.clear()
                await self.arrived.wait()


def running(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


def test_updates_of_one_object_become_one_at_the_last_ones_place() -> None:
    records = [update("a", state="running", vcpus=2), update("b", state="paused"), update("a", state="shutoff")]
    assert merged(records) == [update("b", state="paused"), update("a", state="shutoff", vcpus=2)]


def test_what_comes_and_goes_parts_the_updates_before_from_those_after() -> None:
    records = [update("a", n=1), removed("a"), added("a", n=2), update("a", n=3), update("a", m=4)]
    assert merged(records) == [update("a", n=1), removed("a"), added("a", n=2), update("a", n=3, m=4)]


def test_objects_of_two_sorts_with_one_id_stay_apart_and_nothing_given_is_changed() -> None:
    first, second = update("1", n=1), update("1", n=2) | {"what": "network"}
    assert merged([first, second, update("1", m=3)]) == [second, update("1", n=1, m=3)]
    assert first == update("1", n=1)


def test_a_lone_change_leaves_at_once() -> None:
    async def scenario() -> None:
        sent, loop = Sent(), asyncio.get_running_loop()
        queue = GroupQueue(sent.take)
        for number in range(BURST_MESSAGES):
            before = loop.time()
            sent.arrived.clear()
            queue.add([update("a", n=number)])
            await sent.arrived.wait()
            # It waited for no timer.
            assert sent.messages[-1][0] - before < PERIOD_SECONDS / 2
        assert [record["fields"]["n"] for record in sent.records()] == list(range(BURST_MESSAGES))

    running(scenario)


def test_a_storm_leaves_in_few_messages_with_each_change_in_order() -> None:
    async def scenario() -> None:
        sent = Sent()
        queue = GroupQueue(sent.take)
        for number in range(200):
            queue.add([update("a", n=number)])
            await asyncio.sleep(0)
        await sent.wait_for(lambda: len(sent.records()) == 200)
        assert [record["fields"]["n"] for record in sent.records()] == list(range(200))
        assert len(sent.messages) <= BURST_MESSAGES + 3
        assert {step for _, step, _ in sent.messages} == {1}

    running(scenario)


def test_a_storm_on_few_objects_is_merged_and_ends_in_the_same() -> None:
    async def scenario() -> None:
        sent = Sent()
        queue = GroupQueue(sent.take)
        for number in range(3000):
            queue.add([update(str(number % 7), **{f"f{number % 3}": number})])
        await sent.wait_for(lambda: any(2999 in record["fields"].values() for record in sent.records()))
        seen: dict[str, dict[str, int]] = {}
        for record in sent.records():
            seen.setdefault(record["id"], {}).update(record["fields"])
        expected: dict[str, dict[str, int]] = {}
        for number in range(3000):
            expected.setdefault(str(number % 7), {})[f"f{number % 3}"] = number
        assert seen == expected
        assert len(sent.records()) < coalescing.MERGED_FROM

    running(scenario)


def test_a_message_that_is_lost_leaves_a_gap_before_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        sent = Sent()
        is_broken = True

        async def send(records: list[Record], step: int) -> None:
            if is_broken:
                raise ConnectionError("Redis is away")
            await sent.take(records, step)

        queue = GroupQueue(send)
        queue.add([update("a", n=1)])
        async with asyncio.timeout(10):
            while "could not be broadcast" not in caplog.text:
                await asyncio.sleep(0)
        is_broken = False
        queue.add([update("a", n=2)])
        queue.add([update("a", n=3)])
        await sent.wait_for(lambda: len(sent.records()) == 2)
        assert [step for _, step, _ in sent.messages][:1] == [2]
        queue.add([update("a", n=4)])
        await sent.wait_for(lambda: len(sent.records()) == 3)
        assert sent.messages[-1][1] == 1

    running(scenario)


def test_too_many_that_wait_are_given_up_and_leave_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coalescing, "MERGED_FROM", 10)
    monkeypatch.setattr(coalescing, "MOST_WAITING", 20)

    async def scenario() -> None:
        sent, redis_hangs = Sent(), asyncio.Event()

        async def send(records: list[Record], step: int) -> None:
            await redis_hangs.wait()
            await sent.take(records, step)

        queue = GroupQueue(send)
        queue.add([update("first")])
        await asyncio.sleep(0)
        for number in range(50):
            queue.add([update(str(number))])
            assert len(queue._waiting) <= 40
        redis_hangs.set()
        queue.add([update("last")])
        await sent.wait_for(lambda: "last" in [record["id"] for record in sent.records()])
        assert [step for _, step, _ in sent.messages] == [1, 2]

    running(scenario)
