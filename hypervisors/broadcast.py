"""Say what changed: group names, message types, and the way out to every browser that may know.

A message is `{"seq": n, "changes": [{"what", "id", "op", "fields"}, …]}`; `seq` counts per group, so that a browser
that misses one resynchronises. Sending never raises and never waits: whoever missed it sees the gap. Changes that come
fast leave together (see coalescing.py), as the text that goes to the browsers, so that it is made once for all of them.
"""

import asyncio
import json
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Literal

import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_out
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver

from hypervisors.access.audiences import Concern, audience_of
from hypervisors.coalescing import GroupQueue, Record
from hypervisors.models import RoleBinding
from hypervisors.models.rights import Requester, affected_members, affected_users, rights_of

logger = logging.getLogger(__name__)

# Samples and notes on rights that wait for Redis, at most. While it hangs, those beyond are given up.
_MOST_WAITING = 1000

# What those hear who see everything.
FLEET_GROUP = "fleet"


def user_group(user_id: int) -> str:
    """What one person hears who does not see everything: changes of what their roles let them see."""
    return f"user.{user_id}"


def changes_group(user: Requester) -> str:
    """The group whose changes this person hears."""
    return FLEET_GROUP if rights_of(user).sees_everything else user_group(user.pk or 0)


def rights_group(user_id: int) -> str:
    """Every open page of one person: it looks anew whether, and at what, it may still look."""
    return f"rights.{user_id}"


def usage_group(hypervisor_id: int) -> str:
    """The usage samples of one hypervisor and its domains; a consumer passes on those its browser shows."""
    return f"usage.{hypervisor_id}"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One object changed. `fields` are JSON values of the changed fields only, and whole for `add`.

    `id` is a domain's or operation's UUID, or the decimal primary key of the others. `domain_uuid` names the domain
    that an operation is on, for access; a domain change fills it by itself.
    """

    what: Literal[
        "domain",
        "hypervisor",
        "hypervisor_pool",
        "operation",
        "storage_pool",
        "volume",
        "network",
        "network_filter",
        "node_device",
        "secret",
        "role_binding",
    ]
    id: str
    op: Literal["add", "update", "remove"] = "update"
    fields: Mapping[str, Any] = field(default_factory=dict)
    domain_uuid: str = ""
    # Who hears of it in any case.
    person_id: int | None = None

    @property
    def concerns_domain(self) -> str:
        return self.id if self.what == "domain" else self.domain_uuid

    @property
    def concern(self) -> Concern:
        """Where it is, for access: `fields` names the "hypervisor" or "hypervisor_pool" of what is in one.

        An operation is seen by those who see its subject.
        """
        own = {self.what: int(self.id)} if self.what in ("hypervisor", "hypervisor_pool") else {}
        return Concern(
            what=self.fields.get("subject_type", "") if self.what == "operation" else self.what,
            person_id=self.person_id,
            domain_uuid=self.concerns_domain,
            hypervisor_id=own.get("hypervisor", self.fields.get("hypervisor")),
            hypervisor_pool_id=own.get("hypervisor_pool", self.fields.get("hypervisor_pool")),
        )


def publish(changes: Sequence[Change]) -> None:
    """Send the changes to those who see everything, and each to the others who may see it. Call after the commit."""
    if not changes:
        return
    _send(FLEET_GROUP, changes)
    for user_id, own in _changes_by_person(changes).items():
        _send(user_group(user_id), own)


def publish_rights(user_id: int) -> None:
    """What the person may see has changed, or a session of theirs is ending. Sent after the transaction's commit."""
    group = rights_group(user_id)
    transaction.on_commit(lambda: _loop().submit(_layer_send(group, {"type": "rights"})))


def publish_usage(
    hypervisor_id: int, *, sampled_at: float, host: Sequence[float | None], domains: Mapping[str, Any]
) -> None:
    """Send one tick of samples: epoch seconds, the host's values, and the values by domain UUID (see models.usage)."""
    message = {
        "type": "usage",
        "hypervisor": hypervisor_id,
        "at": sampled_at,
        # As JSON, so that a socket only picks what its page shows.
        "host": _json(list(host)),
        "domains": {uuid: _json(values) for uuid, values in domains.items()},
    }
    _loop().submit(_layer_send(usage_group(hypervisor_id), message))


async def read_sequence(group: str) -> int:
    """The number of the group's latest change. Raises: redis.RedisError."""
    loop = _loop()
    reading = asyncio.run_coroutine_threadsafe(loop.read_counter(_counter(group)), loop.loop)
    return await asyncio.wrap_future(reading)


def _send(group: str, changes: Sequence[Change]) -> None:
    _loop().add(group, [{"what": c.what, "id": c.id, "op": c.op, "fields": dict(c.fields)} for c in changes])


def _changes_by_person(changes: Sequence[Change]) -> dict[int, list[Change]]:
    by_person: dict[int, list[Change]] = defaultdict(list)
    try:
        audience = audience_of([change.concern for change in changes])
    except DatabaseError:
        logger.exception("Roles could not be read; the people concerned see these changes at their next reload.")
        return by_person
    for change, user_ids in zip(changes, audience, strict=True):
        for user_id in user_ids:
            by_person[user_id].append(change)
    return by_person


async def _numbered_send(group: str, records: list[Record], step: int) -> None:
    sequence = await _loop().counters.incrby(_counter(group), step)
    text = _json({"type": "changes", "seq": sequence, "changes": records})
    await _layer_send(group, {"type": "changes", "text": text})


async def _layer_send(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    assert layer is not None
    await layer.group_send(group, message | {"group": group})


def _counter(group: str) -> str:
    return f"vmportal:seq:{group}"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class _LoopThread:
    """One event loop in a thread of its own, so that synchronous callers share one set of Redis connections."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.counters = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3, health_check_interval=10
        )
        self._in_order = asyncio.Lock()
        self._queues: dict[str, GroupQueue] = {}
        self._lock = threading.Lock()
        self._waiting = 0
        threading.Thread(target=self.loop.run_forever, name="broadcast", daemon=True).start()

    def add(self, group: str, records: list[Record]) -> None:
        """Send the records as soon as may be."""
        self.loop.call_soon_threadsafe(self._add, group, records)

    def _add(self, group: str, records: list[Record]) -> None:
        if group not in self._queues:
            self._queues[group] = GroupQueue(partial(_numbered_send, group))
        self._queues[group].add(records)

    async def read_counter(self, name: str) -> int:
        return int(await self.counters.get(name) or 0)

    def submit(self, sending: Coroutine[Any, Any, None]) -> bool:
        """False when too many wait: it is given up."""
        with self._lock:
            if self._waiting >= _MOST_WAITING:
                sending.close()
                return False
            self._waiting += 1
        asyncio.run_coroutine_threadsafe(self._logged(sending), self.loop)
        return True

    async def _logged(self, sending: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._in_order:
                await sending
        except Exception as error:  # noqa: BLE001 - whatever Redis says, the sender goes on
            logger.warning("A message could not be broadcast: %s", error)
        finally:
            with self._lock:
                self._waiting -= 1


@lru_cache(maxsize=1)
def _loop_of(pid: int) -> _LoopThread:
    return _LoopThread()


def _loop() -> _LoopThread:
    """The loop of this process: a forked worker must not share its parent's."""
    return _loop_of(os.getpid())


# --- rights


@receiver(user_logged_out)
def _on_logout(sender: Any, user: User | None, **_: Any) -> None:
    if user is not None:
        publish_rights(user.pk)


@receiver([post_save, post_delete], sender=RoleBinding)
def _on_binding_changed(sender: Any, instance: RoleBinding, **_: Any) -> None:
    for user_id in affected_users(instance):
        publish_rights(user_id)


@receiver(m2m_changed, sender=User.groups.through)
def _on_membership_changed(sender: Any, instance: User | Group, pk_set: set[int] | None, **_: Any) -> None:
    for user_id in affected_members(instance, pk_set):
        publish_rights(user_id)


@receiver([post_save, post_delete], sender=User)
def _on_user_changed(sender: Any, instance: User, created: bool = False, **_: Any) -> None:
    if instance.pk and not created:
        publish_rights(instance.pk)
