"""Which frame a person's pages have: who sees no host has no inventory, and with a few machines cards, not a table."""

from functools import cached_property
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from hypervisors.access import can_somewhere
from hypervisors.models import Domain
from hypervisors.models.rights import Requester
from hypervisors.privileges import Privilege

# So many machines are seen at once, without a search or pages.
FEW_MACHINES = 12


def has_inventory(user: Requester) -> bool:
    """Whether the person sees hosts; who does not uses machines and nothing else."""
    return can_somewhere(user, Privilege.HYPERVISOR_VIEW)


def few_machines(user: Requester) -> list[Domain] | None:
    """All that they may see, by name, of a person without an inventory; None for more than a few, and for others."""
    if has_inventory(user):
        return None
    machines = list(Domain.objects.visible_to(user).present()[: FEW_MACHINES + 1])
    return machines if len(machines) <= FEW_MACHINES else None


def frame_for_templates(request: HttpRequest) -> dict[str, Any]:
    """`frame.classes` in templates: what the page's body says of its frame. A context processor."""
    return {"frame": _Frame(request)}


class _Frame:
    def __init__(self, request: HttpRequest) -> None:
        self._user: Requester = getattr(request, "user", AnonymousUser())

    @cached_property
    def has_inventory(self) -> bool:
        return has_inventory(self._user)

    @cached_property
    def classes(self) -> str:
        if self.has_inventory:
            return ""
        return " vp-simple" if few_machines(self._user) is None else " vp-simple vp-few"
