"""What networks' kinds and parts are called."""

from typing import Any

from django.utils.translation import gettext_lazy as _

KIND_LABELS: dict[str, Any] = {
    "nat": _("NAT"),
    "route": _("Routed"),
    "open": _("Open"),
    "isolated": _("Isolated"),
    "bridge": _("Bridge of the host"),
    "macvtap": _("Interface of the host (macvtap)"),
    "hostdev": _("SR-IOV virtual functions"),
    "ovs": _("Open vSwitch bridge"),
}
KIND_HINTS: dict[str, Any] = {
    "nat": _("Guests reach out through the host's address; nobody outside reaches them."),
    "route": _("The host routes between guests and the outside; routers there must know the way back."),
    "open": _("Like routed, but libvirt makes no firewall rules: they are yours."),
    "isolated": _("Guests reach one another and the host, nothing else."),
    "bridge": _("Guests are plugged into a bridge that the host has: they are in its network, like any machine."),
    "macvtap": _("Guests share an interface of the host directly; they do not reach the host itself."),
    "hostdev": _("Each guest gets a virtual function of a network card for itself."),
    "ovs": _("Guests are plugged into a bridge of Open vSwitch, on VLANs as you like."),
}
KIND_GROUPS = (
    (_("Made by libvirt"), ("nat", "route", "open", "isolated")),
    (_("What the host has"), ("bridge", "macvtap", "hostdev", "ovs")),
)
# By the names of NetworkSpec's fields, of what waits for a restart.
PART_LABELS: dict[str, Any] = {
    "kind": _("kind"),
    "name": _("name"),
    "bridge": _("bridge"),
    "devices": _("interfaces of the host"),
    "macvtap_mode": _("macvtap mode"),
    "addresses": _("addresses"),
    "nats_ipv6": _("NAT of IPv6"),
    "domain": _("domain"),
    "is_domain_local": _("domain"),
    "dns_forwarders": _("name servers"),
    "dns_hosts": _("names"),
    "port_groups": _("port groups"),
    "vlan_tags": _("VLANs"),
    "mtu": _("MTU"),
    "inbound": _("limits of traffic"),
    "outbound": _("limits of traffic"),
    "isolates_ports": _("isolation of guests"),
    "other": _("something in its XML"),
}


def kind_label(kind: str) -> str:
    return str(KIND_LABELS.get(kind, kind))


def part_labels(names: list[str]) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(str(PART_LABELS.get(name, name)) for name in names))
