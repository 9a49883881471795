"""What each kind of network is made of, https://libvirt.org/formatnetwork.html#connectivity."""

from dataclasses import dataclass

# Of interfaces that guests are plugged into without a bridge, https://libvirt.org/formatnetwork.html#using-a-macvtap.
MACVTAP_MODES = ("bridge", "vepa", "private", "passthrough")

# A network without addresses, for moments: guests' cards pass through it when they are plugged in again.
PASSING_PREFIX = "vmportal-replug-"

_ADDRESSED = ("addresses", "domain", "dns_forwarders", "mtu", "bandwidth", "isolates_ports")


@dataclass(frozen=True, kw_only=True)
class NetworkKind:
    """One kind. `fields` are names of NetworkSpec's, in the order in which people are asked for them."""

    name: str
    fields: tuple[str, ...]
    required: tuple[str, ...] = ()
    # What <forward mode> says; "" where there is none.
    forward_mode: str = ""
    # Whether libvirt makes its bridge, and gives it addresses.
    owns_bridge: bool = False
    takes_several_devices: bool = False


NETWORK_KINDS: dict[str, NetworkKind] = {
    one.name: one
    for one in (
        NetworkKind(
            name="nat",
            fields=("devices", "bridge", "nats_ipv6", *_ADDRESSED),
            required=("addresses",),
            forward_mode="nat",
            owns_bridge=True,
        ),
        NetworkKind(
            name="route",
            fields=("devices", "bridge", *_ADDRESSED),
            required=("addresses",),
            forward_mode="route",
            owns_bridge=True,
        ),
        NetworkKind(
            name="open",
            fields=("bridge", *_ADDRESSED),
            required=("addresses",),
            forward_mode="open",
            owns_bridge=True,
        ),
        NetworkKind(name="isolated", fields=("bridge", *_ADDRESSED), owns_bridge=True),
        NetworkKind(name="bridge", fields=("bridge",), required=("bridge",), forward_mode="bridge"),
        NetworkKind(
            name="macvtap",
            fields=("devices", "macvtap_mode"),
            required=("devices",),
            forward_mode="bridge",
            takes_several_devices=True,
        ),
        NetworkKind(name="hostdev", fields=("devices", "vlan_tags"), required=("devices",), forward_mode="hostdev"),
        NetworkKind(name="ovs", fields=("bridge", "vlan_tags"), required=("bridge",), forward_mode="bridge"),
    )
}
