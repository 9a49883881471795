"""Which machines vmportal may be told to connect to, and by whom."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from hypervisors.models import Hypervisor, HypervisorPool

Place = Hypervisor | HypervisorPool | None


def place_to_manage(uri: str, on: Place) -> Place:
    """What one must be allowed to manage in order to connect to this URI as a host that is, or will be, `on`.

    Who manages one pool may not reach vmportal's own machine through it: the libvirt there asks for no credentials.
    """
    return None if _is_own_machine(uri) else on


def _is_own_machine(uri: str) -> bool:
    """By its socket, or by loopback, where libvirt may ask for as little."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return True
    if not host or host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
