"""A host's devices and interfaces, https://libvirt.org/html/libvirt-libvirt-nodedev.html and libvirt-interface.html."""

from collections.abc import Callable, Iterable
from typing import Any

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.failures import is_missing
from hypervisors.libvirtxml.node_devices import ParsedNodeDevice, parse_interface, parse_node_device

_MOST_DEVICES = 2000


def list_node_devices(connection: Connection) -> tuple[ParsedNodeDevice, ...]:
    """What guests can be given or be on; interfaces as their own driver tells where it is there, by name.

    Raises: errors.HypervisorError.
    """
    with translated("list the host's devices"):
        devices = list(_read(_listed(lambda: connection.raw.listAllDevices(0)), parse_node_device))
        interfaces = list(_read(_listed(lambda: connection.raw.listAllInterfaces(0)), parse_interface))
    named = {one.interface for one in interfaces}
    others = [one for one in devices if one.capability != "net" or one.interface not in named]
    return tuple(sorted((*others, *interfaces), key=lambda one: (one.capability, one.name)))[:_MOST_DEVICES]


def _listed(call: Callable[[], list[Any]]) -> list[Any]:
    """Nothing where the host has no such driver."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return []
        raise


def _read(objects: Iterable[Any], parse: Callable[[str], ParsedNodeDevice | None]) -> Iterable[ParsedNodeDevice]:
    """One that went meanwhile, or cannot be understood, is left out."""
    for one in objects:
        try:
            parsed = parse(one.XMLDesc(0))
        except ValueError:
            continue
        except libvirt.libvirtError as error:
            if is_missing(error) or error.get_error_code() == libvirt.VIR_ERR_NO_INTERFACE:
                continue
            raise
        if parsed is not None:
            yield parsed
