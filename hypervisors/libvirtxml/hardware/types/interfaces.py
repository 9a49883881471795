"""Network cards, https://libvirt.org/formatdomain.html#network-interfaces."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.types.device_type import DeviceType, no_address
from hypervisors.libvirtxml.hardware.types.words import (
    BOOT_ORDER,
    ON_OFF,
    PCI_BUS,
    PCI_DOMAIN,
    PCI_FUNCTION,
    PCI_SLOT,
    UUID,
    VIRTIO_MODELS,
)

_TYPES = ("network", "bridge", "direct", "user", "ethernet", "hostdev", "vhostuser")
_MODELS = (
    "virtio", "virtio-transitional", "virtio-non-transitional", "e1000", "e1000e", "igb", "rtl8139", "vmxnet3",
    "ne2k_pci", "pcnet", "i82551", "i82557b", "i82559er", "lan9118", "smc91c111",
)  # fmt: skip
_BRIDGED = when(type=("network", "bridge", "ethernet"))
_LIMITED = when(type=("network", "bridge", "direct", "ethernet"))
_DEVICE = r"[A-Za-z0-9_.:/-]{1,60}"
_VIRTIO = when(model=VIRTIO_MODELS)
_MOST_KIB = 2**32 - 1

_VLAN_COLUMNS = (
    Field("id", "@id", "number", minimum=0, maximum=4095, required=True),
    Field("native_mode", "@nativeMode", "choice", choices=("tagged", "untagged")),
)
_PARAMETER_COLUMNS = (
    Field("name", "@name", pattern=r"[A-Za-z0-9_]+", required=True),
    Field("value", "@value", pattern=r"[A-Za-z0-9_.:-]+", required=True),
)


def _bandwidth(direction: str) -> tuple[Field, ...]:
    names = ("average", "peak", "burst", *(("floor",) if direction == "inbound" else ()))
    return tuple(
        Field(
            f"{direction}_{name}",
            f"bandwidth/{direction}/@{name}",
            "number",
            minimum=1,
            maximum=_MOST_KIB,
            only_if=when(type="network") if name == "floor" else _LIMITED,
        )
        for name in names
    )


_FIELDS = (
    Field("type", "@type", "choice", choices=_TYPES, default="network", required=True),
    Field("mac", "mac/@address", "mac"),
    Field("source_network", "source/@network", only_if=when(type="network"), required=True),
    Field("portgroup", "source/@portgroup", only_if=when(type="network")),
    Field("source_bridge", "source/@bridge", pattern=_DEVICE, only_if=when(type="bridge"), required=True),
    Field("source_dev", "source/@dev", pattern=_DEVICE, only_if=when(type="direct"), required=True),
    Field(
        "source_mode",
        "source/@mode",
        "choice",
        choices=("vepa", "bridge", "private", "passthrough"),
        default="vepa",
        only_if=when(type="direct"),
    ),
    Field("backend", "backend/@type", "choice", choices=("default", "passt"), only_if=when(type="user")),
    Field("pci_domain", "source/address/@domain", pattern=PCI_DOMAIN, only_if=when(type="hostdev"), required=True),
    Field("pci_bus", "source/address/@bus", pattern=PCI_BUS, only_if=when(type="hostdev"), required=True),
    Field("pci_slot", "source/address/@slot", pattern=PCI_SLOT, only_if=when(type="hostdev"), required=True),
    Field(
        "pci_function", "source/address/@function", pattern=PCI_FUNCTION, only_if=when(type="hostdev"), required=True
    ),
    Field("managed", "@managed", "flag", only_if=when(type="hostdev")),
    Field("socket_path", "source/@path", "path", only_if=when(type="vhostuser"), required=True),
    Field(
        "socket_mode",
        "source/@mode",
        "choice",
        choices=("client", "server"),
        only_if=when(type="vhostuser"),
        required=True,
    ),
    Field("model", "model/@type", "choice", choices=_MODELS),
    Field("link", "link/@state", "choice", choices=("up", "down"), default="up"),
    Field("mtu", "mtu/@size", "number", minimum=68, maximum=65535),
    Field(
        "virtualport",
        "virtualport/@type",
        "choice",
        choices=("openvswitch", "802.1Qbg", "802.1Qbh", "midonet"),
        only_if=when(type=("network", "bridge", "direct", "hostdev")),
    ),
    Field(
        "virtualport_profile",
        "virtualport/parameters/@profileid",
        only_if=when(virtualport=("openvswitch", "802.1Qbh")),
    ),
    Field(
        "virtualport_interface",
        "virtualport/parameters/@interfaceid",
        pattern=UUID,
        only_if=when(virtualport=("openvswitch", "midonet")),
    ),
    Field(
        "vlan_tags",
        "vlan/tag",
        "lines",
        columns=_VLAN_COLUMNS,
        only_if=when(type=("network", "bridge", "direct", "hostdev")),
    ),
    Field("vlan_trunk", "vlan/@trunk", "flag", only_if=when(type=("network", "bridge", "direct", "hostdev"))),
    *_bandwidth("inbound"),
    *_bandwidth("outbound"),
    Field("filter", "filterref/@filter", only_if=_BRIDGED),
    Field("filter_parameters", "filterref/parameter", "lines", columns=_PARAMETER_COLUMNS, only_if=_BRIDGED),
    Field("isolated", "port/@isolated", "flag", only_if=when(type=("network", "bridge"))),
    Field(
        "trusts_guest_filters",
        "@trustGuestRxFilters",
        "flag",
        only_if=when(type=("network", "bridge", "direct", "ethernet")),
    ),
    Field("driver", "driver/@name", "choice", choices=("vhost", "qemu", "vfio", "kvm", "xen")),
    Field("queues", "driver/@queues", "number", minimum=1, maximum=256, only_if=_VIRTIO),
    Field("rx_queue_size", "driver/@rx_queue_size", "number", minimum=256, maximum=1024, only_if=_VIRTIO),
    Field("tx_queue_size", "driver/@tx_queue_size", "number", minimum=256, maximum=1024, only_if=_VIRTIO),
    Field("txmode", "driver/@txmode", "choice", choices=("iothread", "timer"), only_if=_VIRTIO),
    BOOT_ORDER,
    Field("rom_bar", "rom/@bar", "flag", choices=ON_OFF, default=True),
    Field("rom_file", "rom/@file", "path"),
    Field("acpi_index", "acpi/@index", "number", minimum=1, maximum=16383),
)


def _check(values: Values) -> None:
    backends = ("vfio", "kvm", "xen") if values["type"] == "hostdev" else ("vhost", "qemu")
    if values.get("driver") and values["driver"] not in backends:
        raise ValueError(f"The driver of a card of this type is one of {', '.join(backends)}.")
    if values["type"] == "vhostuser" and values.get("model") not in VIRTIO_MODELS:
        raise ValueError("A card on a vhost-user socket is a virtio card.")
    if values.get("virtualport") == "midonet" and not values.get("virtualport_interface"):
        raise ValueError("A port of Midonet is known by its identity: a UUID.")
    if values.get("vlan_trunk") and not values.get("vlan_tags"):
        raise ValueError("A trunk has VLAN tags.")
    if sum(len(line.split()) > 1 for line in str(values.get("vlan_tags", "")).splitlines()) > 1:
        raise ValueError("A trunk has one native VLAN.")
    if values.get("filter_parameters") and not values.get("filter"):
        raise ValueError("Parameters belong to a network filter, and none is chosen.")
    for direction in ("inbound", "outbound"):
        others = [values.get(f"{direction}_{name}") for name in ("peak", "burst")]
        if any(others) and not values.get(f"{direction}_average"):
            raise ValueError(f"A peak or a burst of {direction} traffic needs an average.")


def _settle(element: etree._Element, before: Values, after: Values) -> None:
    no_address("model")(element, before, after)
    vlan = element.find("vlan")
    if vlan is not None and not len(vlan):
        element.remove(vlan)
    port = element.find("source/address")
    if after.get("type") == "hostdev" and port is not None:
        port.set("type", "pci")
    elif after.get("type") == "vhostuser":
        element.find("source").set("type", "unix")  # type: ignore[union-attr]


INTERFACES = (
    DeviceType(
        key="interface",
        tag="interface",
        fields=_FIELDS,
        identity=(("mac/@address",),),
        check=_check,
        settle=_settle,
        summary=("source_network", "source_bridge", "source_dev", "backend", "mac"),
    ),
)
