"""What all kinds that change a machine's hardware share."""

from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import DomainOperation, Reason, needs_state, not_answering, saved
from hypervisors.privileges import Privilege
from hypervisors.states import DomainState

_CHANGEABLE = needs_state(
    {
        DomainState.RUNNING,
        DomainState.BLOCKED,
        DomainState.PAUSED,
        DomainState.SHUTOFF,
        DomainState.PMSUSPENDED,
    }
)


class HardwareChange(DomainOperation):
    """Base of those kinds. The hardware page offers them, no menu does."""

    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles: tuple[Reason, ...] = (_CHANGEABLE, saved, not_answering)

    def is_offered(self, domain: Domain) -> bool:
        return False
