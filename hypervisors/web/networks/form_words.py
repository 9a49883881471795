"""What the fields of a network's form are called, and what is said beside them."""

from typing import Any

from django.utils.translation import gettext_lazy as _

LABELS: dict[tuple[str, str], Any] = {
    ("bridge", "bridge"): _("Bridge of the host"),
    ("ovs", "bridge"): _("Open vSwitch bridge"),
    ("macvtap", "devices"): _("Interfaces of the host"),
    ("hostdev", "devices"): _("Network card (physical function)"),
    ("nat", "devices"): _("Only out by this interface"),
    ("route", "devices"): _("Only out by this interface"),
}
HINTS: dict[tuple[str, str], Any] = {
    ("nat", "devices"): _("Empty for whichever way the host's routes lead."),
    ("route", "devices"): _("Empty for whichever way the host's routes lead."),
    ("macvtap", "devices"): _("Several, separated by commas: guests are spread over them."),
    ("ovs", "vlan_tags"): _("Several, separated by commas, make a trunk."),
}
HINTS_OF_FIELDS = {
    "ipv4": _("The host's own address in it, and the length of the network."),
    "ipv4_ranges": _("Such as 192.168.100.50 – 192.168.100.99; several with commas. Empty for every address."),
    "ipv6": _("Such as fd00:100::1/64; empty for none."),
    "ipv6_ranges": _("Such as fd00:100::100 – fd00:100::1ff; empty for some 256."),
    "domain": _("What guests' names end with, such as lab.example.org."),
    "dns_forwarders": _("Whom its name server asks; empty for those of the host."),
    "limits": _("KiB per second, all guests together; the burst in KiB."),
}
PLACEHOLDERS = {"ipv4": "192.168.100.1/24", "ipv6": "", "bridge": "", "mtu": "1500", "vlan_tags": "10"}
