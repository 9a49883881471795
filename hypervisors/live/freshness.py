"""Tells every open page which hosts' rows are old, and which of our own processes do not answer.

One look at the database and at Redis for all sockets of a process.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from hypervisors.live.groups import Member
from hypervisors.models.freshness import StaleHost, stale_hosts
from hypervisors.models.silence import SilenceWatch

LOOK_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is not as it should be; of each silent part, the epoch seconds since when."""

    stale: tuple[StaleHost, ...] = ()
    silent: tuple[tuple[str, int], ...] = ()

    @property
    def message(self) -> dict[str, str]:
        hosts = {host.hypervisor_id: [host.since_epoch, host.why] for host in self.stale}
        told = {"type": "freshness", "stale": hosts, "silent": dict(self.silent)}
        return {"type": "freshness", "text": json.dumps(told, separators=(",", ":"))}


_ALL_IS_WELL = _Known()


class FreshnessTeller:
    """Used by one event loop alone. While nobody listens it does not look."""

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._looking: asyncio.Task[None] | None = None
        self._silence = SilenceWatch()
        self._known = _ALL_IS_WELL

    def join(self, member: Member) -> None:
        """The member, who takes nothing for old, is told what is known at once, and each change from now on."""
        self._members.add(member)
        if self._looking is None or self._looking.done():
            self._known = _ALL_IS_WELL
            self._looking = asyncio.create_task(self._look())
        elif self._known != _ALL_IS_WELL:
            member.deliver(self._known.message)

    def leave(self, member: Member) -> None:
        """Harmless when it does not listen."""
        self._members.discard(member)
        if not self._members and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while True:
            silent = tuple((await asyncio.to_thread(self._silence.look)).items())
            stale = self._known.stale
            # What is wrong with the database is told by the heartbeats.
            with contextlib.suppress(DatabaseError, OSError):
                stale = tuple(await database_sync_to_async(stale_hosts)())
            self._tell(_Known(stale=stale, silent=silent))
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, known: _Known) -> None:
        if known == self._known:
            return
        self._known = known
        for member in tuple(self._members):
            member.deliver(known.message)


_tellers: "WeakKeyDictionary[asyncio.AbstractEventLoop, FreshnessTeller]" = WeakKeyDictionary()


def freshness_teller() -> FreshnessTeller:
    """That of the running event loop."""
    loop = asyncio.get_running_loop()
    teller = _tellers.get(loop)
    if teller is None:
        teller = _tellers[loop] = FreshnessTeller()
    return teller
