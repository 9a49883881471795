"""Whether a hypervisor can be asked for anything now: from its row alone, in the operator's words."""

from django.utils.translation import gettext as _

from hypervisors.models import Hypervisor
from hypervisors.operations.engine.locks import clock
from hypervisors.states import HypervisorStatus


def why_unreachable(hypervisor: Hypervisor | None) -> str:
    """Why nothing can be asked of the hypervisor now; "" when it is online."""
    if hypervisor is None:
        return _("Its host was removed from vmportal.")
    values = {"host": hypervisor.name, "time": clock(hypervisor.seen_at or hypervisor.status_since)}
    if hypervisor.is_disabled:
        return _("%(host)s is disabled: vmportal leaves it alone.") % values
    match hypervisor.status:
        case HypervisorStatus.ONLINE:
            return ""
        case HypervisorStatus.CONNECTING if hypervisor.seen_at is None:
            return _("%(host)s has not been reached yet.") % values
        case HypervisorStatus.OFFLINE if hypervisor.seen_at is None:
            return _("%(host)s has not been reached yet.") % values
        case HypervisorStatus.STALE:
            return _("%(host)s has not answered since %(time)s.") % values
        case _:
            return _("%(host)s is offline; it was last seen at %(time)s.") % values
