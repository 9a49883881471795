"""The groups that this process hears: each message is decoded once, and handed to every socket in its group.

One channel of the layer per event loop. (Channels would give each socket a channel of its own and, with each message to
each, decode it anew and look after database connections in another thread.)
"""

import asyncio
import logging
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


class Member(Protocol):
    """A socket. `deliver` neither waits nor raises."""

    def deliver(self, message: dict[str, Any]) -> None: ...


class GroupListener:
    """Used by one event loop alone."""

    def __init__(self) -> None:
        layer = get_channel_layer()
        assert layer is not None
        self._layer: Any = layer
        self._members: dict[str, set[Member]] = {}
        self._opening = asyncio.Lock()
        self._channel = ""
        self._receiving: asyncio.Task[None] | None = None

    async def join(self, group: str, member: Member) -> None:
        """After this, every message to the group reaches the member. Raises: redis.RedisError."""
        await self._open()
        self._members.setdefault(group, set()).add(member)
        await self._layer.group_add(group, self._channel)

    async def leave(self, group: str, member: Member) -> None:
        """Harmless when it is not in the group. Raises: redis.RedisError."""
        members = self._members.get(group, set())
        members.discard(member)
        if group in self._members and not members:
            del self._members[group]
            await self._layer.group_discard(group, self._channel)

    async def _open(self) -> None:
        async with self._opening:
            if self._receiving is None:
                self._channel = await self._layer.new_channel()
                self._receiving = asyncio.create_task(self._receive_all())

    async def _receive_all(self) -> None:
        while True:
            try:
                message = await self._layer.receive(self._channel)
                for member in tuple(self._members.get(message["group"], ())):
                    member.deliver(message)
            except Exception:
                # One message is lost, which the next one's number tells; without this task all would be.
                logger.exception("A message to the sockets could not be handed out.")


_listeners: "WeakKeyDictionary[asyncio.AbstractEventLoop, GroupListener]" = WeakKeyDictionary()


def group_listener() -> GroupListener:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    listener = _listeners.get(loop)
    if listener is None:
        listener = _listeners[loop] = GroupListener()
    return listener
