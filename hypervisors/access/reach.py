"""Which machines vmportal may be told to connect to, and by whom."""

from urllib.parse import urlsplit

from hypervisors.models import Hypervisor, HypervisorPool

Place = Hypervisor | HypervisorPool | None


def place_to_manage(uri: str, on: Place) -> Place:
    """What one must be allowed to manage in order to connect to this URI as a host that is, or will be, `on`.

    Who manages one pool may not reach vmportal's own machine through it: the libvirt there asks for no credentials.
    """
    try:
        is_own_machine = not urlsplit(uri).netloc
    except ValueError:
        is_own_machine = True
    return None if is_own_machine else on
