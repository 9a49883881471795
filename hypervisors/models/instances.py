"""The processes of vmportal as they announce themselves in Redis: which run, where, since when, with what.

Each writes its own key every few seconds, for three times as long; a set names the keys, so that nobody searches all
of Redis for them. Losing Redis loses nothing: they announce themselves anew.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 2.0
ALIVE_SECONDS = 6

Kind = Literal["web", "console", "transfer", "worker", "watcher"]

_NAMES = "vmportal:instances"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One running process. `address` is where others reach it (consoles); `holds` are a worker's queues."""

    kind: Kind
    id: str
    host: str
    pid: int
    version: str
    # Epoch seconds, by its own machine's clock.
    started_at: float
    address: str = ""
    holds: tuple[str, ...] = field(default=())


def instance_id() -> str:
    """host:pid:random of this process; no other process ever has the same, not in a container whose pid is always 7."""
    return _id_of(os.getpid())


@lru_cache(maxsize=1)
def _id_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{secrets.token_hex(3)}"


@lru_cache(maxsize=1)
def _started_at(pid: int) -> float:
    return time.time()


def this_instance(kind: Kind, *, holds: Iterable[str] = (), address: str = "", id: str = "") -> Instance:
    """This process, as it announces itself; it is taken for started when it asks for the first time."""
    return Instance(
        kind=kind,
        id=id or instance_id(),
        host=socket.gethostname(),
        pid=os.getpid(),
        version=settings.VERSION,
        started_at=_started_at(os.getpid()),
        address=address,
        holds=tuple(holds),
    )


def announce(instance: Instance) -> None:
    """Say that it lives, for ALIVE_SECONDS. Raises: redis.RedisError."""
    with _client() as client:
        pipe = client.pipeline(transaction=False)
        pipe.sadd(_NAMES, _name(instance))
        pipe.set(_key(_name(instance)), json.dumps(asdict(instance)), ex=ALIVE_SECONDS)
        pipe.execute()


def withdraw(instance: Instance) -> None:
    """Say that it ends; one that cannot is forgotten by itself."""
    try:
        with _client() as client:
            client.delete(_key(_name(instance)))
    except redis.RedisError as error:
        logger.debug("An instance was not withdrawn: %s", error)


def read_instances() -> list[Instance]:
    """Those alive, the oldest first. Raises: redis.RedisError."""
    with _client() as client:
        names: list[bytes] = sorted(client.smembers(_NAMES))
        if not names:
            return []
        texts: list[bytes | None] = client.mget([_key(name.decode()) for name in names])
        gone = [name for name, text in zip(names, texts, strict=True) if text is None]
        if gone:
            # One that comes to life again puts its name back with its next beat.
            client.srem(_NAMES, *gone)
    found = [_parse(text) for text in texts if text is not None]
    return sorted(found, key=lambda instance: (instance.kind, instance.started_at, instance.id))


def _parse(text: bytes) -> Instance:
    values: dict[str, Any] = json.loads(text)
    known = {name: values[name] for name in Instance.__dataclass_fields__ if name in values}
    return Instance(**known | {"holds": tuple(known.get("holds", ()))})


def _name(instance: Instance) -> str:
    return f"{instance.kind}:{instance.id}"


def _key(name: str) -> str:
    return f"vmportal:instance:{name}"


def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


class Announcer:
    """Announces this process in a thread of its own, as long as it is well. Survives the loss of Redis."""

    def __init__(
        self,
        describe: Callable[[], Instance],
        *,
        is_well: Callable[[], bool] = lambda: True,
        after_each: Callable[[], None] = lambda: None,
    ) -> None:
        self._describe = describe
        self._is_well = is_well
        self._after_each = after_each
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(3)
        withdraw(self._describe())

    def _run(self) -> None:
        was_away = False
        while not self._stopping.is_set():
            try:
                if self._is_well():
                    announce(self._describe())
                was_away = False
            except redis.RedisError as error:
                if not was_away:
                    logger.warning("This process could not be announced, and goes on trying: %s", error)
                was_away = True
            self._after_each()
            self._stopping.wait(HEARTBEAT_SECONDS)
