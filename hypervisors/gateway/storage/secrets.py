"""libvirt secrets on a host, https://libvirt.org/html/libvirt-libvirt-secret.html: set, and never read."""

from typing import Any
from uuid import UUID

import libvirt

from hypervisors.gateway.connections import Connection, translated
from hypervisors.libvirtxml.secrets import SecretSpec, build_secret, parse_secret


def list_secrets(connection: Connection) -> tuple[SecretSpec, ...]:
    """None where the host has no such driver. Raises: errors.HypervisorError."""
    with translated("list the secrets"):
        try:
            found = connection.raw.listAllSecrets(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return ()
            raise
        specs = []
        for one in found:
            try:
                specs.append(parse_secret(one.XMLDesc(0)))
            except ValueError:
                continue
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
                    raise
        return tuple(sorted(specs, key=lambda spec: spec.uuid))


def is_secret_there(connection: Connection, uuid: UUID) -> bool:
    with translated("look for the secret"):
        return _find(connection, uuid) is not None


def define_secret(connection: Connection, spec: SecretSpec, value: bytes) -> None:
    """Define it and give it its value. Raises: errors.HypervisorError."""
    with translated("define the secret"):
        connection.raw.secretDefineXML(build_secret(spec), 0).setValue(value, 0)


def set_secret_value(connection: Connection, uuid: UUID, value: bytes) -> None:
    with translated("change the secret's value"):
        connection.raw.secretLookupByUUID(uuid.bytes).setValue(value, 0)


def delete_secret(connection: Connection, uuid: UUID) -> None:
    """One that is not there is gone already: no error."""
    with translated("delete the secret"):
        found = _find(connection, uuid)
        if found is not None:
            found.undefine()


def _find(connection: Connection, uuid: UUID) -> Any:
    try:
        return connection.raw.secretLookupByUUID(uuid.bytes)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SECRET:
            return None
        raise
