"""From what is filled in to what is asked for: the parameters of create_domain, or what is wrong with which field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.cloudinit.checks import check_hostname, check_package, check_ssh_key, check_user, parse_user_data
from hypervisors.errors import NotPossible
from hypervisors.libvirtxml.domain_spec import CpuSpec, DomainSpec, GraphicsSpec, InterfaceSpec
from hypervisors.libvirtxml.spec_checks import check_line, check_mac, check_name, check_text
from hypervisors.models import Domain
from hypervisors.operations.domains.creation.names import MOST_AT_ONCE, numbered_names
from hypervisors.operations.domains.creation.parameters import DiskAction, Method
from hypervisors.planning.machine_defaults import with_room_to_grow
from hypervisors.web.domains.creation.choices import Choices, ImageChoice
from hypervisors.web.domains.creation.drafts import DiskDraft, Draft, InterfaceDraft
from hypervisors.web.domains.creation.fields import bytes_of
from hypervisors.web.domains.creation.sources_of_disks import FROM_IMAGE, action_of, image_of
from hypervisors.web.domains.creation.suggestions import Suggestions

MOST_VCPUS = 512
_LEAST_MEMORY_BYTES, _MOST_MEMORY_BYTES = 16 * 1024**2, 16 * 1024**4
_LEAST_DISK_BYTES, _MOST_DISK_BYTES = 1024**2, 2**50


@dataclass
class Findings:
    """What is wrong, by field, and what is still missing, by what people call it."""

    errors: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def wrong(self, name: str, text: str) -> None:
        self.errors.setdefault(name, text)

    def needed(self, name: str, what: str) -> None:
        self.missing.setdefault(name, what)

    def checked(self, name: str, check: Callable[[str], object], text: str) -> None:
        """Whatever the check says against it."""
        try:
            check(text)
        except ValueError as error:
            self.wrong(name, str(error))


@dataclass(frozen=True, kw_only=True)
class PlannedDisk:
    """One disk as it will be asked for, of the line `key`; `new_bytes`: what it can take of the storage."""

    key: str
    plan: dict[str, Any]
    storage_key: str = ""
    new_bytes: int = 0


def names_of(draft: Draft) -> list[str]:
    """The names of all that is asked for: "web", or "web-1", "web-2" …"""
    try:
        return numbered_names(draft.name, count_of(draft) or 1)
    except NotPossible:
        return [draft.name]


def count_of(draft: Draft) -> int | None:
    return int(draft.count) if draft.count.isdecimal() and 1 <= int(draft.count[:6]) <= MOST_AT_ONCE else None


def check_identity(draft: Draft, choices: Choices, found: Findings) -> None:
    if count_of(draft) is None:
        found.wrong("count", _("Between 1 and %(most)d at once.") % {"most": MOST_AT_ONCE})
        return
    if not draft.name.strip():
        found.needed("name", _("a name"))
        return
    names = names_of(draft)
    found.checked("name", check_name, names[0])
    taken = Domain.objects.present().filter(hypervisor__hypervisor_pool=choices.pool, name__in=names)
    existing = taken.values_list("name", flat=True).first()
    if existing is not None:
        text = _("“%(name)s” exists already in this pool; a name is used once.")
        found.wrong("name", text % {"name": existing})
    found.checked("title", lambda text: check_line(text, _("title")), draft.title)
    found.checked("description", lambda text: check_text(text, _("description")), draft.description)


def sized_spec(draft: Draft, values: Mapping[str, str], suggestions: Suggestions, found: Findings) -> DomainSpec:
    """The suggested machine with what the person has said of it."""
    machine = suggestions.machine
    vcpus = int(draft.vcpus) if draft.vcpus.isdecimal() and len(draft.vcpus) < 5 else 0
    if not 1 <= vcpus <= MOST_VCPUS:
        found.wrong("vcpus", _("A whole number between 1 and %(most)d.") % {"most": MOST_VCPUS})
        vcpus = 1
    memory_bytes = bytes_of(values, "memory")
    if memory_bytes is None or not _LEAST_MEMORY_BYTES <= memory_bytes <= _MOST_MEMORY_BYTES:
        found.wrong("memory", _("Memory is between 16 MiB and 16 TiB."))
        memory_bytes = machine.memory_kib * 1024
    changes = {
        "vcpus": vcpus,
        "vcpus_maximum": 0,
        "memory_kib": memory_bytes // 1024,
        "memory_maximum_kib": 0,
        "machine": draft.machine or machine.machine,
        "firmware": "uefi" if draft.firmware.startswith("uefi") else "bios",
        "secure_boot": draft.firmware == "uefi-secure",
        "enrolled_keys": None,
        "tpm": draft.tpm,
        "video": draft.video or machine.video,
        "graphics": () if draft.graphics == "none" else (GraphicsSpec(kind=_graphics(draft)),),
        "autostart": bool(draft.autostart),
        "title": "" if "title" in found.errors else draft.title,
        "description": "" if "description" in found.errors else draft.description,
        "cpu": _processor(draft, machine, found),
    }
    sized = _replaced(machine, changes, found, name="machine")
    system = suggestions.system if sized.system else None
    return with_room_to_grow(sized, system, suggestions.capabilities)


def _processor(draft: Draft, machine: DomainSpec, found: Findings) -> CpuSpec:
    mode, _colon, model = draft.cpu.partition(":")
    try:
        return CpuSpec(mode=mode, model=model) if draft.cpu else machine.cpu
    except ValueError as error:
        found.wrong("cpu", str(error))
        return machine.cpu


def _graphics(draft: Draft) -> Any:
    return "spice" if draft.graphics == "spice" else "vnc"


def _replaced(spec: DomainSpec, changes: Mapping[str, Any], found: Findings, *, name: str) -> DomainSpec:
    try:
        return replace(spec, **changes)
    except ValueError as error:
        found.wrong(name, str(error))
        return spec


def planned_disks(draft: Draft, values: Mapping[str, str], choices: Choices, found: Findings) -> list[PlannedDisk]:
    planned = [_planned_disk(draft, row, values, choices, found) for row in draft.disks]
    return [disk for disk in planned if disk is not None]


def _planned_disk(
    draft: Draft, row: DiskDraft, values: Mapping[str, str], choices: Choices, found: Findings
) -> PlannedDisk | None:
    action, name = action_of(draft, row), f"disk-{row.key}"
    image = image_of(draft, row, choices)
    if action != DiskAction.NEW and image is None:
        if row.key != "1" or draft.method not in FROM_IMAGE:
            found.needed(f"{name}-volume", _("a volume for each disk"))
        return None
    if action == DiskAction.EXISTING and image is not None:
        plan = {
            "action": action,
            "storage_pool_id": int(image.storage.key),
            "source_volume_id": image.volume.pk,
            "bus": row.bus,
            "format": "qcow2" if image.volume.format == "qcow2" else "raw",
        }
        return PlannedDisk(key=row.key, plan=plan, storage_key=image.storage.key)
    storage = choices.storage(row.storage)
    if storage is None:
        found.needed(f"{name}-storage", _("a storage pool for each disk"))
        return None
    capacity = _capacity(row, values, image, found)
    foreign = image is not None and image.volume.format not in ("qcow2", "raw", "")
    plan = {
        "action": DiskAction.IMPORT if foreign and action == DiskAction.COPY else action,
        "storage_pool_id": int(storage.key),
        "capacity_bytes": capacity,
        "format": "qcow2" if action == DiskAction.OVERLAY or row.format != "raw" else "raw",
        "bus": row.bus,
        "source_volume_id": image.volume.pk if image else None,
        "overcommitted": bool(draft.overcommitted),
    }
    return PlannedDisk(key=row.key, plan=plan, storage_key=storage.key, new_bytes=capacity)


def _capacity(row: DiskDraft, values: Mapping[str, str], image: ImageChoice | None, found: Findings) -> int:
    name = f"disk-{row.key}-size"
    capacity = bytes_of(values, name)
    if capacity is None or not _LEAST_DISK_BYTES <= capacity <= _MOST_DISK_BYTES:
        found.wrong(name, _("A disk has a size between 1 MiB and 1 PiB."))
        return _LEAST_DISK_BYTES
    if image is not None and capacity < image.volume.capacity_bytes:
        found.wrong(name, _("It is made of an image of %(size).1f GiB and cannot be smaller.") % {"size": _gib(image)})
    return capacity


def _gib(image: ImageChoice) -> float:
    return image.volume.capacity_bytes / 1024**3


def planned_interfaces(draft: Draft, choices: Choices, found: Findings) -> list[InterfaceSpec]:
    made = [_interface(row, choices, found) for row in draft.interfaces]
    return [interface for interface in made if interface is not None]


def _interface(row: InterfaceDraft, choices: Choices, found: Findings) -> InterfaceSpec | None:
    name = f"interface-{row.key}"
    if row.mac:
        found.checked(f"{name}-mac", check_mac, row.mac)
    kind, source = _plug(row, choices)
    if kind != "user" and not source:
        field_name = f"{name}-bridge" if row.network == "bridge" else f"{name}-network"
        found.needed(field_name, _("a network for each card"))
        return None
    mac = "" if f"{name}-mac" in found.errors else row.mac.lower()
    try:
        return InterfaceSpec(kind=kind, source=source, model=row.model or "virtio", mac=mac)
    except ValueError as error:
        found.wrong(f"{name}-bridge" if kind == "bridge" else f"{name}-network", str(error))
        return None


def _plug(row: InterfaceDraft, choices: Choices) -> tuple[str, str]:
    if row.network == "user":
        return "user", ""
    if row.network == "bridge":
        return "bridge", row.bridge.strip()
    network = choices.network(row.network)
    return "network", network.name if network else ""


def address_plans(draft: Draft, found: Findings) -> list[dict[str, Any]]:
    """What cloud-init tells each card."""
    return [_address_plan(row, found) for row in draft.interfaces]


def _address_plan(row: InterfaceDraft, found: Findings) -> dict[str, Any]:
    if row.addressing != "static":
        return {"dhcp4": True}
    name = f"interface-{row.key}"
    if not row.address.strip():
        found.needed(f"{name}-address", _("an address for each static card"))
        return {"dhcp4": True}
    try:
        address = ip_interface(row.address.strip())
    except ValueError:
        found.wrong(f"{name}-address", _("An address with its prefix, such as 192.0.2.10/24."))
        return {"dhcp4": True}
    if "/" not in row.address:
        found.wrong(f"{name}-address", _("Its prefix is missing: 192.0.2.10/24."))
    gateway = "gateway6" if address.version == 6 else "gateway4"
    return {
        "dhcp4": False,
        "addresses": [str(address)],
        gateway: row.gateway.strip(),
        "nameservers": row.nameservers.replace(",", " ").split(),
    }


def answers_for_installer(draft: Draft, found: Findings) -> dict[str, Any]:
    """What osinfo's script tells the installer."""
    keys = _checked_login(draft, found)
    if not draft.password:
        found.needed("password", _("a password for the new system"))
    names = ("user", "hostname", "timezone", "keyboard", "language", "profile")
    plain = {name: str(getattr(draft, name)).strip() for name in names}
    return plain | {"password": draft.password, "ssh_keys": keys}


def _checked_login(draft: Draft, found: Findings) -> list[str]:
    """The keys; what is wrong with them, the user and the host name is found."""
    keys = [line.strip() for line in draft.ssh_keys.splitlines() if line.strip()]
    found.checked("user", check_user, draft.user.strip())
    for key in keys:
        found.checked("ssh_keys", check_ssh_key, key)
    if draft.hostname.strip():
        found.checked("hostname", check_hostname, draft.hostname.strip())
    return keys


def cloud_init(draft: Draft, found: Findings) -> dict[str, Any] | None:
    """What the seed says; None where the guest is told nothing."""
    if draft.method != Method.CLOUD_IMAGE:
        return None
    keys = _checked_login(draft, found)
    packages = draft.packages.replace(",", " ").split()
    for package in packages:
        found.checked("packages", check_package, package)
    found.checked("user_data", parse_user_data, draft.user_data)
    return {
        "user": draft.user.strip(),
        "ssh_keys": keys,
        "password": draft.password,
        "hostname": draft.hostname.strip(),
        "packages": packages,
        "user_data": draft.user_data,
        "networks": address_plans(draft, found),
    }
