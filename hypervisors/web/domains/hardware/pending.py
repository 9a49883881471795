"""The banner of what waits for a machine's next start, on every tab of its page."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.models import Domain
from hypervisors.operations.engine.registry import find_operation_type
from hypervisors.privileges import Privilege
from hypervisors.web.domains.hardware.listings import PendingLine, pending_lines
from hypervisors.web.domains.hardware.machines import hardware_of

_MOST_NAMED = 6


def pending_context(user: User | AnonymousUser, domain: Domain) -> dict[str, Any]:
    """For `domains/hardware/pending.html`. Of a machine that is off nothing waits, and nothing is asked."""
    machine = hardware_of(domain) if domain.is_active and domain.vanished_at is None else None
    lines = pending_lines(machine) if machine else []
    if not lines:
        return {"domain": domain, "pending": ()}
    may_revert = can(user, Privilege.DOMAIN_CONFIGURE, domain)
    return {
        "domain": domain,
        "pending": lines,
        "base_sha256": machine.base_sha256 if machine else "",
        "revert": _action(user, domain, "revert_pending") if may_revert else None,
        "revert_text": _revert_text(lines),
        "restart": _action(user, domain, "shut_down_and_start"),
    }


def _revert_text(lines: Sequence[PendingLine]) -> str:
    """What is lost, by name."""
    names = list(dict.fromkeys(f"{line.what} ({line.name})" if line.name else line.what for line in lines))
    shown = ", ".join(names[:_MOST_NAMED])
    more = _(" and %(count)d more") % {"count": len(names) - _MOST_NAMED} if len(names) > _MOST_NAMED else ""
    return _("It starts next time as it runs now. Thrown away: %(what)s.") % {"what": shown + more}


def _action(user: User | AnonymousUser, domain: Domain, kind: str) -> dict[str, Any] | None:
    """None for who may not ask for it."""
    found: Any = find_operation_type(kind)
    if found is None or not can(user, found.privilege, domain):
        return None
    return {"kind": kind, "label": found.label, "icon": found.icon, "reason": found.why_not(domain)}
