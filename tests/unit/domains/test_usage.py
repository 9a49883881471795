"""Usage samples in Redis: what goes in comes out, for an hour, whatever the slot."""

import time
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import LazySettings

from hypervisors.models.usage import (
    UsageSample,
    domain_key,
    hypervisor_key,
    latest_ranking,
    read_recent,
    read_usage,
    record_usage,
)
from tests.watching import wait_until

pytestmark = pytest.mark.usefixtures("redis_client")


def _sample(epoch: int, cpu_percent: float = 1.0, memory_kib: float = 1024.0) -> UsageSample:
    return UsageSample(epoch=epoch, cpu_percent=cpu_percent, memory_kib=memory_kib, net_receive_bytes_per_second=0.5)


def test_an_hour_is_kept_oldest_first_and_older_is_overwritten() -> None:
    key, now = domain_key(uuid4()), int(time.time())
    for age in range(5000, -1, -5):
        record_usage({key: _sample(now - age, cpu_percent=age % 100)})
    samples = read_usage(key)
    assert 718 <= len(samples) <= 720
    assert [s.epoch for s in samples] == sorted(s.epoch for s in samples)
    assert samples[-1] == _sample(now, cpu_percent=0.0)
    assert read_usage(key, seconds=60)[0].epoch > now - 62


@pytest.mark.parametrize("offset", [0, 17, 3599])
def test_recent_samples_span_the_end_of_the_ring(offset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = (int(time.time()) // 3600) * 3600 + offset
    monkeypatch.setattr(time, "time", lambda: float(now))
    first, second = domain_key(uuid4()), hypervisor_key(7)
    for age in range(500, -1, -5):
        record_usage({first: _sample(now - age), second: _sample(now - age, cpu_percent=50)})
    recent = read_recent([first, second, domain_key(uuid4())], samples=40)
    assert [len(samples) for samples in recent.values()] == [41, 41, 0]
    assert recent[second][-1].epoch == now
    assert recent[second][-1].cpu_percent == 50


def test_an_old_sample_in_a_slot_is_not_taken_for_a_new_one() -> None:
    key, now = domain_key(uuid4()), int(time.time())
    record_usage({key: _sample(now - 3600)})
    assert read_recent([key]) == {key: []}
    assert read_usage(key) == []


def test_a_ranking_is_replaced_as_a_whole_and_ranks_across_hypervisors() -> None:
    a, b, c = (uuid4().hex for _ in range(3))
    now = int(time.time())
    record_usage({domain_key(a): _sample(now, 10, 500), domain_key(b): _sample(now, 90, 100)}, ranking="1")
    record_usage({domain_key(c): _sample(now, 50, 300), hypervisor_key(2): _sample(now, 99)}, ranking="2")
    assert latest_ranking("cpu") == (b, c, a)
    assert latest_ranking("memory") == (a, c, b)
    record_usage({domain_key(a): _sample(now, 10)}, ranking="1")
    assert latest_ranking("cpu") == (c, a)
    # While it migrates: once, by the greater value.
    record_usage({domain_key(str(UUID(c))): _sample(now, 5), domain_key(a): _sample(now, 80)}, ranking="3")
    assert latest_ranking("cpu") == (a, c)


def test_a_ranking_that_another_process_made_is_seen_within_a_second(redis_client: redis.Redis) -> None:
    uuid, now = uuid4().hex, int(time.time())
    record_usage({domain_key(uuid): _sample(now, 10)}, ranking="1")
    assert latest_ranking("cpu") == (uuid,)
    # As the watcher does: nothing in this process is told.
    redis_client.delete("vmportal:usage:latest:1")
    assert latest_ranking("cpu") == (uuid,)
    wait_until(lambda: latest_ranking("cpu") == (), seconds=3)


def test_without_redis_reading_gives_nothing_and_writing_says_so(settings: LazySettings) -> None:
    from hypervisors.models import usage

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    usage._client_of.cache_clear()
    try:
        assert read_usage("x") == []
        assert read_recent(["x"]) == {"x": []}
        usage._rankings.clear()
        assert latest_ranking("cpu") == ()
        with pytest.raises(redis.RedisError):
            record_usage({"x": _sample(1)})
    finally:
        usage._client_of.cache_clear()


def test_what_is_not_reported_is_no_zero_and_comes_last(redis_client: redis.Redis) -> None:
    silent, telling, small = uuid4(), uuid4(), uuid4()
    now = int(time.time())
    samples = {
        domain_key(silent): UsageSample(epoch=now, cpu_percent=9.0, memory_kib=None),
        domain_key(telling): UsageSample(epoch=now, cpu_percent=1.0, memory_kib=2048.0),
        domain_key(small): UsageSample(epoch=now, cpu_percent=2.0, memory_kib=1.0),
    }
    record_usage(samples, ranking="7")
    assert [sample.memory_kib for sample in read_usage(domain_key(silent))] == [None]
    assert [sample.memory_kib for sample in read_recent([domain_key(silent)])[domain_key(silent)]] == [None]
    assert latest_ranking("memory") == (telling.hex, small.hex)
    assert latest_ranking("cpu") == (silent.hex, small.hex, telling.hex)
