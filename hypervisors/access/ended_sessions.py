"""Deactivating a person, or taking or replacing a role of theirs, ends their login sessions, whoever does it and how.

A new password does too: see administration/people.py, and one's own in web/people/accounts.py.
"""

from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.dispatch import receiver

from hypervisors.models.access import RoleBinding
from hypervisors.models.login_sessions import end_sessions
from hypervisors.models.rights import affected_members, affected_users


@receiver(post_save, sender=User)
def _on_user_saved(sender: Any, instance: User, created: bool, **_: Any) -> None:
    if not created and not instance.is_active:
        end_sessions([instance.pk])


@receiver(post_delete, sender=RoleBinding)
def _on_role_taken(sender: Any, instance: RoleBinding, origin: Any = None, **_: Any) -> None:
    # A role on a machine or a pool that is itself removed was not taken from anybody.
    model = origin.model if isinstance(origin, QuerySet) else type(origin)
    if model is RoleBinding:
        end_sessions(affected_users(instance))


@receiver(m2m_changed, sender=User.groups.through)
def _on_members_changed(
    sender: Any, action: str, instance: User | Group, pk_set: set[int] | None = None, reverse: bool = False, **_: Any
) -> None:
    if action in ("post_remove", "pre_clear"):
        end_sessions(affected_members(instance, pk_set))


@receiver(pre_delete, sender=Group)
def _on_group_removed(sender: Any, instance: Group, **_: Any) -> None:
    end_sessions(affected_members(instance, None))
