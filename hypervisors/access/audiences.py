"""Who, beside those who see everything, may see a change: asked for each message that goes to browsers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q

from hypervisors.models import Domain, Hypervisor, RoleBinding
from hypervisors.models.access import Scope
from hypervisors.privileges import VIEW_PRIVILEGES, Privilege

# What lets one see a change of each kind; of others, only who sees everything hears.
_VIEWS = {
    "domain": Privilege.DOMAIN_VIEW,
    "role_binding": Privilege.DOMAIN_GRANT,
    "hypervisor": Privilege.HYPERVISOR_VIEW,
    "hypervisor_pool": Privilege.HYPERVISOR_VIEW,
    "storage_pool": Privilege.STORAGE_VIEW,
    "volume": Privilege.STORAGE_VIEW,
    "network": Privilege.NETWORK_VIEW,
    "network_filter": Privilege.NETWORK_VIEW,
    "node_device": Privilege.HYPERVISOR_VIEW,
    "secret": Privilege.STORAGE_MANAGE,
}
# A scope and the primary key or UUID of its object.
_Place = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Concern:
    """What a change is about: its kind, and where it is, as far as the sender knows."""

    what: str
    domain_uuid: str = ""
    hypervisor_id: int | None = None
    hypervisor_pool_id: int | None = None
    # Who asked for it, where nothing else says who may see it.
    person_id: int | None = None


def audience_of(concerns: Sequence[Concern]) -> list[set[int]]:
    """For each change the ids of the people who may see it; those who see everything are left out.

    One query; while there are roles on pools, two more at most.
    """
    held = _held({concern.domain_uuid for concern in concerns} - {""})
    places = _places(concerns, looks_up_pools=any(scope == Scope.HYPERVISOR_POOL for scope, _key in held))
    return [_audience(concern, held, places[concern]) for concern in concerns]


def _audience(concern: Concern, held: dict[_Place, dict[int, set[str]]], places: list[_Place]) -> set[int]:
    # An operation's change is for those who may see its domain.
    privilege = _VIEWS.get(concern.what, Privilege.DOMAIN_VIEW if concern.domain_uuid else None)
    audience = {user_id for place in places for user_id, has in held.get(place, {}).items() if privilege in has}
    return audience if concern.person_id is None else audience | {concern.person_id}


def _held(domain_uuids: Iterable[str]) -> dict[_Place, dict[int, set[str]]]:
    """Privileges by place and person, from the bindings on these domains and on everything larger."""
    held: dict[_Place, dict[int, set[str]]] = {}
    bindings = RoleBinding.objects.filter(Q(domain__isnull=True) | Q(domain__uuid__in=list(domain_uuids)))
    rows = bindings.order_by().values_list(
        "scope", "hypervisor_pool", "domain__uuid", "user", "group__user", "role__privileges"
    )
    for scope, pool_id, uuid, user_id, member_id, privileges in rows:
        person = user_id or member_id
        if person is None or (scope == Scope.EVERYTHING and set(privileges) >= VIEW_PRIVILEGES):
            continue
        held.setdefault((scope, str(pool_id or uuid or "")), {}).setdefault(person, set()).update(privileges)
    return held


def _places(concerns: Sequence[Concern], *, looks_up_pools: bool) -> dict[Concern, list[_Place]]:
    """Where bindings would cover each change. What is gone, or on no host, is in no pool."""
    pools = _pools(concerns) if looks_up_pools else {}
    places: dict[Concern, list[_Place]] = {}
    for concern in concerns:
        pool = concern.hypervisor_pool_id or pools.get(concern.domain_uuid) or pools.get(concern.hypervisor_id)
        places[concern] = [
            (Scope.EVERYTHING, ""),
            (Scope.HYPERVISOR_POOL, str(pool)),
            (Scope.DOMAIN, concern.domain_uuid),
        ]
    return places


def _pools(concerns: Sequence[Concern]) -> dict[str | int | None, int]:
    """The hypervisor pool by domain UUID and by hypervisor id."""
    uuids = {concern.domain_uuid for concern in concerns} - {""}
    hosts = {c.hypervisor_id for c in concerns if c.hypervisor_id is not None and not c.domain_uuid}
    found: dict[str | int | None, int] = {}
    if uuids:
        domains = Domain.objects.filter(uuid__in=uuids, hypervisor__isnull=False).order_by()
        found |= {str(uuid): pool for uuid, pool in domains.values_list("uuid", "hypervisor__hypervisor_pool")}
    if hosts:
        found |= dict(Hypervisor.objects.filter(pk__in=hosts).order_by().values_list("pk", "hypervisor_pool"))
    return found
