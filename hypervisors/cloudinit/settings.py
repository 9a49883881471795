"""What a guest is told at its first boot, as frozen values. Everything may be left empty."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """A card's addresses inside the guest, for cloud-init's version 2; the n-th plan is that of the n-th card.

    `addresses` are like "192.0.2.10/24". `mac` is filled in when it is known.
    """

    dhcp4: bool = True
    dhcp6: bool = False
    addresses: tuple[str, ...] = ()
    gateway4: str = ""
    gateway6: str = ""
    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    mac: str = ""


@dataclass(frozen=True, kw_only=True)
class CloudInit:
    """`hostname` "": the machine's name, where it can be one. `user` "": the image's own default user.

    `password` is only ever given, never kept: rows have `password_hash`, and that until the operation ends.
    `user_data` is a mapping in YAML ("#cloud-config", or nothing, before it) or a script ("#!").
    """

    user: str = ""
    ssh_keys: tuple[str, ...] = ()
    password: str = ""
    password_hash: str = ""
    hostname: str = ""
    packages: tuple[str, ...] = ()
    networks: tuple[NetworkPlan, ...] = ()
    user_data: str = ""


def cloud_init_of(stored: Mapping[str, Any]) -> CloudInit:
    """Of JSON; keys that another version wrote are passed over."""
    values = _known(CloudInit, stored)
    for name in ("ssh_keys", "packages"):
        values[name] = tuple(values.get(name) or ())
    values["networks"] = tuple(network_plan(plan) for plan in values.get("networks") or ())
    return CloudInit(**values)


def network_plan(stored: Mapping[str, Any]) -> NetworkPlan:
    """Of JSON."""
    values = _known(NetworkPlan, stored)
    for name in ("addresses", "nameservers", "search"):
        values[name] = tuple(values.get(name) or ())
    return NetworkPlan(**values)


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}
