"""What the creation of a virtual machine takes, as the page sends it and as the operation's row keeps it.

All of it is JSON. `spec` is a `libvirtxml.domain_spec.DomainSpec` as JSON, without hard disks: those are made of the
plans in `disks`, in their order and before its other drives. `media` fill its CD drives, the n-th the n-th; where there
are too few, drives are added. Name, UUID and MACs that are missing are chosen. `filled_spec` in creation/specs.py makes
the whole of it; it also makes what "Show XML" shows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hypervisors.cloudinit.settings import CloudInit, NetworkPlan, cloud_init_of

__all__ = [
    "FROM_SOURCE",
    "INSTALLING_METHODS",
    "METHODS",
    "CloudInit",
    "CreateDomainParameters",
    "DiskAction",
    "DiskPlan",
    "Method",
    "NetworkPlan",
    "UnattendedInstall",
    "as_json",
    "cloud_init_of",
    "disk_plan",
    "unattended_install",
]


class Method(StrEnum):
    """How the guest gets its system."""

    ISO = "iso"  # from the first of `media`, onto the first disk
    UNATTENDED = "unattended"  # from an ISO or a tree, answered by osinfo's script
    URL_TREE = "url_tree"  # kernel and initrd of `tree_url` (or of two volumes), which fetch the rest
    PXE = "pxe"  # from the network of its first card
    CLOUD_IMAGE = "cloud_image"  # a copy of, or an overlay on, an image; with or without cloud-init
    IMPORT = "import"  # a disk that has a system already
    TEMPLATE = "template"  # copies of, or overlays on, a template's disks
    CLONE = "clone"  # the same of another machine's


METHODS: dict[str, Promise] = {
    Method.ISO: _("Install from an ISO image"),
    Method.UNATTENDED: _("Install unattended"),
    Method.URL_TREE: _("Install from a URL"),
    Method.PXE: _("Install from the network (PXE)"),
    Method.CLOUD_IMAGE: _("Cloud image"),
    Method.IMPORT: _("Existing disk"),
    Method.TEMPLATE: _("From a template"),
    Method.CLONE: _("Clone"),
}
# Those whose guest writes its system itself: they have an install phase, see install_phase.py.
INSTALLING_METHODS = frozenset({Method.ISO, Method.UNATTENDED, Method.URL_TREE, Method.PXE})


class DiskAction(StrEnum):
    """Where a disk comes from."""

    NEW = "new"  # an empty volume
    OVERLAY = "overlay"  # a qcow2 volume on top of the source, which nobody may change any more
    COPY = "copy"  # all of the source, in the format wanted, then grown to the size wanted
    IMPORT = "import"  # the same of a foreign format: vmdk, vdi, vpc
    EXISTING = "existing"  # the source itself, as it is


# What needs `source_volume_id`.
FROM_SOURCE = frozenset({DiskAction.OVERLAY, DiskAction.COPY, DiskAction.IMPORT, DiskAction.EXISTING})


@dataclass(frozen=True, kw_only=True)
class DiskPlan:
    """One disk. `capacity_bytes` 0: as large as its source.

    `storage_pool_id`: the row of the storage pool on the machine's host, or on another host that shares the storage.
    `volume_name` "": made of the machine's name. The last fields are those of libvirtxml.device_specs.DiskSpec.
    """

    action: str
    storage_pool_id: int = 0
    volume_name: str = ""
    capacity_bytes: int = 0
    format: str = "qcow2"
    # "off", "metadata" or "full"; see libvirtxml.storage_volumes.
    preallocation: str = "off"
    source_volume_id: int | None = None
    # An existing disk that other machines have too: every one of them must say that it shares it.
    shareable: bool = False
    # Somebody knows that it can grow beyond what is free.
    overcommitted: bool = False
    bus: str = "virtio"
    boot_order: int | None = None
    readonly: bool = False
    serial: str = ""
    cache: str = ""
    discard: str = "unmap"


@dataclass(frozen=True, kw_only=True)
class UnattendedInstall:
    """What osinfo's install script is told: see osinfo.render_install_script."""

    user: str = ""
    password_hash: str = ""
    password: str = ""
    ssh_keys: tuple[str, ...] = ()
    hostname: str = ""
    timezone: str = ""
    keyboard: str = ""
    language: str = ""
    profile: str = ""


@dataclass(frozen=True, kw_only=True)
class CreateDomainParameters:
    """The fields of a create_domain operation.

    `media`: volume ids of ISO images, the first of which is booted. `kernel_volume_id` and `initrd_volume_id` stand
    for what `tree_url` would give. `start`: run it once it is defined. `install`: it has an install phase (by default
    so for INSTALLING_METHODS). `files_storage_pool_id`: where seed, kernel and initrd go; 0: with the first disk.
    `placement_reason`: why this host, when vmportal chose it. `from_domain_uuid`: what it is a clone of, or whose
    template.
    """

    name: str
    hypervisor_id: int
    method: str
    spec: dict[str, Any]
    disks: list[dict[str, Any]] = field(default_factory=list)
    media: list[int] = field(default_factory=list)
    tree_url: str = ""
    kernel_volume_id: int | None = None
    initrd_volume_id: int | None = None
    cmdline: str = ""
    cloud_init: dict[str, Any] | None = None
    unattended: dict[str, Any] | None = None
    files_storage_pool_id: int = 0
    start: bool = True
    install: bool = False
    placement_reason: str = ""
    from_domain_uuid: str = ""

    @property
    def disk_plans(self) -> tuple[DiskPlan, ...]:
        return tuple(disk_plan(plan) for plan in self.disks)

    @property
    def seed(self) -> CloudInit | None:
        return None if self.cloud_init is None else cloud_init_of(self.cloud_init)


def disk_plan(stored: Mapping[str, Any]) -> DiskPlan:
    """Of JSON; keys that another version wrote are passed over. Raises: TypeError without an action."""
    return DiskPlan(**_known(DiskPlan, stored))


def unattended_install(stored: Mapping[str, Any]) -> UnattendedInstall:
    """Of JSON."""
    values = _known(UnattendedInstall, stored)
    values["ssh_keys"] = tuple(values.get("ssh_keys") or ())
    return UnattendedInstall(**values)


def as_json(value: Any) -> dict[str, Any]:
    """A plan of this module as the row keeps it."""
    return dict(asdict(value))


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}
