"""New domains' XML: what is built is what the parser reads back, whatever people type."""

import json
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from hypervisors.libvirtxml.domain_builder import build_domain
from hypervisors.libvirtxml.domain_spec import (
    BackingSpec,
    CpuSpec,
    DiskSpec,
    DomainSpec,
    GraphicsSpec,
    InterfaceSpec,
    NetworkSource,
    domain_spec_from_json,
)
from hypervisors.libvirtxml.domains import ParsedDomain, parse_domain

DISK = DiskSpec(path="/srv/images/a.qcow2", boot_order=1)
SPEC = DomainSpec(name="web1", disks=(DISK,), interfaces=(InterfaceSpec(source="default"),))

# What XML can carry in one line, and what people fear: quotes, commas, ends of sections.
_line = (
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), max_size=20)
    | st.sampled_from(["a,b", "'\"<&>]]>", "]]>", "${x}", "a\\b", "&amp;", "<!--", "é😀", "\u202e"])
).map(str.strip)
_names = _line.map(lambda text: text.replace("/", "")).filter(lambda text: text not in ("", ".", ".."))
_serials = st.text(st.sampled_from("abcXYZ0189-_ .é"), max_size=10).map(str.strip)


@given(name=_names, title=_line, description=_line, path=_line, network=_names, serial=_serials, cmdline=_line)
def test_any_line_is_carried_as_it_was_typed(
    name: str, title: str, description: str, path: str, network: str, serial: str, cmdline: str
) -> None:
    spec = DomainSpec(
        name=name,
        title=title,
        description=f"{description}\n{title}",
        kernel_path="/boot/vmlinuz",
        cmdline=cmdline,
        disks=(
            DiskSpec(path=f"/{path}", serial=serial),
            DiskSpec(device="cdrom", bus="sata", network=NetworkSource(protocol="rbd", name=network, hosts=(network,))),
        ),
        interfaces=(InterfaceSpec(source=network),),
    )
    xml = build_domain(spec)
    parsed, root = parse_domain(xml), etree.fromstring(xml)
    assert (parsed.name, parsed.title, parsed.description) == (name, title, f"{description}\n{title}".strip())
    assert [disk.source for disk in parsed.disks] == [f"/{path}", f"rbd:{network}"]
    assert parsed.interfaces[0].source == network
    assert (root.findtext("os/cmdline") or "", root.findtext("devices/disk/serial") or "") == (cmdline, serial)


@pytest.mark.parametrize("bad", ["\x00", "\x1b[31m", "\ud800", "\ufffe", "a\nb", "a\rb", "\u2028"])
@pytest.mark.parametrize(
    "make",
    [
        lambda bad: DomainSpec(name=f"a{bad}"),
        lambda bad: DomainSpec(name="a", title=bad),
        lambda bad: DomainSpec(name="a", description=bad.replace("\n", "\x07")),
        lambda bad: DomainSpec(name="a", kernel_path="/k", cmdline=bad),
        lambda bad: DomainSpec(name="a", system=bad),
        lambda bad: DomainSpec(name="a", machine=f"q35{bad}"),
        lambda bad: DiskSpec(path=f"/a{bad}"),
        lambda bad: DiskSpec(storage_pool="p", volume=bad),
        lambda bad: DiskSpec(path="/a", serial=bad),
        lambda bad: InterfaceSpec(source=bad),
        lambda bad: InterfaceSpec(source="a", portgroup=bad),
        lambda bad: NetworkSource(protocol="rbd", name=bad),
        lambda bad: GraphicsSpec(listen=bad),
        lambda bad: CpuSpec(mode="custom", model=bad),
    ],
)
def test_a_control_character_is_refused_in_words(make: Callable[[str], object], bad: str) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z“].*\.$") as refusal:
        make(bad)
    assert str(refusal.value).isprintable()


_disks = st.builds(
    DiskSpec,
    bus=st.sampled_from(["virtio", "scsi", "sata", "usb"]),
    path=st.integers(0, 10**9).map(lambda n: f"/srv/{n}.qcow2"),
    is_block=st.booleans(),
    shareable=st.booleans(),
    readonly=st.booleans(),
    startup_policy=st.sampled_from(["", "optional"]),
)
_interfaces = st.builds(
    InterfaceSpec,
    kind=st.sampled_from(["network", "bridge", "direct"]),
    source=st.sampled_from(["default", "br0", "eth0"]),
    model=st.sampled_from(["virtio", "e1000e"]),
    is_link_up=st.booleans(),
)


@given(
    disks=st.lists(_disks, max_size=40, unique_by=lambda disk: disk.path).map(tuple),
    interfaces=st.lists(_interfaces, max_size=4).map(tuple),
    vcpus=st.tuples(st.integers(1, 64), st.integers(0, 128)),
    memory=st.tuples(st.integers(16 * 1024, 2**30), st.integers(0, 2**31)),
    firmware=st.sampled_from(["bios", "uefi"]),
    tpm=st.sampled_from(["", "tpm-crb"]),
    graphics=st.lists(st.sampled_from(["vnc", "spice"]), max_size=2, unique=True),
    agent=st.booleans(),
    watchdog=st.sampled_from(["", "i6300esb", "itco"]),
)
def test_what_is_built_is_what_the_parser_reads(
    disks: tuple[DiskSpec, ...],
    interfaces: tuple[InterfaceSpec, ...],
    vcpus: tuple[int, int],
    memory: tuple[int, int],
    firmware: str,
    tpm: str,
    graphics: list[Literal["vnc", "spice"]],
    agent: bool,
    watchdog: str,
) -> None:
    spec = DomainSpec(
        name="web1",
        system="http://debian.org/debian/12",
        vcpus=vcpus[0],
        vcpus_maximum=vcpus[1],
        memory_kib=memory[0],
        memory_maximum_kib=memory[1],
        firmware=firmware,
        tpm=tpm,
        disks=disks,
        interfaces=interfaces,
        graphics=tuple(GraphicsSpec(kind=kind) for kind in graphics),
        agent_channel=agent,
        watchdog=watchdog,
    )
    parsed = parse_domain(build_domain(spec))
    assert parsed.os_name == "Debian 12"
    assert (parsed.domain_type, parsed.architecture, parsed.machine) == ("kvm", "x86_64", "q35")
    assert (parsed.vcpu_count, parsed.max_vcpu_count) == (spec.vcpus, max(vcpus))
    assert parsed.memory_kib == memory[0]
    assert parsed.firmware == {"bios": "bios", "uefi": "efi"}[firmware]
    assert (parsed.tpm, parsed.watchdog, parsed.has_guest_agent_channel) == (tpm, watchdog, agent)
    assert [g.kind for g in parsed.graphics] == graphics
    assert [_as_spec(parsed, n) for n in range(len(disks))] == list(disks)
    assert len({disk.target for disk in parsed.disks}) == len(disks)
    assert [(i.kind, i.source, i.model, i.link_up) for i in parsed.interfaces] == [
        (i.kind, i.source, i.model, i.is_link_up) for i in interfaces
    ]


def _as_spec(parsed: ParsedDomain, number: int) -> DiskSpec:
    disk = parsed.disks[number]
    return DiskSpec(
        bus=disk.bus,
        path=disk.source,
        is_block=disk.source_kind == "block",
        format=disk.format,
        shareable=disk.shareable,
        readonly=disk.read_only,
        startup_policy=disk.startup_policy,
    )


@given(names=st.lists(_names, max_size=3), count=st.integers(0, 5))
def test_a_spec_survives_json(names: list[str], count: int) -> None:
    spec = DomainSpec(
        name="web1",
        disks=tuple(
            DiskSpec(path=f"/srv/{n}", backing=(BackingSpec(path="/srv/base", format="raw"),)) for n in range(count)
        ),
        interfaces=tuple(InterfaceSpec(source=name) for name in names),
        cpu=CpuSpec(mode="custom", model="Skylake-Client"),
        metadata=("<a xmlns='urn:a'/>",),
    )
    assert domain_spec_from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    "stored",
    [
        [],
        {},
        {"name": 3},
        {"name": "a", "vcpus": "2"},
        {"name": "a", "vcpus": True},
        {"name": "a", "disks": {"path": "/a"}},
        {"name": "a", "disks": [{"path": "/a", "flavour": "mint"}]},
        {"name": "a", "cpu": None},
        {"name": "a", "graphics": [{"kind": "curses"}]},
        {"name": "a", "on_reboot": "explode"},
        {"name": "a", "machine": "q35,accel=kvm"},
    ],
)
def test_json_that_fits_nothing_is_refused_in_words(stored: object) -> None:
    with pytest.raises(ValueError, match=r"[a-z].*\.$"):
        domain_spec_from_json(stored)


def test_no_image_is_probed_and_no_boot_device_stands_beside_the_order() -> None:
    overlay = DiskSpec(path="/srv/b.qcow2", backing=(BackingSpec(path="/srv/base.qcow2", format="qcow2"),))
    root = etree.fromstring(build_domain(DomainSpec(name="web1", disks=(DISK, overlay))))
    assert [driver.get("type") for driver in root.iterfind("devices/disk/driver")] == ["qcow2", "qcow2"]
    alone, chain = root.findall("devices/disk/backingStore")
    assert (dict(alone.attrib), len(alone)) == ({}, 0)
    assert [element.tag for element in chain] == ["format", "source", "backingStore"]
    assert chain.findall("backingStore/*") == []
    assert root.find("os/boot") is None


def test_uefi_states_whether_secure_boot_and_its_keys_are_wanted() -> None:
    def features(**given: object) -> dict[str, str]:
        root = etree.fromstring(build_domain(DomainSpec(name="a", firmware="uefi", **given)))  # type: ignore[arg-type]
        return {f.get("name", ""): f.get("enabled", "") for f in root.iterfind("os/firmware/feature")}

    assert features() == {"secure-boot": "no", "enrolled-keys": "no"}
    assert features(secure_boot=True) == {"secure-boot": "yes", "enrolled-keys": "yes"}
    assert features(secure_boot=True, enrolled_keys=False) == {"secure-boot": "yes", "enrolled-keys": "no"}


def test_ports_are_left_free_for_what_is_plugged_in_later() -> None:
    def ports(**given: object) -> int:
        root = etree.fromstring(build_domain(DomainSpec(name="a", **given)))  # type: ignore[arg-type]
        return sum(c.get("model") == "pcie-root-port" for c in root.iterfind("devices/controller"))

    assert ports(disks=(DISK,)) == ports() + 1
    assert ports(spare_root_ports=20) == ports(spare_root_ports=8) + 12
    assert ports(machine="pc") == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"disks": (DISK, DiskSpec(path="/srv/b", boot_order=1))}, "boot order"),
        ({"disks": (DISK, DISK)}, "boot order"),
        ({"disks": (DiskSpec(path="/a"), DiskSpec(path="/a"))}, "twice"),
        ({"interfaces": (InterfaceSpec(source="a", mac="52:54:00:00:00:0a"),) * 2}, "address"),
        ({"secure_boot": True}, "UEFI"),
        ({"initrd_path": "/boot/initrd"}, "kernel"),
        ({"cpu": CpuSpec(sockets=2, cores=2, threads=1), "vcpus": 3}, "4 vCPUs"),
        ({"disks": (DiskSpec(path="/a", bus="ide"),)}, "IDE"),
        ({"memory_kib": 1}, "memory"),
        ({"vcpus": 0}, "vCPUs"),
        ({"uuid": "no"}, "UUID"),
        ({"title": "a\nb"}, "title"),
        ({"metadata": ("<a/>",)}, "namespace"),
        ({"metadata": ("<a xmlns='urn:a'/>", "<b xmlns='urn:a'/>")}, "namespace"),
        ({"metadata": ("<a",)}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_words(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DomainSpec(name="web1", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "mac", ["52:54:00:12:34", "53:54:00:12:34:56", "00:00:00:00:00:00", "x", "52:54:00:12:34:56,id=a"]
)
def test_an_address_that_no_card_can_have_is_refused(mac: str) -> None:
    with pytest.raises(ValueError, match="address"):
        InterfaceSpec(source="default", mac=mac)
