"""What is asked of a guest's agent: common to the kinds. Whether an agent is there, the definition as it runs says."""

from django.utils.translation import gettext as _

from hypervisors.models import Domain, DomainDefinition
from hypervisors.operations.domains.domain_operations import RUNNING, not_answering
from hypervisors.operations.domains.single_calls import SingleCall

_CHANNEL = "name='org.qemu.guest_agent.0'"
_CONNECTED = f"{_CHANNEL} state='connected'"


class GuestCall(SingleCall):
    """One call to the agent. The machine's page shows these in its part about the guest, not in the menu."""

    # Nothing in libvirt's state shows what a guest has done.
    can_be_seen = False
    # The agent itself has a minute.
    call_seconds = 75.0

    def is_offered(self, domain: Domain) -> bool:
        return False


def no_agent(domain: Domain) -> str:
    if domain.pk and not is_agent_connected(domain):
        return _("No guest agent answers in it.")
    return ""


def is_agent_connected(domain: Domain) -> bool:
    """As the watcher saw it last."""
    return DomainDefinition.objects.filter(domain=domain, live_xml__contains=_CONNECTED).exists()


def has_agent_channel(definition: DomainDefinition) -> bool:
    """Whether an agent could be connected, as it runs, else as it starts."""
    return _CHANNEL in (definition.live_xml or definition.inactive_xml).replace('"', "'")


AGENT_OBSTACLES = (RUNNING, not_answering, no_agent)
