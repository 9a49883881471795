"""What is said to one group: at once while it is little, together once it is much. See docs/decisions/0009."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

logger = logging.getLogger(__name__)

# {"what", "id", "op", "fields"}: a broadcast.Change as JSON values.
Record = dict[str, Any]

# So many messages leave at once; then one in each period, with all that came meanwhile.
BURST_MESSAGES = 10
PERIOD_SECONDS = 0.1
# From so many waiting changes on, those of one object become one; beyond the second number they are given up.
MERGED_FROM = 256
MOST_WAITING = 5000


def merged(records: Iterable[Record]) -> list[Record]:
    """Fewer records that end in the same: updates of one object become one, at the last one's place.

    An `add` or a `remove` stays, and parts the updates before it from those after it.
    """
    kept: list[Record | None] = []
    places: dict[tuple[str, str], int] = {}
    for record in records:
        key = (record["what"], record["id"])
        before = kept[places[key]] if key in places else None
        if before is not None and before["op"] == record["op"] == "update":
            kept[places[key]] = None
            record = record | {"fields": before["fields"] | record["fields"]}
        places[key] = len(kept)
        kept.append(record)
    return [record for record in kept if record is not None]


class GroupQueue:
    """What waits to be sent to one group, in order. Used by one event loop's thread alone."""

    def __init__(self, send: Callable[[list[Record], int], Awaitable[None]]) -> None:
        """`send` gets the records and by how much the group's number grows: 2 leaves a gap after a loss."""
        self._send = send
        self._waiting: list[Record] = []
        self._merge_at = MERGED_FROM
        self._credit, self._credited_at = float(BURST_MESSAGES), 0.0
        self._has_loss = False
        self._sending: asyncio.Task[None] | None = None

    def add(self, records: Iterable[Record]) -> None:
        self._waiting += records
        if len(self._waiting) >= self._merge_at:
            self._make_fewer()
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    def _make_fewer(self) -> None:
        self._waiting = merged(self._waiting)
        if len(self._waiting) > MOST_WAITING:
            logger.warning("%d changes were given up: they could not be broadcast in time.", len(self._waiting))
            self._waiting.clear()
            self._has_loss = True
        # Twice as many must have come before it is worth another look.
        self._merge_at = max(MERGED_FROM, 2 * len(self._waiting))

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                if wait_seconds := self._spend_credit():
                    await asyncio.sleep(wait_seconds)
                records, self._waiting, self._merge_at = self._waiting, [], MERGED_FROM
                await self._send_logged(records)
        finally:
            self._sending = None

    def _spend_credit(self) -> float:
        """The seconds until the next message may leave."""
        now = asyncio.get_running_loop().time()
        credit = min(BURST_MESSAGES, self._credit + (now - self._credited_at) / PERIOD_SECONDS) - 1
        self._credit, self._credited_at = credit, now
        return max(0.0, -credit * PERIOD_SECONDS)

    async def _send_logged(self, records: list[Record]) -> None:
        if not records:
            return
        # A number is left out after a message that was lost: only so do those who should have had it see the gap.
        step = 2 if self._has_loss else 1
        self._has_loss = False
        try:
            await self._send(records, step)
        except BaseException as error:
            self._has_loss = True
            if not isinstance(error, Exception):
                raise
            # Whatever Redis says, the sender goes on; receivers see the gap.
            logger.warning("A change could not be broadcast: %s", error)
