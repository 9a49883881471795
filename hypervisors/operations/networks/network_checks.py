"""Whether a host can have a network beside those that it has, from rows, for pages and requests."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_interface

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.network_specs import NetworkSpec
from hypervisors.models import Hypervisor, Network


def why_taken(hypervisor: Hypervisor, spec: NetworkSpec, *, but: Network | None = None) -> str:
    """Why the host cannot have it beside the others; "" when it can. `but` is the one that is changed."""
    others = Network.objects.present().filter(hypervisor=hypervisor)
    if but is not None:
        others = others.exclude(pk=but.pk)
    elif others.filter(name=spec.name).exists():
        return _("%(host)s has a network called “%(name)s” already.") % {"host": hypervisor.name, "name": spec.name}
    rows = list(others.only("name", "bridge", "addresses", "kind"))
    return _bridge_taken(hypervisor, spec, rows, is_new=but is None) or _addresses_taken(hypervisor, spec, rows)


def why_no_device(hypervisor: Hypervisor, spec: NetworkSpec) -> str:
    """Why the host cannot lead it anywhere: an interface that it does not have, as far as is known."""
    known = hypervisor.interface_names
    if known is None or spec.type is None:
        return ""
    wanted = list(spec.devices)
    if not spec.type.owns_bridge and spec.bridge:
        wanted.append(spec.bridge)
    missing = next((name for name in wanted if name not in known), None)
    if missing is None:
        return ""
    return _("%(host)s has no interface called %(name)s.") % {"host": hypervisor.name, "name": missing}


def _bridge_taken(hypervisor: Hypervisor, spec: NetworkSpec, rows: list[Network], *, is_new: bool) -> str:
    if spec.type is None or not spec.type.owns_bridge or not spec.bridge:
        return ""
    values = {"host": hypervisor.name, "bridge": spec.bridge}
    holder = next((row for row in rows if row.bridge == spec.bridge), None)
    if holder is not None:
        return _("%(bridge)s is the bridge of the network “%(name)s” of %(host)s.") % {**values, "name": holder.name}
    if is_new and spec.bridge in (hypervisor.interface_names or ()):
        return _("%(host)s has an interface called %(bridge)s already.") % values
    return ""


def _addresses_taken(hypervisor: Hypervisor, spec: NetworkSpec, rows: list[Network]) -> str:
    wanted = [network for one in spec.addresses for network in _networks(one.address)]
    for row in rows:
        for text in row.addresses.split():
            for taken in _networks(text):
                if any(_overlap(one, taken) for one in wanted):
                    return _("The network “%(name)s” of %(host)s has %(addresses)s already: choose others.") % {
                        "name": row.name,
                        "host": hypervisor.name,
                        "addresses": str(taken),
                    }
    return ""


def _networks(text: str) -> Iterator[IPv4Network | IPv6Network]:
    """None for what is no address, as others may have defined."""
    try:
        yield ip_interface(text).network
    except ValueError:
        return


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
