"""Tells every open page which hosts' rows are old: one look at the database for all sockets of a process."""

import asyncio
import contextlib
import json
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from hypervisors.live.groups import Member
from hypervisors.models.freshness import StaleHost, stale_hosts

LOOK_SECONDS = 3.0


class FreshnessTeller:
    """Used by one event loop alone. While nobody listens it does not look."""

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._looking: asyncio.Task[None] | None = None
        self._told: list[StaleHost] | None = None

    def join(self, member: Member) -> None:
        """The member, who takes nothing for old, is told what is known at once, and each change from now on."""
        self._members.add(member)
        if self._looking is None or self._looking.done():
            self._told = None
            self._looking = asyncio.create_task(self._look())
        elif self._told:
            member.deliver(_message(self._told))

    def leave(self, member: Member) -> None:
        """Harmless when it does not listen."""
        self._members.discard(member)
        if not self._members and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while True:
            # What is wrong with the database is told by the heartbeats.
            with contextlib.suppress(DatabaseError, OSError):
                self._tell(await database_sync_to_async(stale_hosts)())
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, stale: list[StaleHost]) -> None:
        if stale == (self._told or []):
            self._told = stale
            return
        self._told = stale
        message = _message(stale)
        for member in tuple(self._members):
            member.deliver(message)


def _message(stale: list[StaleHost]) -> dict[str, str]:
    hosts = {host.hypervisor_id: [host.since_epoch, host.why] for host in stale}
    return {"type": "freshness", "text": json.dumps({"type": "freshness", "stale": hosts}, separators=(",", ":"))}


_tellers: "WeakKeyDictionary[asyncio.AbstractEventLoop, FreshnessTeller]" = WeakKeyDictionary()


def freshness_teller() -> FreshnessTeller:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    teller = _tellers.get(loop)
    if teller is None:
        teller = _tellers[loop] = FreshnessTeller()
    return teller
