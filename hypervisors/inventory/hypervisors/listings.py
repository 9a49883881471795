"""What a hypervisor lists of itself, read into the columns of rows."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.hypervisors.node_devices import list_node_devices
from hypervisors.gateway.networks.network_filters import list_network_filters
from hypervisors.gateway.storage.secrets import list_secrets
from hypervisors.libvirtxml.network_filters import parse_network_filter

Things = tuple[Mapping[str, Any], ...]


def read_network_filters(connection: Connection) -> Things:
    """Raises: errors.HypervisorError."""
    found = []
    for xml in list_network_filters(connection):
        try:
            parsed = parse_network_filter(xml)
            found.append({"uuid": UUID(parsed.uuid), "name": parsed.name[:255], "xml": xml})
        except ValueError:
            continue
    return tuple(sorted(found, key=lambda one: str(one["uuid"])))


def read_node_devices(connection: Connection) -> Things:
    """Raises: errors.HypervisorError."""
    return tuple(
        {
            "name": one.name[:255],
            "capability": one.capability[:30],
            "parent": one.parent[:255],
            "vendor": one.vendor[:255],
            "product": one.product[:255],
            "driver": one.driver[:100],
            "iommu_group": one.iommu_group,
            "host_device": one.host_device[:100],
            "host_device_model": one.host_device_model[:100],
            "interface": one.interface[:50],
            "mac": one.mac[:60],
            "details": one.details,
        }
        for one in {one.name: one for one in list_node_devices(connection)}.values()
    )


def read_secrets(connection: Connection) -> Things:
    """Raises: errors.HypervisorError."""
    return tuple(
        {
            "uuid": UUID(one.uuid),
            "usage_type": one.usage_type[:20],
            "usage": one.usage[:255],
            "description": one.description[:255],
            "is_ephemeral": one.is_ephemeral,
        }
        for one in list_secrets(connection)
        if one.uuid
    )


READERS: dict[str, Callable[[Connection], Things]] = {
    "network_filter": read_network_filters,
    "node_device": read_node_devices,
    "secret": read_secrets,
}
