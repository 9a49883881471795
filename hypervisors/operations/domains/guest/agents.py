"""What is asked of a guest's agent: common to the kinds. Whether an agent is there, the definition as it runs says."""

from django.utils.translation import gettext as _

from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import RUNNING, not_answering
from hypervisors.operations.domains.single_calls import SingleCall

_CHANNEL = "name='org.qemu.guest_agent.0'"


class GuestCall(SingleCall):
    """One call to the agent. The machine's page shows these in its part about the guest, not in the menu."""

    # Nothing in libvirt's state shows what a guest has done.
    can_be_seen = False
    # The agent itself has a minute.
    call_seconds = 75.0

    def is_offered(self, domain: Domain) -> bool:
        return False


def no_agent(domain: Domain) -> str:
    """As the watcher saw it last."""
    return "" if domain.has_guest_agent else _("No guest agent answers in it.")


def has_agent_channel(xml: str) -> bool:
    """Whether an agent could be connected to a machine of this definition."""
    return _CHANNEL in xml


AGENT_OBSTACLES = (RUNNING, not_answering, no_agent)
