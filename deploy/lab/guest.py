"""Tiny guests: a kernel and busybox that boot in seconds without KVM (libvirt's domain XML, formatdomain.html).

Each has a shell on its screen, and counts the seconds of its run on its serial line, logged on the shared storage.
"""

import re
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.lab.boot_image import BootImage, cached_boot_image
from deploy.lab.host import Host, new_uuid
from deploy.lab.process import LabError, wait_until
from deploy.lab.storage import make_disk

DEFAULT_MEMORY_KIB = 96 * 1024
# Hotplug on q35 needs ports that are there from the start.
_SPARE_PORTS = 14
_DISK_MIB = 64
# Quiet, and without what costs an emulated processor time.
_KERNEL_OPTIONS = (
    "console=tty1 quiet loglevel=0 panic=5 mitigations=off nokaslr cryptomgr.notests init_on_alloc=0 apparmor=0"
)
_EXAMPLE_NAMES = ("web1", "db1", "build1", "mail1", "web2", "cache1", "git1", "vpn1", "ci-runner1", "monitor1")


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A guest as it was defined; it may have moved to another host since."""

    name: str
    uuid: str
    host_name: str
    disk_path: str
    serial_log_path: str

    def counts(self) -> list[int]:
        """The numbers that it has counted, over all its runs."""
        return [int(number) for number in re.findall(r"^count (\d+)\r?$", self._serial_log(), re.MULTILINE)]

    def boots(self) -> int:
        """How often it has booted."""
        return len(re.findall(r"^boot ", self._serial_log(), re.MULTILINE))

    def devices(self) -> set[str]:
        """The disks and network cards that it sees from within: "vda", "eth0"; empty before it has told."""
        told = re.findall(r"^devices (.*?)\r?$", self._serial_log(), re.MULTILINE)
        return {Path(path).name for path in told[-1].split() if not path.endswith("*")} if told else set()

    def wait_until_counting(self, *, timeout_seconds: float = 90) -> None:
        """Until it has booted, or counts on after what happened to it. Raises LabError."""
        before = len(self.counts())
        wait_until(lambda: len(self.counts()) > before, timeout_seconds, waiting_for=f"{self.name} counts")

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    def _serial_log(self) -> str:
        try:
            return Path(self.serial_log_path).read_text(errors="replace")
        except FileNotFoundError:
            return ""


def define_guest(
    host: Host,
    name: str,
    *,
    memory_kib: int = DEFAULT_MEMORY_KIB,
    vcpu_count: int = 1,
    start: bool = True,
    title: str = "",
    description: str = "",
    disk_mib: int = _DISK_MIB,
    writes: bool = False,
) -> Guest:
    """Define one on a host, with a disk of its own, and start it. Returns before it has booted. Raises LabError.

    `writes`: it writes to its disk all the time, here and there.
    """
    uuid = new_uuid()
    stem = name if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name) else uuid
    serial_log = host.lab.serial_path / f"{stem}.log"
    serial_log.unlink(missing_ok=True)
    disk = make_disk(host.lab, f"{stem}.qcow2", capacity_mib=disk_mib)
    guest = Guest(name=name, uuid=uuid, host_name=host.name, disk_path=str(disk), serial_log_path=str(serial_log))
    domain = _build_domain(guest, cached_boot_image(), memory_kib=memory_kib, vcpu_count=vcpu_count)
    if writes:
        command_line = domain.find("os/cmdline")
        assert command_line is not None
        command_line.text = f"{command_line.text} lab.writes"
    _insert_texts(domain, title=title, description=description)
    try:
        _define(host, domain)
        if start:
            host.virsh("start", uuid)
    except BaseException:
        remove_guest([host], guest)
        raise
    return guest


def remove_guest(hosts: Iterable[Host], guest: Guest) -> None:
    """End it on whichever of these hosts it is, and delete its files. Hosts that do not answer are passed over."""
    for host in hosts:
        for command in (("destroy",), ("undefine", "--nvram", "--managed-save", "--snapshots-metadata")):
            _try_virsh(host, command[0], "--domain", guest.uuid, *command[1:])
    Path(guest.disk_path).unlink(missing_ok=True)
    Path(guest.serial_log_path).unlink(missing_ok=True)


def define_example_guests(hosts: Sequence[Host], count: int) -> tuple[Guest, ...]:
    """So many for people to play with, dealt out over the hosts; of two and more the last one is left shut off."""
    names = [*_EXAMPLE_NAMES, *(f"vm{number}" for number in range(len(_EXAMPLE_NAMES) + 1, count + 1))][:count]
    return tuple(
        define_guest(hosts[index % len(hosts)], name, start=count == 1 or index < count - 1)
        for index, name in enumerate(names)
    )


def _try_virsh(host: Host, *arguments: str) -> None:
    try:
        host.virsh(*arguments, timeout_seconds=15)
    except LabError:
        return


def _define(host: Host, domain: ElementTree.Element) -> None:
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        ElementTree.ElementTree(domain).write(file, encoding="utf-8")
        file.flush()
        host.virsh("define", file.name)


# --- its XML


def _build_domain(guest: Guest, image: BootImage, *, memory_kib: int, vcpu_count: int) -> ElementTree.Element:
    domain = ElementTree.Element("domain", type="qemu")
    for tag, text in (("name", guest.name), ("uuid", guest.uuid)):
        _add(domain, tag, text=text)
    _add(domain, "memory", text=str(memory_kib), unit="KiB")
    _add(domain, "vcpu", text=str(vcpu_count))
    domain.append(_os(guest, image))
    features = _add(domain, "features")
    _add(features, "acpi")
    # QEMU would keep up to 1 GiB of translated code.
    _add(_add(features, "tcg"), "tb-cache", text="32", unit="MiB")
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _add(domain, event, text=action)
    domain.append(_devices(guest))
    return domain


def _os(guest: Guest, image: BootImage) -> ElementTree.Element:
    element = ElementTree.Element("os")
    _add(element, "type", text="hvm", arch="x86_64", machine="q35")
    _add(element, "kernel", text=str(image.kernel))
    _add(element, "initrd", text=str(image.initramfs))
    host_name = re.sub(r"[^A-Za-z0-9-]", "-", guest.name)[:63]
    _add(element, "cmdline", text=f"{_KERNEL_OPTIONS} lab.name={host_name}")
    return element


def _devices(guest: Guest) -> ElementTree.Element:
    devices = ElementTree.Element("devices")
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type="qcow2", cache="none")
    _add(disk, "source", file=guest.disk_path)
    _add(disk, "target", dev="vda", bus="virtio")
    _add(devices, "controller", type="pci", model="pcie-root")
    for _ in range(_SPARE_PORTS):
        _add(devices, "controller", type="pci", model="pcie-root-port")
    _add(devices, "controller", type="usb", model="none")
    interface = _add(devices, "interface", type="network")
    _add(interface, "source", network="default")
    _add(interface, "model", type="virtio")
    # No boot menu of the card's own: the kernel is given.
    _add(interface, "rom", enabled="no")
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=guest.serial_log_path, append="on")
    # Without an address: each host has its own in qemu.conf, and a migration takes the target's.
    _add(devices, "graphics", type="vnc", autoport="yes")
    _add(_add(devices, "video"), "model", type="vga", vram="16384")
    _add(devices, "memballoon", model="virtio")
    return devices


def _insert_texts(domain: ElementTree.Element, **texts: str) -> None:
    for tag, text in texts.items():
        if text:
            _add(domain, tag, text=text)


def _add(parent: ElementTree.Element, tag: str, *, text: str | None = None, **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element
