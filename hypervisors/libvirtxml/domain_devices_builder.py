"""The devices of a new domain, https://libvirt.org/formatdomain.html#devices; disks are in `domain_disks_builder`."""

from lxml import etree

from hypervisors.libvirtxml.device_specs import GraphicsSpec, InterfaceSpec
from hypervisors.libvirtxml.domain_controllers_builder import add_controllers
from hypervisors.libvirtxml.domain_disks_builder import add_disks
from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.elements import add, add_text

AGENT_CHANNEL = "org.qemu.guest_agent.0"


def add_devices(root: etree._Element, spec: DomainSpec) -> None:
    devices = add(root, "devices")
    if spec.emulator:
        add_text(devices, "emulator", spec.emulator)
    add_disks(devices, spec)
    add_controllers(devices, spec)
    for interface in spec.interfaces:
        _add_interface(devices, interface)
    _add_console(devices)
    _add_channels(devices, spec)
    _add_input(devices, spec)
    for graphics in spec.graphics:
        _add_graphics(devices, graphics)
    _add_video(devices, spec)
    _add_small_devices(devices, spec)


def _add_interface(devices: etree._Element, spec: InterfaceSpec) -> None:
    interface = add(devices, "interface", type=spec.kind)
    if spec.kind == "network":
        add(interface, "source", network=spec.source, portgroup=spec.portgroup)
    elif spec.kind == "bridge":
        add(interface, "source", bridge=spec.source)
    elif spec.kind == "direct":
        add(interface, "source", dev=spec.source, mode=spec.direct_mode)
    if spec.mac:
        add(interface, "mac", address=spec.mac.lower())
    add(interface, "model", type=spec.model)
    if spec.mtu is not None:
        add(interface, "mtu", size=spec.mtu)
    if spec.network_filter:
        add(interface, "filterref", filter=spec.network_filter)
    if not spec.is_link_up:
        add(interface, "link", state="down")
    if spec.boot_order is not None:
        add(interface, "boot", order=spec.boot_order)


def _add_console(devices: etree._Element) -> None:
    add(add(devices, "serial", type="pty"), "target", port=0)
    add(add(devices, "console", type="pty"), "target", type="serial", port=0)


def _add_channels(devices: etree._Element, spec: DomainSpec) -> None:
    if spec.agent_channel:
        channel = add(devices, "channel", type="unix")
        add(channel, "source", mode="bind")
        add(channel, "target", type="virtio", name=AGENT_CHANNEL)
    if any(graphics.kind == "spice" for graphics in spec.graphics):
        add(add(devices, "channel", type="spicevmc"), "target", type="virtio", name="com.redhat.spice.0")


def _add_input(devices: etree._Element, spec: DomainSpec) -> None:
    if spec.tablet:
        # Absolute positions: the pointer of a remote screen is where the hand is.
        add(devices, "input", type="tablet", bus="usb")
    if spec.usb and spec.arch not in ("x86_64", "i686"):
        add(devices, "input", type="keyboard", bus="usb")


def _add_graphics(devices: etree._Element, spec: GraphicsSpec) -> None:
    graphics = add(devices, "graphics", type=spec.kind, port=-1, autoport="yes", keymap=spec.keymap)
    if spec.kind == "spice":
        graphics.attrib.pop("port")
        add(graphics, "image", compression="off")
    if spec.listen:
        graphics.insert(0, etree.Element("listen", type="address", address=spec.listen))


def _add_video(devices: etree._Element, spec: DomainSpec) -> None:
    if spec.video == "none" or spec.graphics:
        add(add(devices, "video"), "model", type=spec.video)


def _add_small_devices(devices: etree._Element, spec: DomainSpec) -> None:
    if spec.sound:
        add(devices, "sound", model=spec.sound)
    if spec.tpm:
        add(add(devices, "tpm", model=spec.tpm), "backend", type="emulator", version="2.0")
    if spec.watchdog:
        add(devices, "watchdog", model=spec.watchdog, action="reset")
    add(devices, "memballoon", model="virtio" if spec.balloon else "none")
    if spec.rng:
        add_text(add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
