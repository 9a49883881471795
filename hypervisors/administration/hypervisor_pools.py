"""Hypervisor pools: adding, changing and removing them."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from hypervisors.access import audit, require
from hypervisors.broadcast import Change, publish
from hypervisors.errors import Conflict
from hypervisors.models import HypervisorPool
from hypervisors.privileges import Privilege


def require_managing_pool(actor: User, pool: HypervisorPool | None, *, what: str = "change a pool") -> None:
    """Raises: errors.NotPermitted."""
    require(actor, Privilege.HYPERVISOR_MANAGE, pool, what=what)


def add_hypervisor_pool(actor: User, *, name: str, description: str = "") -> HypervisorPool:
    """Raises: errors.NotPermitted, django.db.IntegrityError for a name that is taken."""
    require_managing_pool(actor, None, what="add a pool")
    with transaction.atomic():
        pool = HypervisorPool.objects.create(name=name, description=description)
        _tell(Change(what="hypervisor_pool", id=str(pool.pk), op="add", fields=_values(pool)))
        audit.record_change(actor, "add a pool", pool, after=_values(pool))
    return pool


def change_hypervisor_pool(actor: User, pool_id: int, *, name: str, description: str) -> HypervisorPool:
    """Raises: errors.NotPermitted, HypervisorPool.DoesNotExist, django.db.IntegrityError for a name that is taken."""
    pool = HypervisorPool.objects.get(pk=pool_id)
    require_managing_pool(actor, pool)
    before = _values(pool)
    with transaction.atomic():
        pool.name, pool.description = name, description
        pool.save(update_fields=["name", "description"])
        _tell(Change(what="hypervisor_pool", id=str(pool.pk), fields=_values(pool)))
        audit.record_change(actor, "change a pool", pool, before=before, after=_values(pool))
    return pool


def remove_hypervisor_pool(actor: User, pool: HypervisorPool) -> None:
    """Raises: errors.NotPermitted, errors.Conflict while it has hypervisors."""
    require_managing_pool(actor, pool, what="remove a pool")
    with transaction.atomic():
        if pool.hypervisors.exists():
            raise Conflict(_("“%(name)s” has hosts; remove or move them first.") % {"name": pool.name})
        _tell(Change(what="hypervisor_pool", id=str(pool.pk), op="remove"))
        audit.record_change(actor, "remove a pool", pool, before=_values(pool))
        pool.delete()


def _values(pool: HypervisorPool) -> dict[str, str]:
    return {"name": pool.name, "description": pool.description}


def _tell(change: Change) -> None:
    transaction.on_commit(lambda: publish([change]))
