"""What of a machine's devices ties it to its host, or is missing on another, as far as rows tell."""

import ipaddress
from collections.abc import Iterator
from contextlib import suppress

from django.utils.translation import gettext as _

from hypervisors.errors import InvalidUri
from hypervisors.gateway.uris import parse_uri
from hypervisors.libvirtxml.domain_devices import Graphics, Interface
from hypervisors.libvirtxml.domains import ParsedDomain
from hypervisors.models import Hypervisor

# Cards that are the host's own hardware, or a part of it.
_HOST_CARDS = ("hostdev", "vdpa")
# Cards that are plugged into something of the host: a bridge (Open vSwitch's too), a network card.
_PLUGGED_CARDS = ("bridge", "direct")


def device_obstacles(parsed: ParsedDomain) -> Iterator[str]:
    """Whatever the other host is."""
    for device in parsed.host_devices:
        yield _("It uses a device of its host (%(device)s); detach it first.") % {"device": device}
    for nic in parsed.interfaces:
        if nic.kind in _HOST_CARDS:
            yield _("Its network card %(mac)s is a device of its host; detach it first.") % {"mac": nic.mac}
    for filesystem in parsed.filesystems:
        yield _("It shares the directory %(path)s with its host; detach it first.") % {"path": filesystem.source}
    for name in parsed.shared_memories:
        yield _("It shares memory (%(name)s) with its host; detach that first.") % {"name": name}
    if parsed.tpm_backend not in ("", "emulator"):
        yield _("Its TPM is one of its host (%(kind)s), which cannot move.") % {"kind": parsed.tpm_backend}
    for disk in parsed.disks:
        if disk.is_transient:
            yield _("Disk %(disk)s is transient, which libvirt does not move.") % {"disk": disk.target}
        if disk.block_job:
            yield _("libvirt is at work on disk %(disk)s (%(job)s); wait for it, or end it.") % {
                "disk": disk.target,
                "job": disk.block_job,
            }


def network_obstacles(parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    active = {network.name: network.active for network in target.networks.all()}
    for name in dict.fromkeys(nic.source for nic in parsed.interfaces if nic.kind == "network"):
        if name not in active:
            yield _("The network “%(network)s” does not exist there.") % {"network": name}
        elif not active[name]:
            yield _("The network “%(network)s” is not active there.") % {"network": name}
    if target.interface_names is not None:
        # A network's own bridge counts as soon as the network is active.
        there = {*target.interface_names, *(network.bridge for network in target.networks.all() if network.active)}
        for nic in _plugged(parsed):
            if nic.source not in there:
                yield _("Its network card %(mac)s is plugged into %(device)s, which does not exist there.") % {
                    "mac": nic.mac,
                    "device": nic.source,
                }


def network_warnings(parsed: ParsedDomain, target: Hypervisor) -> Iterator[str]:
    if target.interface_names is None:
        for device in dict.fromkeys(nic.source for nic in _plugged(parsed)):
            yield _("Whether that host has %(device)s, which a network card is plugged into, is not known.") % {
                "device": device
            }
    for name in parsed.network_filters:
        yield _("That host must have the network filter “%(name)s”; vmportal does not know its filters.") % {
            "name": name
        }


def graphics_obstacles(stored: ParsedDomain, source: Hypervisor, target: Hypervisor) -> Iterator[str]:
    """`stored`: what is asked for, where the running one shows what libvirt chose."""
    for graphics in stored.graphics:
        if _is_bound(graphics) and graphics.listen == _address(source):
            yield _(
                "Its %(kind)s screen listens on %(address)s, which is %(source)s's own address. Let it listen on "
                "0.0.0.0, or on no address, so that each host takes its own."
            ) % {"kind": graphics.kind.upper(), "address": graphics.listen, "source": source.name}


def graphics_warnings(stored: ParsedDomain, source: Hypervisor, target: Hypervisor) -> Iterator[str]:
    for graphics in stored.graphics:
        if _is_bound(graphics) and graphics.listen not in (_address(source), _address(target)):
            yield _("Its %(kind)s screen listens on %(address)s, which that host may not have.") % {
                "kind": graphics.kind.upper(),
                "address": graphics.listen,
            }


def port_obstacles(stored: ParsedDomain, ports_there: frozenset[int]) -> Iterator[str]:
    """`ports_there`: those that screens on the other host have now."""
    for graphics in stored.graphics:
        for port in (graphics.port, graphics.tls_port):
            if port is not None and port in ports_there:
                yield _("Port %(port)d of its %(kind)s screen is taken there.") % {
                    "port": port,
                    "kind": graphics.kind.upper(),
                }


def fixed_ports(stored: ParsedDomain) -> frozenset[int]:
    return frozenset(port for one in stored.graphics for port in (one.port, one.tls_port) if port is not None)


def _plugged(parsed: ParsedDomain) -> list[Interface]:
    return [nic for nic in parsed.interfaces if nic.kind in _PLUGGED_CARDS and nic.source]


def _is_bound(graphics: Graphics) -> bool:
    """To one address that not every host has."""
    try:
        address = ipaddress.ip_address(graphics.listen)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _address(hypervisor: Hypervisor) -> str:
    """As far as its URI tells; names are not looked up here."""
    for uri in (hypervisor.uri, hypervisor.migration_uri):
        with suppress(InvalidUri, ValueError):
            return str(ipaddress.ip_address((parse_uri(uri, allow_test_driver=True).host or "").strip("[]")))
    return ""
