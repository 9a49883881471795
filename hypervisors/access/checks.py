"""The questions: may this person do this to that, to which of these, and refuse them if not."""

from typing import Any, TypeVar

from django.db import models
from django.utils.translation import gettext as _

from hypervisors.access import audit
from hypervisors.access.subjects import subject_of
from hypervisors.errors import NotPermitted
from hypervisors.models import (
    Domain,
    HostSecret,
    Hypervisor,
    HypervisorPool,
    Network,
    NetworkFilter,
    NodeDevice,
    Operation,
    SharedStorage,
    StoragePool,
    Volume,
)
from hypervisors.models.rights import Requester, rights_of, select_permitted
from hypervisors.privileges import Privilege

Rows = TypeVar("Rows", bound="models.QuerySet[Any]")

# What lets one see an object, by the noun of the privilege that was asked for.
_VIEWS = {
    "domain": Privilege.DOMAIN_VIEW,
    "hypervisor": Privilege.HYPERVISOR_VIEW,
    "storage": Privilege.STORAGE_VIEW,
    "network": Privilege.NETWORK_VIEW,
}


def can(user: Requester, privilege: Privilege, obj: models.Model | None = None) -> bool:
    """Whether the person has the privilege on the object; without one, on everything.

    Costs one query for each user object, and that for the object's pool if it is not loaded and matters.
    """
    rights = rights_of(user)
    if privilege in rights.everywhere:
        return True
    if obj is None:
        return False
    domain_id = _domain_id(obj)
    if domain_id is not None and privilege in rights.on_domains.get(domain_id, ()):
        return True
    pools = rights.pools_with(privilege)
    return bool(pools) and _pool_id(obj) in pools


def can_somewhere(user: Requester, privilege: Privilege) -> bool:
    """Whether the person has the privilege on anything at all."""
    return rights_of(user).has_somewhere(privilege)


def permitted(user: Requester, privilege: Privilege, queryset: Rows) -> Rows:
    """Those of the rows on which the person has the privilege. Works for whatever `can` works for."""
    return select_permitted(user, privilege, queryset)


def require(user: Requester, privilege: Privilege, obj: models.Model | None, *, what: str) -> None:
    """Let the person pass who `can`; record the refusal of anybody else. `what` is the audit's action: "start".

    Raises: errors.NotPermitted, which also says whether they may know that the object exists.
    """
    if can(user, privilege, obj):
        return
    subject = subject_of(obj)
    audit.record(
        user,
        what,
        subject_type=subject.type,
        subject_key=subject.key,
        subject_name=subject.name,
        outcome="refused",
        detail=f"needs {privilege}",
    )
    if not may_see(user, privilege, obj):
        raise NotPermitted(_("There is nothing here that you may see."), is_visible=False)
    if obj is None:
        raise NotPermitted(_("Your role does not allow this: %(what)s.") % {"what": what}, is_visible=True)
    text = _("You may see “%(name)s”, but your role does not allow this: %(what)s.")
    raise NotPermitted(text % {"name": subject.name, "what": what}, is_visible=True)


def require_somewhere(user: Requester, privilege: Privilege, *, what: str) -> None:
    """The same for what is about no object yet: whoever has the privilege on anything passes."""
    if not can_somewhere(user, privilege):
        require(user, privilege, None, what=what)


def may_see(user: Requester, privilege: Privilege, obj: models.Model | None) -> bool:
    """Whether who lacks the privilege may at least know of the object, or of such objects when it is None."""
    noun = privilege.partition(".")[0]
    view = Privilege.DOMAIN_VIEW if _domain_id(obj) is not None else _VIEWS.get(noun)
    if view is None:
        return False
    return can_somewhere(user, view) if obj is None else can(user, view, obj)


def _domain_id(obj: models.Model | None) -> int | None:
    if isinstance(obj, Domain):
        return obj.pk
    return obj.domain_id if isinstance(obj, Operation) else None


def _pool_id(obj: models.Model | None) -> int | None:
    """Of the hypervisor pool that it belongs to; None for a domain that is on no host any more."""
    match obj:
        case None:
            return None
        case HypervisorPool():
            return obj.pk
        case Hypervisor() | SharedStorage():
            return obj.hypervisor_pool_id
        case Operation():
            return _pool_id(obj.domain or obj.hypervisor)
        case Domain() | StoragePool() | Network() | NetworkFilter() | NodeDevice() | HostSecret():
            return _pool_id(obj.hypervisor)
        case Volume():
            return _pool_id(obj.storage_pool)
        case _:
            raise TypeError(f"Nobody has rights on a {obj._meta.object_name}.")
