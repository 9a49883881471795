"""The devices that a new domain gets, as frozen values; `domain_devices_builder` makes XML of them.

What cannot be is refused when the value is made, in words for people.
"""

from dataclasses import dataclass
from typing import Literal

from hypervisors.libvirtxml.spec_checks import (
    check_between,
    check_line,
    check_mac,
    check_one_of,
    check_path,
    check_word,
)

DISK_DEVICES = ("disk", "cdrom", "floppy")
DISK_BUSES = ("virtio", "scsi", "sata", "ide", "usb", "fdc")
DISK_FORMATS = ("qcow2", "raw")
DISK_CACHES = ("", "none", "writeback", "writethrough", "directsync", "unsafe")
INTERFACE_KINDS = ("network", "bridge", "direct", "user")
INTERFACE_MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3", "igb")
DIRECT_MODES = ("bridge", "vepa", "private", "passthrough")
VIDEO_MODELS = ("virtio", "qxl", "vga", "bochs", "cirrus", "ramfb", "vmvga", "none")
_MAX_BOOT_ORDER = 255


@dataclass(frozen=True, kw_only=True)
class NetworkSource:
    """Storage that QEMU itself speaks to over the network: rbd, gluster, iscsi, nbd …"""

    protocol: str
    name: str  # "pool/image"
    hosts: tuple[str, ...] = ()  # "mon1:6789"; empty where the host's own configuration names them
    auth_user: str = ""
    secret_type: str = ""  # "ceph", "iscsi"
    secret_uuid: str = ""

    def __post_init__(self) -> None:
        check_one_of(self.protocol, ("rbd", "gluster", "iscsi", "nbd"), "network storage that a disk can be on")
        for text, what in ((self.name, "image's name"), (self.auth_user, "user name"), (self.secret_uuid, "secret")):
            check_line(text, what)
        for host in self.hosts:
            check_line(host, "server's name")
        if not self.name:
            raise ValueError("A disk on network storage needs the image's name.")
        if bool(self.auth_user) != bool(self.secret_uuid):
            raise ValueError("Network storage that asks for a user asks for a secret too.")
        if self.auth_user:
            check_one_of(self.secret_type, ("ceph", "iscsi"), "type of a secret")


@dataclass(frozen=True, kw_only=True)
class BackingSpec:
    """One image below an overlay."""

    path: str
    format: str
    is_block: bool = False

    def __post_init__(self) -> None:
        check_path(self.path, "backing file")
        check_one_of(self.format, DISK_FORMATS, "format of a backing file")


@dataclass(frozen=True, kw_only=True)
class DiskSpec:
    """A disk or a drive. Its image is a path, a volume of a storage pool, or network storage; a drive may be empty.

    `backing` are the images below an overlay, the nearest first. They are always stated: where it is empty the image
    stands alone, and what its header claims is not followed.
    """

    device: str = "disk"
    bus: str = "virtio"
    path: str = ""
    is_block: bool = False  # `path` is a block device, such as a logical volume
    storage_pool: str = ""  # libvirt's name of it, with `volume`
    volume: str = ""
    network: NetworkSource | None = None
    format: str = "qcow2"
    backing: tuple[BackingSpec, ...] = ()
    boot_order: int | None = None
    readonly: bool = False
    shareable: bool = False
    serial: str = ""
    cache: str = ""  # empty: the hypervisor's default
    discard: str = ""  # "unmap", "ignore"; empty: the hypervisor's default
    startup_policy: str = ""  # "optional": it starts also where the medium is missing

    def __post_init__(self) -> None:
        check_one_of(self.device, DISK_DEVICES, "kind of drive")
        check_one_of(self.bus, DISK_BUSES, "disk bus")
        check_one_of(self.format, DISK_FORMATS, "format of a disk")
        check_one_of(self.cache, DISK_CACHES, "cache mode")
        check_one_of(self.discard, ("", "unmap", "ignore"), "way to discard")
        check_one_of(self.startup_policy, ("", "mandatory", "requisite", "optional"), "startup policy")
        check_boot_order(self.boot_order)
        self._check_source()
        check_line(self.serial, "disk's serial number")
        # QEMU's virtio disks carry 20 bytes.
        if len(self.serial.encode()) > 20 or any(character in self.serial for character in ",'\"&<>"):
            raise ValueError("A disk's serial number has at most 20 characters, and no commas or quotes.")
        if (self.bus == "fdc") != (self.device == "floppy"):
            raise ValueError("A floppy drive is on the floppy controller, and nothing else is.")
        if self.device == "cdrom" and self.bus == "virtio":
            raise ValueError("A CD drive cannot be on virtio; SATA, SCSI, IDE and USB can have one.")
        if self.startup_policy and self.device == "disk" and self.startup_policy != "optional":
            raise ValueError("A hard disk can only be optional or mandatory at startup.")

    @property
    def has_medium(self) -> bool:
        return bool(self.path or self.volume or self.network)

    def _check_source(self) -> None:
        if sum((bool(self.path), bool(self.volume), self.network is not None)) > 1:
            raise ValueError("A disk has one image: a path, a volume or network storage.")
        if bool(self.storage_pool) != bool(self.volume):
            raise ValueError("A volume is given with its storage pool.")
        if self.path:
            check_path(self.path, "disk image")
        check_line(self.storage_pool, "storage pool's name")
        check_line(self.volume, "volume's name")
        if self.device == "disk" and not self.has_medium:
            raise ValueError("A hard disk needs an image.")
        if self.backing and self.format != "qcow2":
            raise ValueError("Only a qcow2 image can be on top of another.")


@dataclass(frozen=True, kw_only=True)
class InterfaceSpec:
    """A network card. `source` is a network's, bridge's or host device's name; "user" has none."""

    kind: str = "network"
    source: str = ""
    model: str = "virtio"
    mac: str = ""  # empty: libvirt chooses one
    boot_order: int | None = None
    direct_mode: str = "bridge"
    portgroup: str = ""
    network_filter: str = ""
    mtu: int | None = None
    is_link_up: bool = True

    def __post_init__(self) -> None:
        check_one_of(self.kind, INTERFACE_KINDS, "kind of network card")
        check_one_of(self.model, INTERFACE_MODELS, "model of a network card")
        check_one_of(self.direct_mode, DIRECT_MODES, "mode of a direct connection")
        check_boot_order(self.boot_order)
        for text, what in (
            (self.source, "network's name"),
            (self.portgroup, "port group's name"),
            (self.network_filter, "network filter's name"),
        ):
            check_line(text, what)
        if self.mac:
            check_mac(self.mac)
        if self.mtu is not None:
            check_between(self.mtu, 68, 65535, "MTU")
        if bool(self.source) == (self.kind == "user"):
            raise ValueError("A network card is plugged into something named, unless it is on QEMU's user network.")


@dataclass(frozen=True, kw_only=True)
class GraphicsSpec:
    """A screen that is served; its port is the hypervisor's choice."""

    kind: Literal["vnc", "spice"] = "vnc"
    listen: str = ""  # an address; empty: the hypervisor's default (qemu.conf), which differs by host
    keymap: str = ""

    def __post_init__(self) -> None:
        check_one_of(self.kind, ("vnc", "spice"), "kind of screen")
        check_line(self.listen, "address of a screen")
        check_word(self.keymap, "keyboard layout", may_be_empty=True)


def check_boot_order(order: int | None) -> None:
    """Raises: ValueError."""
    if order is not None:
        check_between(order, 1, _MAX_BOOT_ORDER, "place in the boot order")
