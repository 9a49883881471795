"""Giving roles in tests, straight into the tables."""

from django.contrib.auth.models import Group, User

from hypervisors.models import Domain, HypervisorPool, Role, RoleBinding
from hypervisors.models.access import Scope


def bind(
    holder: User | Group, key: str, on: Domain | HypervisorPool | None = None, *, granted_by: User | None = None
) -> RoleBinding:
    """Give the stock role of this key on everything, or on the pool or domain."""
    scope = Scope.EVERYTHING if on is None else Scope.DOMAIN if isinstance(on, Domain) else Scope.HYPERVISOR_POOL
    return RoleBinding.objects.create(
        user=holder if isinstance(holder, User) else None,
        group=holder if isinstance(holder, Group) else None,
        role=Role.objects.get(key=key),
        scope=scope,
        domain=on if isinstance(on, Domain) else None,
        hypervisor_pool=on if isinstance(on, HypervisorPool) else None,
        granted_by=granted_by,
    )
