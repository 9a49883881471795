"""Django's own flags of an account, `is_superuser` and `is_staff`, kept in step with the roles.

An account that is made with a flag, as `createsuperuser` does, gets the role. From then on the roles decide, and the
flags follow: setting a flag later gives nobody a right, and nothing else reads them.
"""

from typing import Any

from django.contrib.auth.models import User
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from hypervisors.models.access import Role, RoleBinding, Scope
from hypervisors.models.stock_roles import ADMINISTRATOR, OPERATOR


@receiver(post_save, sender=User)
def _on_account_made(sender: Any, instance: User, created: bool, raw: bool = False, **_: Any) -> None:
    key = ADMINISTRATOR if instance.is_superuser else OPERATOR if instance.is_staff else ""
    if created and key and not raw:
        RoleBinding.objects.create(user=instance, role=Role.objects.get(key=key), scope=Scope.EVERYTHING)


@receiver([post_save, post_delete], sender=RoleBinding)
def _on_binding_changed(sender: Any, instance: RoleBinding, **_: Any) -> None:
    if instance.user_id is not None:
        everywhere = RoleBinding.objects.filter(user=instance.user_id, scope=Scope.EVERYTHING)
        keys = set(everywhere.values_list("role__key", flat=True))
        User.objects.filter(pk=instance.user_id).update(
            is_superuser=ADMINISTRATOR in keys, is_staff=bool(keys & {ADMINISTRATOR, OPERATOR})
        )
