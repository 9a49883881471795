"""Kicks: tell every console proxy to close sessions, over Redis pub/sub.

A kick matches the sessions that fit all its criteria. With `if_denied`, each of those is closed only when its user
may not have it any more. A kick that gets lost is made good by the proxies' own check every half minute.
"""

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import redis
from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest

from hypervisors.models.access import RoleBinding
from hypervisors.models.consoles.grants import hash_session
from hypervisors.models.consoles.redis import console_redis
from hypervisors.models.domains import Domain
from hypervisors.models.hypervisors import Hypervisor
from hypervisors.models.rights import affected_members, affected_users

logger = logging.getLogger(__name__)

KICK_CHANNEL = "vmportal:console:kick"
# Websocket close codes, of the range for applications' own use.
KICKED = 4001
MOVED = 4002


@dataclass(frozen=True, kw_only=True)
class ConsoleKick:
    """Which sessions to close, and the close code they get. `session` is `hash_session` of a login session, `viewer`
    the name of a single console.
    """

    domain: str = ""
    session: str = ""
    user: int | None = None
    hypervisor: int | None = None
    viewer: str = ""
    code: int = KICKED
    reason: str = ""
    if_denied: bool = False

    @property
    def criteria(self) -> dict[str, Any]:
        """Those that were given."""
        given = {name: getattr(self, name) for name in ("domain", "session", "user", "hypervisor", "viewer")}
        return {name: value for name, value in given.items() if value not in ("", None)}


def kick_consoles(kick: ConsoleKick) -> None:
    """Send it, after the transaction's commit. Never raises: what Redis does not carry, the proxies find out."""
    transaction.on_commit(lambda: _publish(kick))


def kick_moved(domain_uuid: UUID, *, from_hypervisor_id: int) -> None:
    """The domain has left that hypervisor: those who still look at it there reconnect at once."""
    kick_consoles(ConsoleKick(domain=str(domain_uuid), hypervisor=from_hypervisor_id, code=MOVED))


def parse_kick(message: bytes) -> ConsoleKick:
    """The kick that was sent. Raises: ValueError, TypeError."""
    kick = ConsoleKick(**json.loads(message))
    if not kick.criteria:
        raise ValueError("A kick without criteria would close every console.")
    return kick


def _publish(kick: ConsoleKick) -> None:
    try:
        console_redis().publish(KICK_CHANNEL, json.dumps(asdict(kick)))
    except redis.RedisError:
        logger.warning("Redis is away: a console kick was not sent.")


@receiver(user_logged_out)
def _on_logout(sender: Any, request: HttpRequest | None, user: User | None, **_: Any) -> None:
    session_key = getattr(getattr(request, "session", None), "session_key", None)
    if session_key:
        kick_consoles(ConsoleKick(session=hash_session(session_key), reason="logged out"))


@receiver([post_save, post_delete], sender=RoleBinding)
def _on_binding_changed(sender: Any, instance: RoleBinding, **_: Any) -> None:
    # Of a domain that is being deleted with its bindings, only the user is known: all their sessions are checked.
    uuid = Domain.objects.filter(pk=instance.domain_id or 0).values_list("uuid", flat=True).first()
    for user_id in affected_users(instance):
        kick_consoles(ConsoleKick(user=user_id, domain=str(uuid or ""), if_denied=True))


@receiver(m2m_changed, sender=User.groups.through)
def _on_membership_changed(sender: Any, instance: User | Group, pk_set: set[int] | None, **_: Any) -> None:
    for user_id in affected_members(instance, pk_set):
        kick_consoles(ConsoleKick(user=user_id, if_denied=True))


@receiver([post_save, post_delete], sender=User)
def _on_user_changed(sender: Any, instance: User, created: bool = False, **_: Any) -> None:
    if instance.pk and not created:
        kick_consoles(ConsoleKick(user=instance.pk, if_denied=True))


@receiver(post_delete, sender=Hypervisor)
def _on_hypervisor_removed(sender: Any, instance: Hypervisor, **_: Any) -> None:
    kick_consoles(ConsoleKick(hypervisor=instance.pk, reason="the host was removed"))
