"""What a person may do and on what, read of their role bindings; by this the models select what one may see.

A person's bindings are read by one query and kept on the `User` object, which lives as long as a request. Whatever
holds one for longer (sockets) reads them anew after a few seconds, and at once after a change by the same process.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User
from django.db import models
from django.db.models import Q
from django.db.models.signals import m2m_changed, post_delete, post_save

from hypervisors.models.access import Role, RoleBinding, Scope
from hypervisors.privileges import VIEW_PRIVILEGES, Privilege

# Whoever asks: a person, or somebody who is not signed in.
Requester = AbstractBaseUser | AnonymousUser
Rows = TypeVar("Rows", bound="models.QuerySet[Any]")

_KEPT_SECONDS = 5.0
_ATTRIBUTE = "_vmportal_rights"
# Raised by every change that this process makes to bindings, roles and groups.
_generation = 0


@dataclass(frozen=True, kw_only=True)
class Rights:
    """Privileges on everything, in hypervisor pools and on domains, the latter two by primary key."""

    everywhere: frozenset[str] = frozenset()
    in_pools: Mapping[int, frozenset[str]] = field(default_factory=dict)
    on_domains: Mapping[int, frozenset[str]] = field(default_factory=dict)

    @property
    def sees_everything(self) -> bool:
        """Whether one hears of every change."""
        return self.everywhere >= VIEW_PRIVILEGES

    def pools_with(self, privilege: Privilege) -> list[int]:
        return [pk for pk, privileges in self.in_pools.items() if privilege in privileges]

    def domains_with(self, privilege: Privilege) -> list[int]:
        return [pk for pk, privileges in self.on_domains.items() if privilege in privileges]

    def has_somewhere(self, privilege: Privilege) -> bool:
        return privilege in self.everywhere or bool(self.pools_with(privilege) or self.domains_with(privilege))


@dataclass(frozen=True, kw_only=True)
class _Kept:
    rights: Rights
    read_at: float
    generation: int


def rights_of(user: Requester) -> Rights:
    """Their own bindings' and their groups'; none for who is deactivated or not signed in."""
    if not isinstance(user, User) or not user.is_active or user.pk is None:
        return Rights()
    kept: _Kept | None = getattr(user, _ATTRIBUTE, None)
    if kept is None or kept.generation != _generation or time.monotonic() - kept.read_at > _KEPT_SECONDS:
        kept = _Kept(read_at=time.monotonic(), generation=_generation, rights=_read(user))
        setattr(user, _ATTRIBUTE, kept)
    return kept.rights


def forget_rights(*_arguments: Any, **_named: Any) -> None:
    """Whoever asks from now on is told by the database. A receiver of what changes rights."""
    global _generation
    _generation += 1


for _sender in (RoleBinding, Role, Group):
    post_save.connect(forget_rights, sender=_sender)
    post_delete.connect(forget_rights, sender=_sender)
m2m_changed.connect(forget_rights, sender=User.groups.through)


def select_permitted(user: Requester, privilege: Privilege, rows: Rows) -> Rows:
    """Those of the rows on which the person has the privilege."""
    rights = rights_of(user)
    if privilege in rights.everywhere:
        return rows.all()
    reach = _reach(rows.model, rights.pools_with(privilege), rights.domains_with(privilege))
    return rows.none() if reach is None else rows.filter(reach)


# From each model to the hypervisor pool that its objects belong to.
_POOL_OF = {
    "HypervisorPool": "pk",
    "Hypervisor": "hypervisor_pool",
    "Domain": "hypervisor__hypervisor_pool",
    "StoragePool": "hypervisor__hypervisor_pool",
    "SharedStorage": "hypervisor_pool",
    "Volume": "storage_pool__hypervisor__hypervisor_pool",
    "Network": "hypervisor__hypervisor_pool",
    "NetworkFilter": "hypervisor__hypervisor_pool",
    "NodeDevice": "hypervisor__hypervisor_pool",
    "HostSecret": "hypervisor__hypervisor_pool",
    "Operation": "domain__hypervisor__hypervisor_pool",
}
_DOMAIN_OF = {"Domain": "pk", "Operation": "domain"}


def _reach(model: type[models.Model], pools: list[int], domains: list[int]) -> Q | None:
    """Those in these pools and on these domains; None for none."""
    name = model.__name__
    reach = Q()
    if pools:
        reach |= Q(**{f"{_POOL_OF[name]}__in": pools})
    if pools and name == "Operation":
        reach |= Q(domain=None, hypervisor__hypervisor_pool__in=pools)
    if domains and name in _DOMAIN_OF:
        reach |= Q(**{f"{_DOMAIN_OF[name]}__in": domains})
    return reach or None


def affected_users(binding: RoleBinding) -> list[int]:
    """Whose rights a change of the binding concerns: its user, or the members of its group."""
    if binding.user_id is not None:
        return [binding.user_id]
    return list(User.objects.filter(groups=binding.group_id or 0).values_list("pk", flat=True))


def affected_members(instance: User | Group, pk_set: set[int] | None) -> list[int]:
    """Whose rights a change of memberships concerns: for receivers of m2m_changed, called before and after it."""
    if isinstance(instance, User):
        return [instance.pk]
    return sorted(pk_set) if pk_set else list(instance.user_set.values_list("pk", flat=True))


def bindings_of(user: User) -> "models.QuerySet[RoleBinding]":
    """Their own and their groups'."""
    groups = User.groups.through.objects.filter(user=user.pk).values("group")
    return RoleBinding.objects.filter(Q(user=user.pk) | Q(group__in=groups))


def _read(user: User) -> Rights:
    everywhere: set[str] = set()
    in_pools: dict[int, set[str]] = defaultdict(set)
    on_domains: dict[int, set[str]] = defaultdict(set)
    rows = bindings_of(user).order_by().values_list("scope", "hypervisor_pool", "domain", "role__privileges")
    for scope, pool_id, domain_id, privileges in rows:
        match scope:
            case Scope.EVERYTHING:
                everywhere.update(privileges)
            case Scope.HYPERVISOR_POOL:
                in_pools[pool_id].update(privileges)
            case Scope.DOMAIN:
                on_domains[domain_id].update(privileges)
    return Rights(everywhere=frozenset(everywhere), in_pools=_frozen(in_pools), on_domains=_frozen(on_domains))


def _frozen(sets: Mapping[int, set[str]]) -> dict[int, frozenset[str]]:
    return {pk: frozenset(privileges) for pk, privileges in sets.items()}
