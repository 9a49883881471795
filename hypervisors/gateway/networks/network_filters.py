"""A host's network filters, https://libvirt.org/html/libvirt-libvirt-nwfilter.html."""

from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.gateway.definitions import if_there
from hypervisors.gateway.failures import is_missing


def list_network_filters(connection: Connection) -> tuple[str, ...]:
    """Their XML, of those that are there; none where the host has no such driver. Raises: errors.HypervisorError."""
    with translated("list the network filters"):
        try:
            return tuple(str(one.XMLDesc(0)) for one in connection.raw.listAllNWFilters(0))
        except libvirt.libvirtError as error:
            if is_missing(error) or error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return ()
            raise


def read_network_filter(connection: Connection, uuid: UUID) -> str | None:
    """Its XML; None when it is not there. Raises: errors.HypervisorError."""
    with translated("read the network filter"):
        found = _find(connection, uuid)
        return None if found is None else str(found.XMLDesc(0))


def define_network_filter(connection: Connection, xml: str) -> None:
    """Define it, or change the one of its UUID; guests that run get its rules at once. Raises: errors.*"""
    with translated("define the network filter"):
        connection.raw.nwfilterDefineXML(xml)


def delete_network_filter(connection: Connection, uuid: UUID) -> None:
    """One that is not there is gone already: no error. libvirt refuses one that a running guest has."""
    with translated("delete the network filter"):
        found = _find(connection, uuid)
        if found is not None:
            found.undefine()


def _find(connection: Connection, uuid: UUID) -> Any:
    return if_there(lambda: connection.raw.nwfilterLookupByUUID(uuid.bytes))
