"""New machines beside what virt-install makes for the same host, device by device; and what libvirt makes of ours.

virt-install is only ever asked with --dry-run: it would create the disks that it prints.
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
from lxml import etree

from deploy.lab.host import Host
from deploy.lab.lab import Lab
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.hypervisors.capabilities import read_capabilities
from hypervisors.gateway.uris import parse_uri
from hypervisors.libvirtxml.domain_builder import build_domain
from hypervisors.libvirtxml.domains import parse_domain
from hypervisors.libvirtxml.host_capabilities import HostCapabilities
from tests.new_machines import GOLDEN, KNOWN_SYSTEMS, new_machine

_WITH_NVRAM = 4
_LIVE = 1

# What we state of a device and virt-install leaves to libvirt; apart from it devices must be the same.
STATED = {
    r" index=0": "so that the companions of a USB controller are its own",
    r" autoport=yes": "libvirt's own reading of port -1",
    r" backend.version=2.0": "what Windows 11 asks for",
    r" boot.order=\d": "the order is stated per device, which alone lets a CD come second",
    r" backingStore": "an image stands alone: what its header claims is not followed",
    r"(?<=device=cdrom) driver.name=qemu driver.type=raw": "no medium is probed",
    r" target.dev=\w+": "a name",
}
# What else differs, and why: "-" is virt-install's alone, "+" ours alone. Each line must still be met somewhere.
EXPLAINED = {
    r"- os/type arch=x86_64 machine=(q35|pc) ": "a versioned machine type is the same on every host, and stays it",
    r"\+ os/type arch=x86_64 machine=pc-(q35|i440fx)-[\d.]+ ": "the same",
    r"- os/boot dev=hd": "the order is stated per device",
    r"\+ os/firmware/feature enabled=yes name=(secure-boot|enrolled-keys)": "libvirt's choice differs by host",
    r"\+ features/smm state=on": "what Secure Boot needs; libvirt adds it by itself",
    r"\+ features/vmport state=off": "some Linux guests misread VMware's port; virt-install says it with SPICE only",
    r"- features/hyperv/(relaxed|vapic) ": "only what the host says that it has: emulation has spinlocks alone",
    r"\+ features/hyperv mode=custom": "libvirt's default, stated",
    r"- vcpu  \d": "vCPUs can be plugged in later",
    r"\+ vcpu (current=\d )?placement=static \d": "the same; two where virt-install has no figures",
    r"\+ maxMemory slots=16 \d+": "memory can be plugged in later",
    r"\+ cpu/numa/cell cpus=0-\d id=0 ": "libvirt wants it with maxMemory",
    r"\+ cpu check=partial match=exact mode=custom": "a named processor moves between hosts",
    r"\+ cpu/model fallback=forbid Westmere": "QEMU's own default lacks what today's systems ask for",
    r"\+ cpu/topology cores=\d dies=1 sockets=1 threads=1": "some editions of Windows use only two sockets",
    r"\+ on_(poweroff|crash)  destroy": "libvirt's defaults, stated",
    r"\+ on_reboot  restart": "the same",
    r"- (memory|currentMemory)  1048576": "virt-install has no figures for this system and was told 1 GiB",
    r"\+ (memory|currentMemory)  2097152": "we propose 2 GiB for it",
    r"[-+] controller model=pcie-root-port type=pci": "eight are free after all devices, instead of fourteen in all",
    r"\+ controller model=pcie-to-pci-bridge type=pci": "devices of conventional PCI can be plugged in too",
    r"\+ controller model=virtio-scsi type=scsi": "disks can be plugged in by the hundred",
    r"\+ controller type=virtio-serial": "libvirt adds it by itself for the agent's channel",
    r"\+ serial target.port=0 type=pty": "libvirt adds it by itself for the console",
    r"[-+] console (target.port=0 target.type=serial )?type=pty": "said to be the serial line's",
    r"\+ memballoon model=virtio": "libvirt adds it by itself; without a driver it does nothing",
}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab.hosts[0]


@pytest.fixture(scope="module")
def connection(host: Host) -> Iterator[Connection]:
    connection = open_connection(Endpoint(uri=parse_uri(host.uri), key="new-machines"))
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def capabilities(connection: Connection) -> HostCapabilities:
    return read_capabilities(connection).capabilities


def test_a_host_says_what_it_can_give_guests(capabilities: HostCapabilities) -> None:
    guest = capabilities.guest("x86_64")
    assert guest is not None
    assert dict(guest.aliases)["q35"] in guest.machines
    domain = capabilities.domain(arch="x86_64", virt_type="qemu", machine=dict(guest.aliases)["q35"])
    assert domain is not None
    assert domain.machine == dict(guest.aliases)["q35"]
    assert {"virtio", "sata"} <= set(domain.disk_buses)
    assert "vnc" in domain.graphics
    assert domain.has_secure_boot


def test_each_difference_from_virt_install_is_explained(host: Host, capabilities: HostCapabilities) -> None:
    with ThreadPoolExecutor(2) as pool:
        theirs = dict(
            zip(KNOWN_SYSTEMS, pool.map(lambda system: _virt_install(host, system), KNOWN_SYSTEMS), strict=True)
        )
    assert len(theirs) >= 12
    used: set[str] = set()
    unexplained = []
    for system, xml in theirs.items():
        ours = build_domain(new_machine(system, capabilities))
        for line in _differences(xml, ours):
            fitting = [pattern for pattern in EXPLAINED if re.match(pattern, line)]
            used.update(fitting)
            unexplained += [] if fitting else [f"{system}: {line}"]
    assert unexplained == []
    assert EXPLAINED.keys() - used == set(), "these differences are gone"


def test_libvirt_takes_each_golden_machine_and_leaves_eight_ports_free(connection: Connection) -> None:
    files = [path for path in (GOLDEN / "new").iterdir() if not path.stem.endswith(("-kvm", "-spice"))]
    assert len(files) >= 12
    for path in files:
        domain = connection.raw.defineXML(path.read_text())
        try:
            kept = etree.fromstring(domain.XMLDesc())
            is_pci_express = "q35" in kept.find("os/type").get("machine")  # type: ignore[union-attr,operator]
            assert _free_ports(kept) == (8 if is_pci_express else 0), path.name
        finally:
            domain.undefineFlags(_WITH_NVRAM)


@pytest.mark.parametrize("system", ["win11", "debian12"])
def test_a_machine_starts_with_uefi(connection: Connection, capabilities: HostCapabilities, system: str) -> None:
    spec = new_machine(system, capabilities, graphics="spice")
    spec = replace(spec, name=f"uefi-{system}", firmware="uefi", memory_kib=512 * 1024, disks=spec.disks[1:])
    domain = connection.raw.defineXML(build_domain(spec))
    try:
        domain.create()
        live = etree.fromstring(domain.XMLDesc())
        loader = live.find("os/loader")
        assert loader is not None
        assert (loader.get("secure") == "yes") == (system == "win11")
        assert (live.find("devices/tpm") is not None) == (system == "win11")
    finally:
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(_WITH_NVRAM)


def test_odd_text_reaches_libvirt_and_qemu_as_it_was_typed(
    lab: Lab, host: Host, connection: Connection, capabilities: HostCapabilities
) -> None:
    odd = "a,b=c 'd' \"e\" <f>&amp; ]]> ${g} %n é"
    image, medium = (f"{lab.plan.pool_path}/{odd}.{end}" for end in ("qcow2", "iso"))
    host.run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    host.run("truncate", "--size=1M", medium)
    spec = new_machine("debian12", capabilities, image=image)
    disk, drive = spec.disks
    spec = replace(
        spec,
        name=odd,
        title=odd,
        description=f"{odd}\n{odd}",
        memory_kib=256 * 1024,
        memory_maximum_kib=0,
        disks=(replace(disk, serial="a b.c-1"), replace(drive, path=medium, startup_policy="optional")),
    )
    domain = connection.raw.defineXML(build_domain(spec))
    try:
        domain.create()
        live = parse_domain(domain.XMLDesc())
        assert (domain.name(), live.title, live.description) == (odd, odd, f"{odd}\n{odd}")
        assert [disk.source for disk in live.disks] == [image, medium]
        opened = host.run("virsh", "qemu-monitor-command", odd, "--hmp", "info block")
        assert image in opened
        assert medium in opened
    finally:
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(_WITH_NVRAM)
        host.run("rm", image, medium)


def test_devices_memory_and_vcpus_can_be_plugged_into_what_was_built(
    connection: Connection, capabilities: HostCapabilities
) -> None:
    spec = new_machine("debian12", capabilities)
    spec = replace(
        spec,
        name="growing",
        uuid=str(UUID(int=0xC0FFEE)),
        memory_kib=256 * 1024,
        memory_maximum_kib=1024 * 1024,
        disks=spec.disks[1:],
    )
    domain = connection.raw.defineXML(build_domain(spec))
    try:
        domain.create()
        for number in range(8):
            mac = f"52:54:00:aa:00:{number:02x}"
            domain.attachDeviceFlags(
                f"<interface type='network'><mac address='{mac}'/><source network='default'/><model type='virtio'/>"
                "</interface>",
                _LIVE,
            )
        domain.attachDeviceFlags(
            "<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target></memory>", _LIVE
        )
        domain.setVcpusFlags(spec.vcpus + 1, _LIVE)
        live = etree.fromstring(domain.XMLDesc())
        assert len(live.findall("devices/interface")) == 9
        assert live.find("devices/memory") is not None
        assert live.find("vcpu").get("current") == str(spec.vcpus + 1)  # type: ignore[union-attr]
    finally:
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(_WITH_NVRAM)


def _virt_install(host: Host, system: str) -> str:
    command = [
        *("virt-install", "--connect", host.uri, "--osinfo", system, "--name", "new", "--import"),
        *("--disk", "pool=shared,size=20,format=qcow2", "--disk", "device=cdrom"),
        *("--network", "network=default", "--graphics", "vnc", "--noautoconsole", "--dry-run", "--print-xml", "1"),
    ]
    if system in ("generic", "freebsd13.1"):
        # It has no figures for them and asks.
        command += ["--memory", "1024"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _differences(theirs: str, ours: str) -> list[str]:
    before, after = _facts(theirs), _facts(ours)
    return sorted(f"- {fact}" for fact in before - after) + sorted(f"+ {fact}" for fact in after - before)


# What differs by chance or by name alone.
_VOLATILE = {"name", "uuid", "metadata", "emulator", "source", "mac"}


def _facts(xml: str) -> Counter[str]:
    """One line for each device, and for each leaf of the rest, with sorted attributes."""
    facts: Counter[str] = Counter()
    root = etree.fromstring(xml)
    for element in root:
        if element.tag in _VOLATILE:
            continue
        if element.tag == "devices":
            facts.update(_device(device) for device in element if device.tag not in _VOLATILE)
        else:
            facts.update(_leaves(element, ""))
    return facts


def _device(device: etree._Element) -> str:
    parts = dict(device.attrib)
    for child in device.iterdescendants():
        if child.tag not in _VOLATILE:
            parts |= {f"{child.tag}.{name}": value for name, value in child.attrib.items()} or {child.tag: ""}
            if (child.text or "").strip():
                parts[str(child.tag)] = (child.text or "").strip()
    line = f"{device.tag} {_attributes(parts)}"
    for pattern in STATED:
        line = re.sub(pattern, "", line)
    return line


def _leaves(element: etree._Element, above: str) -> Iterator[str]:
    path = f"{above}{element.tag}"
    if element.attrib or (element.text or "").strip() or not len(element):
        text = (element.text or "").strip()
        yield f"{path} {_attributes({k: v for k, v in element.attrib.items() if v != 'KiB'})} {text}".rstrip()
    for child in element:
        yield from _leaves(child, f"{path}/")


def _attributes(values: dict[str, str]) -> str:
    return " ".join(f"{name}={values[name]}" if values[name] else name for name in sorted(values))


def _free_ports(kept: etree._Element) -> int:
    controllers = kept.findall("devices/controller")
    ports = {c.get("index") for c in controllers if c.get("model") == "pcie-root-port"}
    used = {
        str(int(address.get("bus", "0"), 16))
        for address in kept.iterfind("devices//address")
        if address.get("type") == "pci"
    }
    return len(ports - used)
