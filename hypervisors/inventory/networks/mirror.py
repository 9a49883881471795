"""The mirror of virtual networks."""

from typing import Any

from hypervisors.gateway.networks.networks import NetworkFacts
from hypervisors.inventory.host_objects import HostObjectMirror
from hypervisors.models import Network


def network_mirror() -> HostObjectMirror[Network, NetworkFacts]:
    return HostObjectMirror(Network, _columns, what="network")


def _columns(facts: NetworkFacts) -> dict[str, Any]:
    return {
        "uuid": facts.uuid,
        "name": facts.name[:255],
        "active": facts.active,
        "autostart": facts.autostart,
        "forward_mode": facts.forward_mode[:20],
        "bridge": facts.bridge[:50],
        "addresses": " ".join(facts.addresses)[:500],
    }
