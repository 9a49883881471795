"""Giving and taking roles: on everything and on pools by who manages people, on a domain by who may grant it."""

from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils.translation import gettext as _

from hypervisors.access import audit, can, require
from hypervisors.access.subjects import subject_of
from hypervisors.broadcast import Change, publish
from hypervisors.errors import NotPermitted, NotPossible
from hypervisors.models import Domain, HypervisorPool, Role, RoleBinding
from hypervisors.models.access import Scope
from hypervisors.models.rights import rights_of
from hypervisors.privileges import DOMAIN_PRIVILEGES, Privilege

Holder = User | Group
# What a role is given on; None is everything.
Place = HypervisorPool | Domain | None


def give_role(actor: User, *, role: Role, holder: Holder, on: Place) -> RoleBinding:
    """Give it, in place of the holder's other roles on the same object.

    Raises: errors.NotPermitted, errors.NotPossible.
    """
    _require_granting(actor, on, what="give a role")
    _check_role(actor, role, on)
    _check_holder(actor, holder, role, on)
    with transaction.atomic():
        before = _current(holder, on)
        binding = next((given for given in before if given.role_id == role.pk), None)
        if binding is None:
            binding = RoleBinding(role=role, granted_by=actor, **_columns(holder, on))
            binding.save()
        for other in before:
            if other.pk != binding.pk:
                other.delete()
        _keep_an_administrator(before)
        _note(actor, "give a role", holder, on, before=[given.role for given in before], after=[role])
    return binding


def take_roles(actor: User, *, holder: Holder, on: Place) -> None:
    """Take back what the holder has on this very object. Raises: errors.NotPermitted, errors.NotPossible."""
    _require_granting(actor, on, what="take a role back")
    _refuse_oneself(actor, holder, on)
    with transaction.atomic():
        before = _current(holder, on)
        for given in before:
            given.delete()
        _keep_an_administrator(before)
        if before:
            _note(actor, "take a role back", holder, on, before=[given.role for given in before], after=[])


def roles_for(actor: User, on: Place) -> list[Role]:
    """Those that the actor may give on it."""
    return [role for role in Role.objects.all() if not _obstacle(actor, role, on)]


def _require_granting(actor: User, on: Place, *, what: str) -> None:
    if isinstance(on, Domain):
        require(actor, Privilege.DOMAIN_GRANT, on, what=what)
    else:
        require(actor, Privilege.PEOPLE_MANAGE, None, what=what)


def _check_role(actor: User, role: Role, on: Place) -> None:
    obstacle = _obstacle(actor, role, on)
    if isinstance(obstacle, NotPermitted):
        subject = subject_of(on)
        audit.record(
            actor,
            "give a role",
            subject_type=subject.type,
            subject_key=subject.key,
            subject_name=subject.name,
            outcome="refused",
            detail=f"role {role.key}: more than the actor may give",
        )
    if obstacle is not None:
        raise obstacle


def _obstacle(actor: User, role: Role, on: Place) -> NotPermitted | NotPossible | None:
    privileges = set(role.privileges)
    if isinstance(on, Domain) and privileges - DOMAIN_PRIVILEGES:
        return NotPossible(_("“%(role)s” is not a role for one virtual machine.") % {"role": role.name})
    if isinstance(on, HypervisorPool) and privileges & {Privilege.PEOPLE_MANAGE, Privilege.AUDIT_VIEW}:
        return NotPossible(_("“%(role)s” is given on everything only.") % {"role": role.name})
    if not all(can(actor, Privilege(name), on) for name in privileges & set(Privilege)):
        text = _("“%(role)s” lets do more than you may yourself; you cannot give it.")
        return NotPermitted(text % {"role": role.name}, is_visible=True)
    return None


def _check_holder(actor: User, holder: Holder, role: Role, on: Place) -> None:
    _refuse_oneself(actor, holder, on)
    if isinstance(on, Domain) and isinstance(holder, User) and _has_anyway(holder, role, on):
        text = _("“%(name)s” may do all that anyway, by a role on everything or on the pool.")
        raise NotPossible(text % {"name": holder.username})


def _has_anyway(holder: User, role: Role, domain: Domain) -> bool:
    rights = rights_of(holder)
    pool_id = domain.hypervisor.hypervisor_pool_id if domain.hypervisor is not None else 0
    return rights.everywhere | rights.in_pools.get(pool_id, frozenset()) >= set(role.privileges)


def _refuse_oneself(actor: User, holder: Holder, on: Place) -> None:
    if on is None and isinstance(holder, User) and holder.pk == actor.pk:
        raise NotPossible(_("Your own role on everything is changed by another administrator."))


def require_an_administrator() -> None:
    """Raises: errors.NotPossible, which undoes the change, when nobody could manage people any more."""
    # Locked, so that two who take it from each other wait for one another.
    roles = [role.pk for role in Role.objects.select_for_update() if Privilege.PEOPLE_MANAGE in role.privileges]
    held = RoleBinding.objects.filter(scope=Scope.EVERYTHING, role__in=roles)
    if not (held.filter(user__is_active=True).exists() or held.filter(group__user__is_active=True).exists()):
        raise NotPossible(_("Nobody would be an administrator any more; make somebody else one first."))


def _keep_an_administrator(taken: list[RoleBinding]) -> None:
    if any(Privilege.PEOPLE_MANAGE in binding.role.privileges for binding in taken):
        require_an_administrator()


def _current(holder: Holder, on: Place) -> list[RoleBinding]:
    rows = RoleBinding.objects.filter(**_columns(holder, on)).select_related("role")
    return list(rows.select_for_update(of=("self",)))


def _columns(holder: Holder, on: Place) -> dict[str, Any]:
    return {
        "user": holder if isinstance(holder, User) else None,
        "group": holder if isinstance(holder, Group) else None,
        "hypervisor_pool": on if isinstance(on, HypervisorPool) else None,
        "domain": on if isinstance(on, Domain) else None,
        "scope": _scope(on),
    }


def _scope(on: Place) -> Scope:
    if isinstance(on, Domain):
        return Scope.DOMAIN
    return Scope.EVERYTHING if on is None else Scope.HYPERVISOR_POOL


def _note(actor: User, action: str, holder: Holder, on: Place, *, before: list[Role], after: list[Role]) -> None:
    """About whom it was given to; on what stands beside the role."""
    subject = subject_of(holder)
    place = subject_of(on)
    where = {"on": place.name, "type": place.type, "key": place.key} if on is not None else {"on": "everything"}
    audit.record(
        actor,
        action,
        subject_type=subject.type,
        subject_key=subject.key,
        subject_name=subject.name,
        before={"roles": sorted(role.name for role in before), **where},
        after={"roles": sorted(role.name for role in after), **where},
    )
    if isinstance(on, Domain):
        change = Change(what="role_binding", id=str(on.uuid), domain_uuid=str(on.uuid))
        transaction.on_commit(lambda: publish([change]))
