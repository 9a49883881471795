"""Who is put into a group and taken out of it, in the audit: roles of the group are theirs by that.

vmportal has no page for it; whoever does it does so in a shell, and stands there as nobody.
"""

from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models.signals import m2m_changed
from django.dispatch import receiver

from hypervisors.access import audit

_ACTIONS = {
    "post_add": "put into a group",
    "post_remove": "take out of a group",
    "pre_clear": "take out of a group",
}


@receiver(m2m_changed, sender=User.groups.through)
def _on_members_changed(
    sender: Any, action: str, instance: User | Group, pk_set: set[int] | None = None, **_: Any
) -> None:
    if action not in _ACTIONS:
        return
    for user, group in _pairs(instance, pk_set):
        audit.record(
            None,
            _ACTIONS[action],
            subject_type="person",
            subject_key=str(user.pk),
            subject_name=user.username,
            after={"group": group.name},
        )


def _pairs(instance: User | Group, pk_set: set[int] | None) -> list[tuple[User, Group]]:
    """`pk_set` is None when all go."""
    if isinstance(instance, User):
        groups = instance.groups.all() if pk_set is None else Group.objects.filter(pk__in=pk_set)
        return [(instance, group) for group in groups]
    users = instance.user_set.all() if pk_set is None else User.objects.filter(pk__in=pk_set)
    return [(user, instance) for user in users]
