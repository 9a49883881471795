"""Names and numbers for machines that are made: what nobody in the pool has yet."""

import ipaddress
import re
import secrets
from collections.abc import Iterable

from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, DomainDefinition, HypervisorPool

# QEMU's own part of the address space.
_PREFIX = (0x52, 0x54, 0x00)
_NUMBER = re.compile(r"\{(n+)\}")
MOST_AT_ONCE = 100


def new_mac(taken: Iterable[str] = ()) -> str:
    """One that is none of these."""
    known = set(taken)
    while True:
        mac = ":".join(f"{byte:02x}" for byte in (*_PREFIX, *secrets.token_bytes(3)))
        if mac not in known:
            return mac


def machine_with_mac(mac: str, hypervisor_pool: HypervisorPool, *, apart_from: Domain | None = None) -> str:
    """The name of a machine of the pool that has the address, as it runs or as it starts next; "" for none."""
    mentions = Q(live_xml__contains=mac.lower()) | Q(inactive_xml__contains=mac.lower())
    in_pool = Q(domain__vanished_at=None, domain__hypervisor__hypervisor_pool=hypervisor_pool)
    others = DomainDefinition.objects.filter(mentions & in_pool)
    if apart_from is not None:
        others = others.exclude(domain=apart_from)
    for definition in others.select_related("domain"):
        parsed = (definition.live_parsed, definition.inactive_parsed)
        macs = {str(card.get("mac", "")).lower() for one in parsed for card in one.get("interfaces", ())}
        if mac.lower() in macs:
            return definition.domain.name
    return ""


def is_name_taken(name: str, hypervisor_pool: HypervisorPool) -> bool:
    return Domain.objects.present().filter(hypervisor__hypervisor_pool=hypervisor_pool, name=name).exists()


def numbered_names(pattern: str, count: int, *, first: int = 1) -> list[str]:
    """ "web-{n}" and 3: web-1, web-2, web-3; "{nnn}" fills up with zeros. Without a place for it, "-{n}" is added.

    Raises: errors.NotPossible.
    """
    if not 1 <= count <= MOST_AT_ONCE:
        raise NotPossible(_("Between 1 and %(most)d machines are made at once.") % {"most": MOST_AT_ONCE})
    if not 0 <= first <= 10**9:
        raise NotPossible(_("The first number is between 0 and a thousand million."))
    if count == 1 and not _NUMBER.search(pattern):
        return [pattern]
    if not _NUMBER.search(pattern):
        pattern = f"{pattern}-{{n}}"
    return [
        _NUMBER.sub(lambda match, number=number: f"{number:0{len(match[1])}d}", pattern)  # type: ignore[misc]
        for number in range(first, first + count)
    ]


def counted_address(text: str, steps: int) -> str:
    """ "192.0.2.10/24" and 2: "192.0.2.12/24". Raises: errors.NotPossible where the network ends before."""
    if not steps:
        return text
    interface = ipaddress.ip_interface(text)
    address = interface.ip + steps
    network = interface.network
    is_last = interface.version == 4 and network.prefixlen < 31 and address == network.broadcast_address
    if address not in network or is_last:
        raise NotPossible(
            _("The network %(network)s has not so many addresses behind %(first)s.")
            % {"network": network, "first": interface.ip}
        )
    return f"{address}/{network.prefixlen}"
