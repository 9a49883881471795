"""Domain XML read into values: what pages show, and that odd XML does not break them."""

import json
from pathlib import Path

import pytest

from hypervisors.libvirtxml.domain_devices import CharacterDevice, Disk, Filesystem, Graphics, Interface
from hypervisors.libvirtxml.domains import ParsedDomain, parse_domain, parsed_from_json

FULL = """
<domain type='kvm' id='3'>
  <name>web1</name>
  <uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>
  <title>Shop</title>
  <description> Front door
of the shop </description>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <libosinfo:os id="http://debian.org/debian/12"/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='GiB'>4</memory>
  <currentMemory unit='MiB'>2048</currentMemory>
  <vcpu placement='static' current='2'>8</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/><boot dev='network'/></os>
  <cpu mode='custom'><model fallback='forbid'>Skylake-Client</model><topology sockets='1' cores='4' threads='2'/></cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='/srv/a &amp; b.qcow2'/><target dev='vda' bus='virtio'/>
      <boot order='1'/>
    </disk>
    <disk type='block' device='disk'><source dev='/dev/sdb'/><target dev='vdb' bus='virtio'/><shareable/></disk>
    <disk type='volume' device='disk'><source pool='default' volume='v1'/><target dev='vdc' bus='scsi'/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/image'/><target dev='vdd' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='network'>
      <mac address='52:54:00:00:00:01'/><source network='default'/><target dev='vnet0'/><model type='virtio'/>
    </interface>
    <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/><link state='down'/></interface>
    <serial type='pty'><source path='/dev/pts/3'/><target type='isa-serial' port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <graphics type='vnc' port='5901' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics>
    <graphics type='spice' port='-1' tlsPort='5903'><listen type='address' address='10.0.0.1'/></graphics>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>
    <hostdev mode='subsystem' type='pci'>
      <source><address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></source>
    </hostdev>
    <hostdev type='usb'><source><address bus='1' device='0x5'/></source></hostdev>
    <hostdev type='mdev'><source><address uuid='c2177883-f1bb-47f0-914d-32a22e3a8804'/></source></hostdev>
    <filesystem type='mount'><driver type='virtiofs'/><source dir='/srv/share'/><target dir='share'/></filesystem>
    <video><model type='virtio'/></video>
    <sound model='ich9'/>
    <tpm model='tpm-crb'><backend type='emulator'/></tpm>
    <watchdog model='itco' action='reset'/>
    <newfangled><thing/></newfangled>
  </devices>
</domain>
"""


def test_everything_that_pages_show_is_read() -> None:
    assert parse_domain(FULL) == ParsedDomain(
        name="web1",
        uuid="6695eb01-f6a4-8304-79aa-97f2502e193f",
        title="Shop",
        description="Front door\nof the shop",
        domain_type="kvm",
        architecture="x86_64",
        machine="pc-q35-7.2",
        firmware="efi",
        os_name="Debian 12",
        boot_devices=("hd", "network"),
        vcpu_count=2,
        max_vcpu_count=8,
        cpu_mode="custom",
        cpu_model="Skylake-Client",
        cpu_topology="1:4:2",
        memory_kib=2 * 1024 * 1024,
        max_memory_kib=4 * 1024 * 1024,
        disks=(
            Disk(
                device="disk",
                target="vda",
                bus="virtio",
                source_kind="file",
                source="/srv/a & b.qcow2",
                format="qcow2",
                boot_order=1,
            ),
            Disk(device="disk", target="vdb", bus="virtio", source_kind="block", source="/dev/sdb", shareable=True),
            Disk(device="disk", target="vdc", bus="scsi", source_kind="volume", source="default/v1"),
            Disk(device="disk", target="vdd", bus="virtio", source_kind="network", source="rbd:pool/image"),
            Disk(device="cdrom", target="sda", bus="sata", read_only=True),
        ),
        interfaces=(
            Interface(mac="52:54:00:00:00:01", kind="network", source="default", model="virtio", target="vnet0"),
            Interface(mac="52:54:00:00:00:02", kind="bridge", source="br0", link_up=False),
        ),
        graphics=(
            Graphics(kind="vnc", port=5901, listen="127.0.0.1", listen_kind="address"),
            Graphics(kind="spice", port=None, listen="10.0.0.1", tls_port=5903, listen_kind="address"),
        ),
        host_devices=("usb 046d:c52b", "pci 0000:03:00.0", "usb 001:005", "mdev c2177883-f1bb-47f0-914d-32a22e3a8804"),
        serials=(CharacterDevice(kind="pty", target="0", source="/dev/pts/3"),),
        channels=(CharacterDevice(kind="unix", target="org.qemu.guest_agent.0"),),
        filesystems=(Filesystem(kind="mount", driver="virtiofs", source="/srv/share", target="share"),),
        video_models=("virtio",),
        sound_models=("ich9",),
        tpm="tpm-crb",
        tpm_backend="emulator",
        keeps_uefi_variables=True,
        watchdog="itco",
        has_guest_agent_channel=True,
    )


@pytest.mark.parametrize("xml", [FULL, "<domain/>", "<domain type='qemu'><name>x</name></domain>"])
def test_stored_json_gives_the_same_value_back(xml: str) -> None:
    parsed = parse_domain(xml)
    assert parsed_from_json(json.loads(json.dumps(parsed.as_json()))) == parsed


def test_json_of_another_version_is_read_as_far_as_it_goes() -> None:
    stored = {"name": "x", "unheard_of": 1, "disks": [{"target": "vda", "colour": "red"}]}
    assert parsed_from_json(stored) == ParsedDomain(name="x", disks=(Disk(device="", target="vda"),))
    assert parsed_from_json({}) == ParsedDomain()


@pytest.mark.parametrize(
    ("escaped", "name"),
    [
        ("it's &quot;quoted&quot;", 'it\'s "quoted"'),
        ("100% &lt;b&gt;bold&lt;/b&gt;", "100% <b>bold</b>"),
        ("späße 🐧", "späße 🐧"),
        ("x" * 200, "x" * 200),
        ("{{ 7*7 }} %(x)s $HOME", "{{ 7*7 }} %(x)s $HOME"),
    ],
)
def test_nasty_names_are_read_exactly(escaped: str, name: str) -> None:
    parsed = parse_domain(f"<domain><name>{escaped}</name><title>{escaped}</title></domain>")
    assert (parsed.name, parsed.title) == (name, name)


@pytest.mark.parametrize(
    "devices",
    [
        "<disk/>",
        "<disk type='file'><source/><target/></disk>",
        "<interface/>",
        "<graphics port='many'/>",
        "<hostdev/>",
        "<hostdev type='scsi'><source><adapter name='x'/></source></hostdev>",
        "<serial><source/></serial>",
        "<filesystem/>",
        "<video/><tpm/><sound/>",
    ],
)
def test_devices_without_the_usual_parts_are_read_all_the_same(devices: str) -> None:
    parsed = parse_domain(
        f"<domain><vcpu>two</vcpu><memory unit='furlong'>x</memory><devices>{devices}</devices></domain>"
    )
    assert (parsed.vcpu_count, parsed.memory_kib) == (1, 0)
    assert json.dumps(parsed.as_json())


@pytest.mark.parametrize("xml", ["", "no XML", "<domain>", "<domain>\ud800</domain>"])
def test_what_is_not_xml_is_a_value_error(xml: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        parse_domain(xml)


def test_entities_and_files_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("treasure")
    xml = f'<!DOCTYPE d [<!ENTITY e SYSTEM "file://{secret}">]><domain><name>a&e;b</name></domain>'
    with pytest.raises(ValueError, match="no entities") as refusal:
        parse_domain(xml)
    assert "treasure" not in str(refusal.value)


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("http://debian.org/debian/12", "Debian 12"),
        ("http://microsoft.com/win/11", "Windows 11"),
        ("http://redhat.com/rhel/9.2", "RHEL 9.2"),
        ("http://debian.org", ""),
        ("nonsense", ""),
    ],
)
def test_operating_systems_are_named(identifier: str, name: str) -> None:
    xml = (
        "<domain><metadata><l:libosinfo xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
        f"<l:os id='{identifier}'/></l:libosinfo></metadata></domain>"
    )
    assert parse_domain(xml).os_name == name


MOVED = """
<domain type='kvm'>
  <name>web2</name>
  <os>
    <type>hvm</type><loader readonly='yes' type='pflash'>/x.fd</loader><nvram template='/t.fd'>/var/web2_VARS.fd</nvram>
    <kernel>/boot/vmlinuz</kernel>
  </os>
  <devices>
    <disk type='network' device='disk'>
      <source protocol='rbd' name='p/i'><host name='mon1' port='6789'/><host name='mon2'/></source>
      <target dev='vda'/><mirror type='file' job='copy'/>
    </disk>
    <disk type='file' device='disk'><source file='/a' startupPolicy='optional'/><target dev='vdb'/><transient/></disk>
    <interface type='network'><source network='n'/><filterref filter='clean-traffic'/></interface>
    <tpm model='tpm-tis'><backend type='passthrough'/></tpm>
    <shmem name='shm0'/>
  </devices>
</domain>
"""


def test_what_a_move_must_know_is_read() -> None:
    parsed = parse_domain(MOVED)
    assert (parsed.nvram, parsed.keeps_uefi_variables, parsed.kernel) == ("/var/web2_VARS.fd", True, "/boot/vmlinuz")
    assert (parsed.tpm, parsed.tpm_backend) == ("tpm-tis", "passthrough")
    assert (parsed.shared_memories, parsed.network_filters) == (("shm0",), ("clean-traffic",))
    first, second = parsed.disks
    assert (first.servers, first.block_job) == ("mon1:6789 mon2", "copy")
    assert (second.startup_policy, second.is_transient) == ("optional", True)
    assert parsed_from_json(json.loads(json.dumps(parsed.as_json()))) == parsed


@pytest.mark.parametrize(
    ("system", "keeps"),
    [
        ("<os firmware='efi'><type>hvm</type></os>", True),
        ("<os firmware='efi'><type>hvm</type><loader stateless='yes'/></os>", False),
        ("<os><type>hvm</type></os>", False),
    ],
)
def test_uefi_variables_are_kept_unless_the_firmware_keeps_none(system: str, keeps: bool) -> None:
    assert parse_domain(f"<domain>{system}</domain>").keeps_uefi_variables is keeps
