"""Operating systems as osinfo-db describes them, https://libosinfo.org: frozen values, with what they inherit."""

from dataclasses import dataclass, field

_PCI = "http://pcisig.com/pci/"
VIRTIO_BLOCK = frozenset({f"{_PCI}1af4/1001", f"{_PCI}1af4/1042"})
VIRTIO_NET = frozenset({f"{_PCI}1af4/1000", f"{_PCI}1af4/1041"})
VIRTIO_SCSI = frozenset({f"{_PCI}1af4/1004", f"{_PCI}1af4/1048"})
VIRTIO_SERIAL = frozenset({f"{_PCI}1af4/1003", f"{_PCI}1af4/1043"})
VIRTIO_RNG = frozenset({f"{_PCI}1af4/1005", f"{_PCI}1af4/1044"})
VIRTIO_BALLOON = frozenset({f"{_PCI}1af4/1002", f"{_PCI}1af4/1045"})
VIRTIO_GPU = frozenset({f"{_PCI}1af4/1050"})
QXL = frozenset({f"{_PCI}1b36/0100"})
E1000E = frozenset({f"{_PCI}8086/10d3"})
E1000 = frozenset({f"{_PCI}8086/100e"})
XHCI = frozenset({f"{_PCI}1b36/0004", f"{_PCI}1033/0194"})
USB_TABLET = frozenset({"http://usb.org/usb/80ee/0021"})
Q35 = frozenset({"http://qemu.org/chipset/x86/q35"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a system asks for; None where it is not said."""

    memory_kib: int | None = None
    vcpus: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """An installation medium, known by its ISO 9660 labels: regular expressions that are searched, not anchored."""

    arch: str
    volume_id: str = ""
    system_id: str = ""
    publisher_id: str = ""
    application_id: str = ""
    volume_size_bytes: int | None = None
    variants: tuple[str, ...] = ()  # "server-netinst"
    kernel: str = ""  # their paths on it
    initrd: str = ""
    is_live: bool = False
    takes_script: bool = True
    installer_reboots: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A disk image that its makers publish."""

    arch: str
    format: str
    url: str
    has_cloud_init: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """An installation tree on the web."""

    arch: str
    url: str
    kernel: str = ""
    initrd: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperatingSystem:
    """A system and what it can drive. Resources and firmware are those of x86-64."""

    short_id: str
    osinfo_id: str  # a URI; a domain's metadata keeps it
    name: str
    family: str = ""  # "linux", "winnt", "freebsd" …
    distro: str = ""  # "debian", "win" …
    vendor: str = ""
    version: str = ""
    codename: str = ""
    other_short_ids: tuple[str, ...] = ()
    release_date: str = ""  # ISO; empty where it is not known
    end_of_life_date: str = ""
    release_status: str = "released"  # "prerelease", "rolling"
    minimum: Resources = Resources()
    recommended: Resources = Resources()
    devices: frozenset[str] = field(default=frozenset(), repr=False)
    firmwares: frozenset[str] = frozenset()  # "efi", "bios": those that are said to work
    firmwares_unsupported: frozenset[str] = frozenset()
    install_scripts: tuple[str, ...] = ()  # their identifiers
    media: tuple[Medium, ...] = field(default=(), repr=False)
    images: tuple[Image, ...] = field(default=(), repr=False)
    trees: tuple[Tree, ...] = field(default=(), repr=False)
    # Not in the installed database: an entry of vmportal's own table, derived from an older system.
    is_own_entry: bool = False

    def drives(self, devices: frozenset[str]) -> bool:
        """Whether it has a driver for one of these."""
        return not self.devices.isdisjoint(devices)

    @property
    def is_windows(self) -> bool:
        return self.family in ("winnt", "win9x", "win16")

    @property
    def is_linux(self) -> bool:
        return self.family == "linux"

    @property
    def needs_uefi(self) -> bool:
        return "bios" in self.firmwares_unsupported

    @property
    def supports_uefi(self) -> bool:
        """As far as it is said: many systems that can do it do not say so."""
        return "efi" in self.firmwares

    @property
    def is_unknown_version(self) -> bool:
        """Stands for releases newer than the database: "fedora-unknown"."""
        return self.version == "unknown" or self.short_id.endswith("unknown")


# What is proposed where nothing is known.
GENERIC = OperatingSystem(short_id="generic", osinfo_id="", name="Generic")
