"""The live socket: passes on what changed to those who may know, and the usage samples of what the page shows.

From the browser: {"watch": [domain uuids], "watch_hypervisors": [ids]} replaces what is watched; {"ping": 1}.
To the browser: {"type": "hello", "seq"}, {"type": "changes", "seq", "changes"}, {"type": "usage", …},
{"type": "rights"} (one may see or do more or less than before: look anew), {"type": "freshness", "stale": {host id:
[epoch seconds of the last word, why]}, "silent": {part: epoch seconds}} (hosts whose rows may be old, and which of our
processes do not answer; see live/freshness.py), {"type": "pong", "seq"}.
`seq` is the number of the group's latest change; null in a pong while Redis is away.
While the database cannot be written, hello and pong have a "trouble" that says so.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import User
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from hypervisors.access import permitted
from hypervisors.broadcast import changes_group, read_sequence, rights_group, usage_group
from hypervisors.live.freshness import freshness_teller
from hypervisors.live.groups import group_listener
from hypervisors.models import Domain, Hypervisor
from hypervisors.models.rights import Rights, rights_of
from hypervisors.models.troubles import current_trouble, known_lately
from hypervisors.privileges import Privilege

logger = logging.getLogger(__name__)

# At once when it is told that rights changed; so often in any case, for what was not told (Redis was away).
RECHECK_SECONDS = 30
# Who signs out is told of before the session is gone.
_SETTLE_SECONDS = 0.3
# A page shows a few hundred objects at most.
MOST_WATCHED = 2000
# Messages that wait for a slow browser; those beyond are dropped, and the gap in the numbers makes it look anew.
MOST_WAITING = 100
# The session ended or the rights changed: the browser loads the page anew.
CLOSE_SIGNED_OUT = 4401
# Rights could not be looked up for long: the browser connects again, and is asked who it is.
CLOSE_UNCHECKED = 1013
UNCHECKED_SECONDS = 30
_CHECK_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Which samples are passed on: of these domains, and of these hosts themselves."""

    domains: frozenset[str] = frozenset()
    hypervisors: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()


class LiveConsumer(AsyncWebsocketConsumer):
    """One browser page. What is said to its groups comes through the process's GroupListener."""

    # No channel of its own.
    channel_layer_alias = "none"
    recheck_seconds: float = RECHECK_SECONDS
    user: User
    # As the page was last told of them.
    rights: Rights
    # The group whose changes this page hears; empty until it is let in.
    group: str = ""
    asked: tuple[list[str], list[int]] = ([], [])
    watched: Watched = Watched()
    rights_changed: asyncio.Event

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: deque[str] = deque()
        self.has_waiting = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        user = self.scope["user"]
        if not isinstance(user, User) or not user.is_active:
            await self.close()
            return
        self.user = user
        self.group = await database_sync_to_async(changes_group)(user)
        self.rights = await database_sync_to_async(rights_of)(user)
        self.rights_changed = asyncio.Event()
        try:
            for group in (self.group, rights_group(user.pk)):
                await group_listener().join(group, self)
            await self.accept()
            # Joined first, so that every number after this one arrives.
            await self._send({"type": "hello", "seq": await _sequence(self.group) or 0} | await _trouble())
        except BaseException:
            await self._leave_all()
            raise
        self.tasks = [asyncio.create_task(work) for work in (self._pass_on(), self._recheck())]
        freshness_teller().join(self)

    async def disconnect(self, code: int) -> None:
        freshness_teller().leave(self)
        for task in self.tasks:
            task.cancel()
        await self._leave_all()

    async def _leave_all(self) -> None:
        if self.group:
            for group in {self.group, rights_group(self.user.pk), *self.watched.groups}:
                await group_listener().leave(group, self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = _parsed(text_data)
        if "ping" in message:
            await self._send({"type": "pong", "seq": await _sequence(self.group)} | await _trouble())
        if "watch" in message or "watch_hypervisors" in message:
            self.asked = (_uuids(message.get("watch")), _ids(message.get("watch_hypervisors")))
            await self._watch()

    def deliver(self, message: dict[str, Any]) -> None:
        """Called for each message to one of its groups."""
        if message["type"] == "rights":
            self.rights_changed.set()
            return
        text = self._usage_text(message) if message["type"] == "usage" else message["text"]
        if text and len(self.waiting) < MOST_WAITING:
            self.waiting.append(text)
            self.has_waiting.set()

    def _usage_text(self, message: dict[str, Any]) -> str:
        """What the page shows of these samples; empty when it shows none of them."""
        samples = message["domains"]
        domains = ",".join(f'"{uuid}":{samples[uuid]}' for uuid in self.watched.domains & samples.keys())
        is_host_watched = message["hypervisor"] in self.watched.hypervisors
        if not domains and not is_host_watched:
            return ""
        head = f'"type":"usage","hypervisor":{message["hypervisor"]},"at":{message["at"]}'
        host = message["host"] if is_host_watched else "[]"
        return f'{{{head},"host":{host},"domains":{{{domains}}}}}'

    async def _pass_on(self) -> None:
        """Send what waits, as fast as the browser takes it."""
        with contextlib.suppress(OSError):
            while True:
                await self.has_waiting.wait()
                self.has_waiting.clear()
                while self.waiting:
                    await self.send(text_data=self.waiting.popleft())

    async def _send(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message, separators=(",", ":")))

    async def _watch(self) -> None:
        """Follow what was asked for, as far as the user may see it."""
        watched = await database_sync_to_async(_watchable)(self.user, *self.asked)
        for group in watched.groups - self.watched.groups:
            await group_listener().join(group, self)
        for group in self.watched.groups - watched.groups:
            await group_listener().leave(group, self)
        self.watched = watched

    async def _recheck(self) -> None:
        """Ends the socket soon after its session ended or its rights changed.

        While rights cannot be looked up it asks again and again; when they stay unknown, the browser has to come anew.
        """
        checked_at = time.monotonic()
        while True:
            await self._until_due()
            try:
                if not await self._is_still_allowed():
                    await self._end(CLOSE_SIGNED_OUT)
                    return
                checked_at = time.monotonic()
            except (DatabaseError, RedisError, OSError) as error:
                logger.warning("The rights of a page could not be checked: %s", error)
                if time.monotonic() - checked_at > self.recheck_seconds + UNCHECKED_SECONDS:
                    await self._end(CLOSE_UNCHECKED)
                    return
                await asyncio.sleep(_CHECK_AGAIN_SECONDS)
                self.rights_changed.set()

    async def _is_still_allowed(self) -> bool:
        user = await _current_user(self.scope)
        if user is None or await database_sync_to_async(changes_group)(user) != self.group:
            return False
        self.user = user
        await self._watch()
        rights = await database_sync_to_async(rights_of)(user)
        if rights != self.rights:
            self.rights = rights
            await self._send({"type": "rights"})
        return True

    async def _end(self, code: int) -> None:
        # Nothing may follow the close.
        self.tasks[0].cancel()
        await self.close(code=code)

    async def _until_due(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.recheck_seconds):
                await self.rights_changed.wait()
                await asyncio.sleep(_SETTLE_SECONDS)
        self.rights_changed.clear()


async def _current_user(scope: Any) -> User | None:
    """The socket's user as the database has them now; None when the session is over or they are deactivated."""
    session = scope["session"].__class__(session_key=scope["session"].session_key)
    # It needs no more of a scope than the session.
    user = await get_user(cast(Any, {"session": session}))
    return user if isinstance(user, User) and user.is_active else None


async def _sequence(group: str) -> int | None:
    try:
        return await read_sequence(group)
    except RedisError as error:
        logger.warning("The sequence number of %s could not be read: %s", group, error)
        return None


async def _trouble() -> dict[str, Any]:
    trouble = current_trouble() if known_lately() else await asyncio.to_thread(current_trouble)
    return {} if trouble is None else {"trouble": trouble.text}


def _watchable(user: User, uuids: list[str], hypervisor_ids: list[int]) -> Watched:
    rows = Domain.objects.visible_to(user).filter(uuid__in=uuids).values_list("uuid", "hypervisor_id")
    places = {str(uuid): hypervisor_id for uuid, hypervisor_id in rows if hypervisor_id is not None}
    hypervisors = permitted(user, Privilege.HYPERVISOR_VIEW, Hypervisor.objects.filter(pk__in=hypervisor_ids))
    hosts = frozenset(hypervisors.order_by().values_list("pk", flat=True)) if hypervisor_ids else frozenset[int]()
    return Watched(
        domains=frozenset(places),
        hypervisors=hosts,
        groups=frozenset(usage_group(hypervisor_id) for hypervisor_id in {*places.values(), *hosts}),
    )


def _parsed(text: str | None) -> dict[str, Any]:
    try:
        message = json.loads(text or "")
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _uuids(values: Any) -> list[str]:
    found = []
    for value in values[:MOST_WATCHED] if isinstance(values, list) else []:
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            found.append(str(UUID(value)))
    return found


def _ids(values: Any) -> list[int]:
    return [value for value in values[:MOST_WATCHED] if type(value) is int] if isinstance(values, list) else []
