"""Usage samples: an hour per object in a ring of fixed-size records in Redis, https://redis.io/commands/setrange/.

Slot `(epoch // period) % slots` holds 28 bytes: uint32 epoch seconds and six float32, NaN for
what is not reported. Writing needs no reading, and
losing Redis loses an hour of charts and nothing else. Beside the rings, each hypervisor has one value with the latest
sample of each of its domains, to sort by. See docs/decisions/0003.
"""

import logging
import math
import os
import struct
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

HISTORY_SECONDS = 3600
_RECORD = struct.Struct("<Iffffff")
_EXPIRE_SECONDS = 2 * HISTORY_SECONDS
# The UUID, the CPU and the memory of one domain, in its hypervisor's latest samples.
_LATEST = struct.Struct("<16sff")
_RANKINGS = "vmportal:usage:rankings"
# A process asks no oftener: samples are means of five seconds.
_RANKING_SECONDS = 1.0
# For how long Redis may be silent: a page waits less than the watcher.
_READ_SECONDS, _WRITE_SECONDS = 1.0, 3.0

Metric = Literal["cpu", "memory"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageSample:
    """What one object used: the mean since the sample before. The last four are bytes per second."""

    epoch: int
    # Of all its vCPUs, or of all the host's CPUs: 0–100.
    cpu_percent: float
    # None: not reported.
    memory_kib: float | None
    disk_read_bytes_per_second: float = 0.0
    disk_write_bytes_per_second: float = 0.0
    net_receive_bytes_per_second: float = 0.0
    net_transmit_bytes_per_second: float = 0.0

    def values(self) -> tuple[float | None, ...]:
        """The six measures in the order of the record, as messages carry them."""
        return (
            self.cpu_percent,
            self.memory_kib,
            self.disk_read_bytes_per_second,
            self.disk_write_bytes_per_second,
            self.net_receive_bytes_per_second,
            self.net_transmit_bytes_per_second,
        )


def domain_key(uuid: UUID | str) -> str:
    return f"vmportal:usage:domain:{uuid}"


def hypervisor_key(hypervisor_id: int) -> str:
    return f"vmportal:usage:hypervisor:{hypervisor_id}"


def record_usage(samples: Mapping[str, UsageSample], *, ranking: str = "") -> None:
    """Store samples by key, in one round trip. `ranking` names the samples to sort by that these replace.

    Raises: redis.RedisError.
    """
    pipe = _client(_WRITE_SECONDS).pipeline(transaction=False)
    for key, sample in samples.items():
        slot = _slot(sample.epoch)
        pipe.setrange(key, slot * _RECORD.size, _packed(sample))
        if slot % 12 == 0:
            pipe.expire(key, _EXPIRE_SECONDS)
    if ranking:
        _rank(pipe, ranking, samples)
    pipe.execute()


def read_usage(key: str, seconds: int = HISTORY_SECONDS) -> list[UsageSample]:
    """The samples of the last `seconds`, oldest first; gaps are left out. Empty while Redis is away."""
    try:
        raw = _client().get(key) or b""
    except redis.RedisError:
        logger.warning("Usage could not be read from Redis.", exc_info=True)
        return []
    return _samples(raw, since=time.time() - min(seconds, HISTORY_SECONDS))


def read_recent(keys: Iterable[str], samples: int = 40) -> dict[str, list[UsageSample]]:
    """The last samples of many objects, oldest first, in one round trip. Empty lists while Redis is away."""
    keys = list(keys)
    now = int(time.time())
    pipe = _client().pipeline(transaction=False)
    spans = _spans(_slot(now), samples)
    for key in keys:
        for first, last in spans:
            pipe.getrange(key, first * _RECORD.size, (last + 1) * _RECORD.size - 1)
    try:
        answers = pipe.execute()
    except redis.RedisError:
        logger.warning("Usage could not be read from Redis.", exc_info=True)
        return {key: [] for key in keys}
    # The slot of now may not be written yet, so one period more than the samples.
    since = now - (samples + 1) * settings.USAGE_PERIOD_SECONDS
    return {
        key: _samples(b"".join(answers[i * len(spans) : (i + 1) * len(spans)]), since=since)
        for i, key in enumerate(keys)
    }


def latest_ranking(metric: Metric) -> Sequence[str]:
    """UUIDs (32 digits) of the domains that were sampled lately, the greatest consumer first; a second old at most.

    Empty while Redis is away.
    """
    with _rankings_lock:
        known_at, ranking = _rankings.get(metric, (-_RANKING_SECONDS, ()))
        if time.monotonic() - known_at >= _RANKING_SECONDS:
            ranking = _read_ranking(metric)
            # From now: of all that ask while Redis hangs, one a second waits for it.
            _rankings[metric] = (time.monotonic(), ranking)
        return ranking


# time.monotonic() when it was read, and the ranking.
_rankings: dict[Metric, tuple[float, Sequence[str]]] = {}
_rankings_lock = threading.Lock()


def _read_ranking(metric: Metric) -> Sequence[str]:
    try:
        client = _client()
        names = [_latest_key(name.decode()) for name in client.smembers(_RANKINGS)]
        raw = b"".join(value for value in client.mget(names) if value) if names else b""
    except redis.RedisError:
        logger.warning("Rankings could not be read from Redis.", exc_info=True)
        return ()
    samples = _LATEST.iter_unpack(raw)
    if metric == "cpu":
        by_value = [(cpu, uuid) for uuid, cpu, _ in samples]
    else:
        by_value = [(kib, uuid) for uuid, _, kib in samples if not math.isnan(kib)]
    by_value.sort(reverse=True)
    # While it migrates, a domain is sampled on both hypervisors.
    return tuple(dict.fromkeys(uuid.hex() for _, uuid in by_value))


def _latest_key(ranking: str) -> str:
    return f"vmportal:usage:latest:{ranking}"


def _rank(pipe: "redis.client.Pipeline", ranking: str, samples: Mapping[str, UsageSample]) -> None:
    prefix = domain_key("")
    packed = [
        _LATEST.pack(UUID(key.removeprefix(prefix)).bytes, sample.cpu_percent, _or_nan(sample.memory_kib))
        for key, sample in samples.items()
        if key.startswith(prefix)
    ]
    pipe.set(_latest_key(ranking), b"".join(packed), ex=max(60, 6 * settings.USAGE_PERIOD_SECONDS))
    pipe.sadd(_RANKINGS, ranking)
    _rankings.clear()


def _slots() -> int:
    return max(1, HISTORY_SECONDS // int(settings.USAGE_PERIOD_SECONDS))


def _slot(epoch: int) -> int:
    return epoch // int(settings.USAGE_PERIOD_SECONDS) % _slots()


def _spans(last: int, count: int) -> list[tuple[int, int]]:
    """The slots of the `count` periods up to `last`, and the one before, as one or two runs."""
    first = last - min(count, _slots() - 1)
    return [(first, last)] if first >= 0 else [(first + _slots(), _slots() - 1), (0, last)]


def _packed(sample: UsageSample) -> bytes:
    return _RECORD.pack(sample.epoch, *(_or_nan(value) for value in sample.values()))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _samples(raw: bytes, *, since: float) -> list[UsageSample]:
    whole = raw[: len(raw) // _RECORD.size * _RECORD.size]
    records = sorted(record for record in _RECORD.iter_unpack(whole) if record[0] > since)
    return [
        UsageSample(
            epoch=epoch,
            cpu_percent=cpu,
            memory_kib=None if math.isnan(memory) else memory,
            disk_read_bytes_per_second=disk_read,
            disk_write_bytes_per_second=disk_write,
            net_receive_bytes_per_second=receive,
            net_transmit_bytes_per_second=transmit,
        )
        for epoch, cpu, memory, disk_read, disk_write, receive, transmit in records
    ]


@lru_cache(maxsize=2)
def _client_of(pid: int, timeout_seconds: float) -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        health_check_interval=30,
    )


def _client(timeout_seconds: float = _READ_SECONDS) -> Any:
    # redis-py types every answer as "bytes or str or a future"; Any is more honest than casts all over.
    return _client_of(os.getpid(), timeout_seconds)
