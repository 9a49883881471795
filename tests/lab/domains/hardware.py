"""What a test changes the hardware of a guest with: asked for as the page does, looked at by virsh and from within."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lxml import etree

from deploy.lab.host import Host
from hypervisors.libvirtxml.hardware.devices import Device, list_devices
from hypervisors.models import Operation
from hypervisors.states import DomainState, OperationState
from tests.lab.domains.creations import run_to_end
from tests.lab.portals import Portal, PortalGuest
from tests.watching import wait_until


class HardwareGuest:
    """A guest of the lab on the first host, and what is asked of its hardware; each request is done in this process."""

    def __init__(self, guest: PortalGuest, directory: Path) -> None:
        self.guest = guest
        self.uuid = guest.uuid
        self._directory = directory

    @property
    def host(self) -> Host:
        return self.guest.portal.hosts[0]

    def xml(self, *, stored: bool = True) -> str:
        """As virsh says it: as it is stored, or as it runs."""
        return self.host.virsh("dumpxml", self.uuid, *(["--inactive"] if stored else []))

    def secure_xml(self) -> str:
        return self.host.virsh("dumpxml", self.uuid, "--inactive", "--security-info")

    def is_running(self) -> bool:
        return self.guest.state_on(self.host) in ("running", "paused")

    def devices(self, type_key: str, *, stored: bool = True) -> list[Device]:
        return [one for one in list_devices(self.xml(stored=stored)) if one.type_key == type_key]

    def ids(self, type_key: str, *, stored: bool = True) -> set[str]:
        return {one.id for one in self.devices(type_key, stored=stored)}

    def define(self, xml: str) -> None:
        """Behind vmportal's back."""
        file = self._directory / f"{self.uuid}.xml"
        file.write_text(xml)
        self.host.virsh("define", str(file))

    def mirrored(self) -> str:
        """The digest of what is stored, once the rows are as virsh says."""

        def fitting() -> str:
            row = self.guest.row
            assert row is not None
            found = row.definition.inactive_xml.strip() == self.xml().strip()
            live, shown = self.xml(stored=False) if self.is_running() else "", row.definition.live_xml
            # What the guest has ballooned is not compared: it changes as it likes.
            is_live = _all_ids(shown) == _all_ids(live) and row.is_active == bool(live)
            return row.definition.inactive_sha256 if found and is_live else ""

        digest: str = wait_until(fitting, seconds=60)
        return digest

    def ask(self, kind: str, **parameters: Any) -> Operation:
        """Of what the rows show now, unless another `base_sha256` is given."""
        digest = self.mirrored()
        base = {} if kind == "change_media" else {"base_sha256": digest}
        return self.guest.ask(kind, **(base | parameters))

    def do(self, kind: str, **parameters: Any) -> Operation:
        """It succeeds."""
        operation = run_to_end(self.ask(kind, **parameters), seconds=150)
        assert operation.state == OperationState.SUCCEEDED, (kind, parameters, operation.outcome)
        return operation

    def fail(self, kind: str, **parameters: Any) -> str:
        """It fails; with what words."""
        operation = run_to_end(self.ask(kind, **parameters), seconds=150)
        assert operation.state == OperationState.FAILED, (kind, parameters, operation.state, operation.outcome)
        return operation.outcome

    def start(self) -> None:
        self.host.virsh("start", self.uuid)
        self.guest.becomes(state=DomainState.RUNNING)

    def stop(self) -> None:
        self.host.virsh("destroy", self.uuid)
        self.guest.becomes(state=DomainState.SHUTOFF)

    def sees(self, *names: str, seconds: float = 60) -> None:
        """The guest itself has these disks and cards."""
        wait_until(lambda: set(names) <= self.guest.lab_guest.devices(), seconds=seconds)

    def misses(self, *names: str, seconds: float = 60) -> None:
        """The guest itself does not have them (any more)."""
        told = self.guest.lab_guest
        wait_until(lambda: told.devices() and not set(names) & told.devices(), seconds=seconds)


def _all_ids(xml: str) -> list[str]:
    return [one.id for one in list_devices(xml)] if xml else []


@contextmanager
def hardware_guest(portal: Portal, name: str, directory: Path, *, start: bool = False) -> Iterator[HardwareGuest]:
    with portal.guest(name, start=False) as guest:
        made = HardwareGuest(guest, directory)
        if start:
            made.start()
            guest.wait_until_it_counts()
        yield made


# What nobody's form knows, and libvirt keeps.
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
EXOTIC = (
    "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<qemu:arg value='-global'/><qemu:arg value='isa-debugcon.iobase=0x402'/></qemu:commandline>"
)
METADATA = (
    '<lab:note xmlns:lab="http://lab.example/1"><lab:owner id="7">R &amp; D</lab:owner>'
    '<lab:odd x="1" y="2"/></lab:note>'
)
_CPU = (
    "<cpu mode='custom' match='exact'><model>qemu64</model>"
    "<numa><cell id='0' cpus='0-3' memory='128' unit='MiB'/></numa></cpu>"
)
_DRIVE = (
    "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/><readonly/></disk>"
)


def with_room(xml: str) -> str:
    """A guest with room to plug in everything, things that no form knows, and a password."""
    root = etree.fromstring(xml)
    for tag in ("memory", "currentMemory"):
        for element in root.findall(tag):
            root.remove(element)
    root.insert(2, etree.fromstring("<maxMemory slots='4' unit='MiB'>1024</maxMemory>"))
    root.insert(3, etree.fromstring("<memory unit='MiB'>128</memory>"))
    root.find("vcpu").set("current", "1")
    root.find("vcpu").text = "4"
    # QEMU 7.2 dies of a vCPU that is plugged in when the first ones have filled the cache of translated code (its
    # "tcg_region_initial_alloc"): the lab's small one is, now and then, by then.
    for size in root.findall("features/tcg/tb-cache"):
        size.text = "512"
        size.set("unit", "MiB")
    for cpu in root.findall("cpu"):
        root.remove(cpu)
    root.append(etree.fromstring(_CPU))
    root.append(etree.fromstring(f"<metadata>{METADATA}</metadata>"))
    devices = root.find("devices")
    usb = next(one for one in devices.findall("controller") if one.get("type") == "usb")
    usb.set("model", "qemu-xhci")
    for added in (
        "<controller type='pci' model='pcie-to-pci-bridge'/>",
        "<controller type='scsi' model='virtio-scsi'/>",
        "<controller type='virtio-serial'/>",
        _DRIVE,
    ):
        devices.append(etree.fromstring(added))
    devices.find("graphics").set("passwd", "secret1")
    root.append(etree.fromstring(EXOTIC))
    return str(etree.tostring(root, encoding="unicode"))
