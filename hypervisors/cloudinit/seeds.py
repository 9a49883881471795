"""The seed of a guest: an ISO image with three small files that cloud-init reads at the first boot.

https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html. YAML comes from a dumper, never from
formatting; what the person wrote is merged into ours, or stands beside it as a script.
"""

import io
from collections.abc import Mapping, Sequence
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any
from uuid import UUID

import pycdlib
import yaml

from hypervisors.cloudinit.checks import hostname_of, parse_user_data
from hypervisors.cloudinit.settings import CloudInit, NetworkPlan

LABEL = "cidata"
# From the beginning of the image to its label: nothing in it differs between two seeds, or between two makings of one.
SAME_HEAD_BYTES = 32768 + 72


def build_seed(settings: CloudInit, *, machine_name: str, uuid: UUID) -> bytes:
    """The ISO image, some 70 KB. Raises: ValueError for user data that cannot be."""
    files = {
        "user-data": user_data(settings, machine_name=machine_name),
        "meta-data": meta_data(settings, machine_name=machine_name, uuid=uuid),
    }
    if settings.networks:
        files["network-config"] = network_config(settings.networks)
    return build_iso({name: text.encode() for name, text in files.items()}, label=LABEL)


def user_data(settings: CloudInit, *, machine_name: str) -> str:
    """Ours and the person's: one mapping where theirs is one, and two parts where theirs is a script."""
    ours = _ours(settings, machine_name)
    theirs = parse_user_data(settings.user_data)
    if theirs is not None:
        return _cloud_config(merged(ours, theirs))
    if not settings.user_data.strip():
        return _cloud_config(ours)
    parts = MIMEMultipart(boundary="===vmportal===")
    for text, kind, name in (
        (_cloud_config(ours), "cloud-config", "vmportal.cfg"),
        (settings.user_data, "x-shellscript", "script"),
    ):
        part = MIMEText(text, kind, "utf-8")
        part.add_header("Content-Disposition", "attachment", filename=name)
        parts.attach(part)
    return parts.as_string()


def meta_data(settings: CloudInit, *, machine_name: str, uuid: UUID) -> str:
    """`instance-id` is the machine's UUID: the same seed read again changes nothing."""
    return _dump({"instance-id": str(uuid), "local-hostname": _hostname(settings, machine_name)})


def network_config(plans: Sequence[NetworkPlan]) -> str:
    """Version 2, each card found by its MAC address."""
    return _dump(
        {"version": 2, "ethernets": {f"eth{number}": _ethernet(plan, number) for number, plan in enumerate(plans)}}
    )


def build_iso(files: Mapping[str, bytes], *, label: str) -> bytes:
    """A small ISO image with these files in its root, by their whole names."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=label)
    for number, (name, content) in enumerate(files.items()):
        image.add_fp(
            io.BytesIO(content),
            len(content),
            f"/FILE{number}.;1",
            rr_name=name,
            joliet_path=f"/{name}",
        )
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()


def merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Theirs wins; mappings are merged key by key, and lists are ours with theirs behind."""
    result = dict(ours)
    for key, value in theirs.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[key] = merged(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            result[key] = [*before, *value]
        else:
            result[key] = value
    return result


def _ours(settings: CloudInit, machine_name: str) -> dict[str, Any]:
    hostname = _hostname(settings, machine_name)
    found: dict[str, Any] = {"hostname": hostname.split(".")[0], "manage_etc_hosts": "localhost"}
    if "." in hostname:
        found["fqdn"] = hostname
    found |= _named_user(settings) if settings.user else _default_user(settings)
    if settings.password_hash:
        # Somebody without a key means to sign in with it.
        found["ssh_pwauth"] = not settings.ssh_keys
    if settings.packages:
        found |= {"package_update": True, "packages": list(settings.packages)}
    return found


def _named_user(settings: CloudInit) -> dict[str, Any]:
    user: dict[str, Any] = {
        "name": settings.user,
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": not settings.password_hash,
    }
    if settings.password_hash:
        user["passwd"] = settings.password_hash
    if settings.ssh_keys:
        user["ssh_authorized_keys"] = list(settings.ssh_keys)
    return {"users": [user]}


def _default_user(settings: CloudInit) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if settings.ssh_keys:
        found["ssh_authorized_keys"] = list(settings.ssh_keys)
    if settings.password_hash:
        found |= {"password": settings.password_hash, "chpasswd": {"expire": False}}
    return found


def _ethernet(plan: NetworkPlan, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"match": {"macaddress": plan.mac.lower()}, "set-name": f"eth{number}"}
    found |= {"dhcp4": plan.dhcp4, "dhcp6": plan.dhcp6}
    if plan.dhcp4:
        # Two clones of one image have the same machine-id, by which they would get the same lease.
        found["dhcp-identifier"] = "mac"
    if plan.addresses:
        found["addresses"] = list(plan.addresses)
    routes = [("0.0.0.0/0", plan.gateway4), ("::/0", plan.gateway6)]
    if plan.gateway4 or plan.gateway6:
        found["routes"] = [{"to": to, "via": via} for to, via in routes if via]
    names = {"addresses": list(plan.nameservers), "search": list(plan.search)}
    if any(names.values()):
        found["nameservers"] = {key: value for key, value in names.items() if value}
    return found


def _hostname(settings: CloudInit, machine_name: str) -> str:
    return settings.hostname or hostname_of(machine_name)


def _cloud_config(values: Mapping[str, Any]) -> str:
    return "#cloud-config\n" + _dump(values)


def _dump(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**6)
