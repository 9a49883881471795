"""What can be changed while a machine runs, and what is said of the rest; the table was measured on real hosts."""

import pytest

from hypervisors.libvirtxml.hardware.devices import build_device
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.live_rules import (
    rule_for_adding,
    rule_for_changing,
    rule_for_removing,
    rule_for_section,
)

# One free root port, no bridge for conventional PCI, no SPICE, memory that is not shared.
_SMALL = """<domain type='kvm'><devices>
  <controller type='pci' index='0' model='pcie-root'/>
  <controller type='pci' index='1' model='pcie-root-port'/>
  <controller type='pci' index='2' model='pcie-root-port'/>
  <interface type='user'><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>
</devices></domain>"""
_FULL = _SMALL.replace("<interface", "<rng model='virtio'><address type='pci' bus='0x02'/></rng><interface")
_ROOMY = _SMALL.replace(
    "<devices>",
    "<maxMemory slots='2'>1</maxMemory><cpu><numa><cell id='0' memAccess='shared'/></numa></cpu><devices>"
    "<controller type='pci' index='3' model='pcie-to-pci-bridge'/><graphics type='spice'/>"
    "<controller type='usb' model='qemu-xhci'/><controller type='virtio-serial'/>",
)
_NO_USB = _ROOMY.replace("qemu-xhci", "none")
_PC = "<domain><devices><controller type='pci' index='0' model='pci-root'/></devices></domain>"


@pytest.mark.parametrize(
    ("type_key", "values", "live_xml"),
    [
        ("disk", {"bus": "virtio"}, _SMALL),
        ("disk", {"bus": "usb"}, _ROOMY),
        ("interface", {"model": "e1000e"}, _SMALL),
        ("interface", {"model": "rtl8139"}, _PC),
        ("input", {"type": "tablet", "bus": "usb"}, _ROOMY),
        ("console", {"target_type": "virtio"}, _ROOMY),
        ("controller", {"type": "scsi"}, _SMALL),
        ("watchdog", {"model": "i6300esb"}, _ROOMY),
        ("filesystem", {"driver": "virtiofs"}, _ROOMY),
        ("memory", {"model": "dimm"}, _ROOMY),
        ("redirdev", {"type": "spicevmc"}, _ROOMY),
        ("channel", {"target_type": "virtio"}, _ROOMY),
        ("lease", {}, _FULL),
    ],
)
def test_what_qemu_can_plug_in_is_tried(type_key: str, values: dict[str, Value], live_xml: str) -> None:
    assert rule_for_adding(type_key, values, live_xml).is_live


@pytest.mark.parametrize(
    ("type_key", "values", "live_xml", "why"),
    [
        ("sound", {"model": "ich9"}, _ROOMY, "QEMU cannot plug in a sound card while it runs."),
        ("disk", {"bus": "sata"}, _ROOMY, "QEMU cannot plug in a disk on SATA while it runs."),
        ("cdrom", {"bus": "scsi"}, _ROOMY, "QEMU cannot plug in a drive for discs while it runs."),
        ("input", {"type": "mouse", "bus": "ps2"}, _ROOMY, "PS/2"),
        ("disk", {"bus": "virtio"}, _FULL, "All of its PCI Express ports are taken"),
        ("interface", {"model": "rtl8139"}, _SMALL, "no bus for conventional PCI"),
        ("watchdog", {"model": "i6300esb"}, _SMALL, "no bus for conventional PCI"),
        ("watchdog", {"model": "ib700"}, _ROOMY, "i6300esb it can"),
        ("filesystem", {"driver": "virtiofs"}, _SMALL, "shared with the host"),
        ("filesystem", {"driver": "path"}, _ROOMY, "9p"),
        ("memory", {"model": "dimm"}, _SMALL, "without slots"),
        ("redirdev", {"type": "spicevmc"}, _SMALL, "SPICE"),
        ("redirdev", {"type": "spicevmc"}, _NO_USB, "no USB controller"),
        ("hostdev_usb", {"vendor": "0x1234"}, _SMALL, "no USB controller"),
        ("input", {"type": "tablet", "bus": "usb"}, _NO_USB, "no USB controller"),
        ("disk", {"bus": "usb"}, _FULL, "no USB controller"),
        ("channel", {"target_type": "virtio"}, _SMALL, "no virtio-serial controller"),
        ("console", {"target_type": "virtio"}, _SMALL, "no virtio-serial controller"),
    ],
)
def test_what_it_cannot_waits_with_a_reason(type_key: str, values: dict[str, Value], live_xml: str, why: str) -> None:
    rule = rule_for_adding(type_key, values, live_xml)
    assert not rule.is_live
    assert why in rule.why


@pytest.mark.parametrize(
    ("type_key", "before", "after"),
    [
        ("cdrom", {"source_file": "/a.iso"}, {"source_file": ""}),
        ("disk", {"total_bytes_sec": ""}, {"total_bytes_sec": 1000}),
        ("interface", {"link": "up"}, {"link": "down"}),
        ("interface", {"type": "network", "source_network": "a"}, {"type": "bridge", "source_bridge": "br0"}),
        ("graphics", {"password": ""}, {"password": "secret"}),
        ("memory", {"requested_kib": 1024}, {"requested_kib": 0}),
        ("disk", {"cache": "none", "readonly": False}, {"cache": "none", "readonly": ""}),
    ],
)
def test_what_changes_while_it_runs_is_tried(type_key: str, before: dict[str, Value], after: dict[str, Value]) -> None:
    assert rule_for_changing(type_key, before, after).is_live


@pytest.mark.parametrize(
    ("type_key", "before", "after", "why"),
    [
        ("disk", {"cache": ""}, {"cache": "none"}, "QEMU cannot change the cache while it runs."),
        ("interface", {"model": "virtio", "mtu": ""}, {"model": "e1000", "mtu": 1400}, "a card's model and mtu"),
        ("interface", {"mac": "52:54:00:00:00:01"}, {"mac": "52:54:00:00:00:02"}, "known by its MAC address"),
        ("interface", {"type": "network"}, {"type": "user"}, "between networks and bridges"),
        ("graphics", {"type": "vnc"}, {"type": "spice"}, "a screen's type"),
        ("rng", {"rate_bytes": ""}, {"rate_bytes": 5}, "rate bytes"),
    ],
)
def test_what_does_not_is_named(type_key: str, before: dict[str, Value], after: dict[str, Value], why: str) -> None:
    rule = rule_for_changing(type_key, before, after)
    assert not rule.is_live
    assert why in rule.why


@pytest.mark.parametrize(
    ("type_key", "values", "is_live"),
    [
        ("disk", {"bus": "virtio", "source_file": "/a"}, True),
        ("disk", {"bus": "sata", "source_file": "/a"}, False),
        ("cdrom", {"bus": "sata"}, False),
        ("interface", {"source_network": "lan"}, True),
        ("memory", {"model": "dimm", "size_kib": 1024}, True),
        ("memory", {"model": "virtio-mem", "size_kib": 1024}, False),
        ("controller", {"type": "pci", "pci_model": "pcie-root-port"}, False),
        ("controller", {"type": "scsi"}, True),
        ("serial", {}, False),
        ("rng", {}, True),
        ("input", {"type": "keyboard", "bus": "ps2"}, False),
    ],
)
def test_some_devices_stay_as_long_as_it_runs(type_key: str, values: dict[str, Value], is_live: bool) -> None:
    rule = rule_for_removing(type_key, build_device(type_key, values))
    assert rule.is_live is is_live
    assert bool(rule.why) is not is_live


@pytest.mark.parametrize(
    ("section", "before", "after", "is_live"),
    [
        ("processor", {"vcpus_current": 1, "vcpus_max": 4}, {"vcpus_current": 4}, True),
        ("processor", {"vcpus_current": 1, "vcpus_max": 4}, {"vcpus_current": 5}, False),
        ("processor", {"vcpus_current": 1, "vcpus_max": 4}, {"vcpus_max": 8}, False),
        ("memory", {"current_memory_kib": 1, "memory_kib": 4}, {"current_memory_kib": 4}, True),
        ("memory", {"current_memory_kib": 1, "memory_kib": 4}, {"current_memory_kib": 8}, False),
        ("general", {"title": ""}, {"title": "Web"}, True),
        ("tuning", {"shares": 1}, {"shares": 2}, True),
        ("tuning", {"shares": 1}, {"shares": ""}, False),
        ("tuning", {"hard_limit_kib": 1}, {"hard_limit_kib": ""}, True),
        ("system", {"firmware": ""}, {"firmware": "efi"}, False),
        ("boot", {"menu": False}, {"menu": True}, False),
        ("lifecycle", {"on_crash": "destroy"}, {"on_crash": "restart"}, True),
    ],
)
def test_a_section_is_changed_where_libvirt_has_a_call(
    section: str, before: dict[str, Value], after: dict[str, Value], is_live: bool
) -> None:
    rule = rule_for_section(section, before, after)
    assert rule.is_live is is_live
    assert bool(rule.why) is not is_live


def test_what_waits_is_named_as_whoever_asks_calls_it() -> None:
    rule = rule_for_section("processor", {"vcpus_max": 1}, {"vcpus_max": 4}, name_of=lambda name: f"“{name.upper()}”")
    assert rule.why == "QEMU cannot change the “VCPUS_MAX” while it runs."
