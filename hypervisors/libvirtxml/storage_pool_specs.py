"""A storage pool as it is to be: a frozen value, and what is wrong with one, field by field.

https://libvirt.org/formatstorage.html#storage-pool-xml
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any
from uuid import UUID

from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES, PoolType

_MOST_NAME_BYTES, _MOST_TEXT = 200, 1000
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", re.ASCII)
# What LVM and ZFS take; Ceph's and Gluster's names are among these, a Ceph namespace after a "/".
_SOURCE_NAME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]*(/[A-Za-z0-9_.+][A-Za-z0-9_.+-]*)*", re.ASCII)
_QUALIFIED_NAME = re.compile(r"(iqn|eui|naa)\.[A-Za-z0-9._:,/-]+", re.ASCII)
_ADAPTER = re.compile(r"[A-Za-z0-9_:.-]+", re.ASCII)
_PROTOCOL_VERSION = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class SourceHost:
    """Where storage on the network is. `port` is None for the protocol's own."""

    name: str
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class StoragePoolSpec:
    """Everything of a storage pool that people are asked for; each type uses some of it (storage_pool_types.py).

    Secrets stand in libvirt on the hypervisor: here is only their UUID or what they are used for, one of the two.
    """

    pool_type: str
    name: str
    uuid: str = ""
    target_path: str = ""
    hosts: tuple[SourceHost, ...] = ()
    # A disk's path, or an iSCSI target's qualified name.
    devices: tuple[str, ...] = ()
    directory: str = ""
    # A volume group, a Ceph or ZFS pool, a Gluster volume.
    source_name: str = ""
    format: str = ""
    protocol_version: str = ""
    initiator: str = ""
    # "scsi_host3", of SCSI alone.
    adapter: str = ""
    auth_username: str = ""
    secret_uuid: str = ""
    secret_usage: str = ""

    @property
    def type(self) -> PoolType | None:
        return POOL_TYPES.get(self.pool_type)

    def to_json(self) -> dict[str, Any]:
        """Without what is empty."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "StoragePoolSpec":
        """Raises: ValueError for what is no such value."""
        try:
            known = {field.name for field in fields(cls)}
            given = {name: value for name, value in values.items() if name in known}
            given["hosts"] = tuple(SourceHost(**host) for host in values.get("hosts", ()))
            given["devices"] = tuple(values.get("devices", ()))
            return cls(**given)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"This is no storage pool: {error}") from error


def spec_problems(spec: StoragePoolSpec) -> dict[str, str]:
    """What is wrong, for people, by field; empty when it can be asked of libvirt."""
    found = {"name": name_problem(spec.name)}
    if spec.type is None:
        found["pool_type"] = f"There is no type of storage pool called “{spec.pool_type}”."
        return _said(found)
    for name in spec.type.fields:
        found[name] = _missing(spec, spec.type, name) or _CHECKS[name](spec)
    return _said(found)


def name_problem(name: str) -> str:
    if not name:
        return "A storage pool needs a name."
    if "/" in name or name in (".", ".."):
        # libvirt keeps its definition in a file of that name.
        return "A storage pool's name has no “/”, and is not “.” or “..”."
    if not name.isprintable() or name != name.strip():
        return "A storage pool's name is one line of printable characters, without a space at its ends."
    if len(name.encode(errors="surrogatepass")) > _MOST_NAME_BYTES:
        return f"A storage pool's name has at most {_MOST_NAME_BYTES} bytes."
    return ""


def _said(problems: Mapping[str, str]) -> dict[str, str]:
    return {name: problem for name, problem in problems.items() if problem}


def _missing(spec: StoragePoolSpec, pool_type: PoolType, name: str) -> str:
    if name == "secret" or name not in pool_type.required or getattr(spec, name):
        return ""
    return _MISSING.get(name, "This is needed.")


_MISSING = {
    "target_path": "Say where its volumes are to appear on the host.",
    "hosts": "Say which server it is on.",
    "devices": "Say which device it is on.",
    "directory": "Say which folder the server exports.",
}


def path_problem(path: str) -> str:
    if not path:
        return ""
    if not path.startswith("/") or path == "/":
        return "A path begins with “/”, and is not the whole file system."
    if not path.isprintable() or path != path.strip():
        return "A path is one line of printable characters, without a space at its ends."
    if len(path) > _MOST_TEXT:
        return f"A path has at most {_MOST_TEXT} characters."
    if posixpath.normpath(path) != path or path.startswith("//"):
        return "Write the path without “.”, “..”, doubled “/” or one at the end."
    return ""


def _hosts_problem(spec: StoragePoolSpec) -> str:
    if len(spec.hosts) > 1 and spec.type is not None and not spec.type.takes_several_hosts:
        return "This type has one server."
    for host in spec.hosts:
        if not _HOST.fullmatch(host.name) or len(host.name) > 255:
            return f"“{host.name}” is neither a host's name nor its address."
        if host.port is not None and not 0 < host.port < 65536:
            return "A port is a number from 1 to 65535."
    return ""


def _devices_problem(spec: StoragePoolSpec) -> str:
    if len(spec.devices) > 1 and spec.type is not None and not spec.type.takes_several_devices:
        return "This type has one device."
    if spec.pool_type in ("iscsi", "iscsi-direct"):
        return next(filter(None, map(_qualified_name_problem, spec.devices)), "")
    return next(filter(None, map(path_problem, spec.devices)), "")


def _qualified_name_problem(name: str) -> str:
    if not name or (_QUALIFIED_NAME.fullmatch(name) and len(name) <= 223):
        return ""
    return "An iSCSI name is like “iqn.2024-01.org.example:storage”."


def _directory_problem(spec: StoragePoolSpec) -> str:
    text = spec.directory
    if spec.pool_type == "netfs" and spec.format in ("cifs", "glusterfs") and not text.startswith("/"):
        is_plain = text.isprintable() and text == text.strip() and len(text) <= _MOST_TEXT
        return "" if is_plain and not text.startswith("-") else "This is no name of a share."
    return "" if text == "/" else path_problem(text)


def _source_name_problem(spec: StoragePoolSpec) -> str:
    text = spec.source_name
    if not text or (_SOURCE_NAME.fullmatch(text) and len(text) <= 255 and text not in (".", "..")):
        return ""
    return "A name is made of letters, digits and . _ + -, and does not begin with “-”."


def _format_problem(spec: StoragePoolSpec) -> str:
    formats = () if spec.type is None else spec.type.formats
    return "" if not spec.format or spec.format in formats else f"Choose one of {', '.join(formats)}."


def _matches(pattern: re.Pattern[str], name: str, problem: str) -> Callable[[StoragePoolSpec], str]:
    def check(spec: StoragePoolSpec) -> str:
        text = str(getattr(spec, name))
        return "" if not text or (pattern.fullmatch(text) and len(text) <= _MOST_TEXT) else problem

    return check


def _username_problem(spec: StoragePoolSpec) -> str:
    text = spec.auth_username
    if not text:
        return "Say for whom the secret is." if spec.secret_uuid or spec.secret_usage else ""
    is_plain = text.isprintable() and text == text.strip() and len(text) <= 255
    return "" if is_plain else "A user's name is one line of printable characters."


def _secret_problem(spec: StoragePoolSpec) -> str:
    if spec.secret_uuid and spec.secret_usage:
        return "Name the secret by its UUID or by its usage, not by both."
    if spec.auth_username and not (spec.secret_uuid or spec.secret_usage):
        return "Say which of the host's libvirt secrets the password is in."
    if spec.secret_uuid:
        try:
            UUID(spec.secret_uuid)
        except ValueError:
            return "This is no UUID."
    text = spec.secret_usage
    is_plain = text.isprintable() and text == text.strip() and len(text) <= _MOST_TEXT
    return "" if is_plain else "A secret's usage is one line of printable characters."


_CHECKS: dict[str, Callable[[StoragePoolSpec], str]] = {
    "target_path": lambda spec: path_problem(spec.target_path),
    "hosts": _hosts_problem,
    "devices": _devices_problem,
    "directory": _directory_problem,
    "source_name": _source_name_problem,
    "format": _format_problem,
    "protocol_version": _matches(_PROTOCOL_VERSION, "protocol_version", "A version is like 4 or 4.2."),
    "initiator": lambda spec: _qualified_name_problem(spec.initiator),
    "adapter": _matches(_ADAPTER, "adapter", "An adapter is like “scsi_host3”."),
    "auth_username": _username_problem,
    "secret": _secret_problem,
}
