"""The leases by which any number of watchers share the hypervisor pools: each pool has one watcher at a time.

A lease is a row (models.watcher_leases) that runs out by the database's clock, so that the watchers' own clocks do not
matter. Its token is raised whenever it changes hands; the writer compares it inside the transaction that it writes in.
So a watcher that was frozen, and does not know it yet, writes nothing for a pool that another one has by then.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from hypervisors.models import HypervisorPool, WatcherLease
from hypervisors.models.instances import instance_id
from hypervisors.models.watcher_leases import HOUSEKEEPING, pool_lease_name

logger = logging.getLogger(__name__)

LEASE_SECONDS = 8
_RENEW_SECONDS = 2.0
# Who holds its share already leaves a free pool to the others for so long.
_YIELD_SECONDS = 2
# Pools are given up one at a time, so that the others have time to take each.
_GIVE_UP_SECONDS = 3.0
# When nobody took what was given up, the next try is after so long.
_NOBODY_TOOK_IT_SECONDS = 60.0
# PostgreSQL ends a transaction whose watcher says nothing for so long: frozen in the middle of one, it would hold its
# rows, the lease's among them, against its successor.
_IDLE_IN_TRANSACTION = "SET LOCAL idle_in_transaction_session_timeout = 5000"


@dataclass(frozen=True, kw_only=True)
class _Row:
    pk: int
    name: str
    hypervisor_pool_id: int | None
    holder: str
    token: int
    is_free: bool
    is_left: bool


class LeaseKeeper:
    """This watcher's leases. Used by the writer's thread; `is_sure` and `keeps_house` by any."""

    def __init__(
        self,
        holder: str = "",
        *,
        lease_seconds: float = LEASE_SECONDS,
        count_watchers: Callable[[], int] = lambda: 1,
    ) -> None:
        self.holder = holder or instance_id()
        self._lease = timedelta(seconds=lease_seconds)
        self._count_watchers = count_watchers
        # The token of each lease by the lease's name.
        self._tokens: dict[str, int] = {}
        self._pools: dict[int, str] = {}
        self._renewed_at = -math.inf
        self._given_up: set[str] = set()
        self._gives_up_at = time.monotonic() + _GIVE_UP_SECONDS

    @property
    def pools(self) -> dict[int, int]:
        """The hypervisor pools held, as far as this watcher knows, and each lease's token: a new one began anew."""
        return {pool: self._tokens[name] for pool, name in self._pools.items()}

    def is_sure(self) -> bool:
        """Whether nobody else can have them yet: they were renewed so lately, by a clock that runs on while frozen."""
        return time.monotonic() < self._renewed_at + self._lease.total_seconds()

    def keeps_house(self) -> bool:
        return HOUSEKEEPING in self._tokens and self.is_sure()

    def turn(self) -> None:
        """Renew what is held, take what is free, give up what is more than this watcher's share. Raises: DatabaseError.

        To be called every second; afterwards `pools` tells what is held now.
        """
        began = time.monotonic()
        if began - self._renewed_at >= _RENEW_SECONDS:
            self._leases().filter(holder=self.holder).update(renewed_at=Now(), expires_at=self._expiry())
        else:
            began = self._renewed_at
        self._make_missing()
        rows = self._read()
        self._note_held(rows)
        self._renewed_at = began
        self._take_free(rows)
        self._give_up_some(rows)

    def lost(self, pools: Iterable[int]) -> set[int]:
        """Those of the pools that are another's by now; the leases of the rest are kept until the transaction ends.

        Call in the transaction that writes for these pools. Raises: DatabaseError.
        """
        wanted = {self._pools[pool]: pool for pool in pools if pool in self._pools}
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(_IDLE_IN_TRANSACTION)
        found = dict(
            self._leases().select_for_update().filter(name__in=wanted, holder=self.holder).values_list("name", "token")
        )
        lost = {pool for name, pool in wanted.items() if found.get(name) != self._tokens[name]}
        for pool in lost:
            self._forget(self._pools[pool])
        return lost | (set(pools) - set(wanted.values()))

    def release(self) -> None:
        """Give all up at once, for the others to take. Raises: DatabaseError."""
        self._leases().filter(holder=self.holder).update(holder="", expires_at=Now())
        self._tokens.clear()
        self._pools.clear()

    def _leases(self) -> "QuerySet[WatcherLease]":
        return WatcherLease.objects.all()

    def _expiry(self) -> object:
        return Now() + self._lease

    def _make_missing(self) -> None:
        """A lease for every pool that has none, free for anybody to take."""
        names: dict[str, int | None] = {
            pool_lease_name(pk): pk
            for pk in HypervisorPool.objects.filter(watcher_lease=None).values_list("pk", flat=True)
        }
        if not self._tokens and not self._leases().filter(name=HOUSEKEEPING).exists():
            names[HOUSEKEEPING] = None
        if names:
            WatcherLease.objects.bulk_create(
                [WatcherLease(name=name, hypervisor_pool_id=pk, expires_at=Now()) for name, pk in names.items()],
                ignore_conflicts=True,
            )

    def _read(self) -> list[_Row]:
        now = Now()
        flags = {
            "is_free": _flag(Q(expires_at__lte=now)),
            "is_left": _flag(Q(expires_at__lte=now - timedelta(seconds=_YIELD_SECONDS))),
        }
        return [_Row(**row) for row in self._leases().annotate(**flags).values(*_Row.__dataclass_fields__)]

    def _note_held(self, rows: Iterable[_Row]) -> None:
        tokens = {row.name: row.token for row in rows if row.holder == self.holder}
        for name in [name for name, token in self._tokens.items() if tokens.get(name) != token]:
            logger.warning("The lease %s was lost.", name)
            self._forget(name)

    def _take_free(self, rows: list[_Row]) -> None:
        """First those that were left by others; what is free for long is taken whatever the share."""
        share = self._share(rows)
        for row in rows:
            if not row.is_free or row.name in self._tokens:
                continue
            if row.hypervisor_pool_id is not None and len(self._pools) >= share and not row.is_left:
                continue
            if self._take(row):
                logger.info("Took the lease %s%s.", row.name, f" of {row.holder}" if row.holder else "")
                self._tokens[row.name] = row.token + 1
                if row.name in self._given_up:
                    self._gives_up_at = time.monotonic() + _NOBODY_TOOK_IT_SECONDS
                if row.hypervisor_pool_id is not None:
                    self._pools[row.hypervisor_pool_id] = row.name

    def _take(self, row: _Row) -> bool:
        free = self._leases().filter(pk=row.pk, token=row.token, expires_at__lte=Now())
        return bool(
            free.update(
                holder=self.holder,
                token=F("token") + 1,
                acquired_at=Now(),
                renewed_at=Now(),
                expires_at=self._expiry(),
            )
        )

    def _give_up_some(self, rows: list[_Row]) -> None:
        now = time.monotonic()
        if len(self._pools) < 2 or now < self._gives_up_at:
            return
        self._gives_up_at, self._given_up = now + _GIVE_UP_SECONDS, set()
        if len(self._pools) <= self._share(rows):
            return
        # The newest: of the oldest this watcher knows most.
        name = next(reversed(self._pools.values()))
        mine = self._leases().filter(name=name, holder=self.holder, token=self._tokens[name])
        mine.update(holder="", expires_at=Now())
        self._given_up = {name}
        logger.info("Gave up the lease %s: this watcher held more than its share.", name)
        self._forget(name)

    def _share(self, rows: list[_Row]) -> int:
        """How many pools fall to each watcher."""
        return math.ceil(sum(row.hypervisor_pool_id is not None for row in rows) / max(1, self._count_watchers()))

    def _forget(self, name: str) -> None:
        self._tokens.pop(name, None)
        self._pools = {pool: held for pool, held in self._pools.items() if held != name}


def _flag(condition: Q) -> "ExpressionWrapper[Any]":
    return ExpressionWrapper(condition, output_field=BooleanField())
