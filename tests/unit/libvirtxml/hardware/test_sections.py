"""The sections of a domain: read, changed in place, and refused where they contradict the rest."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisors.libvirtxml.hardware.sections import SECTIONS, change_section, section_values
from tests.unit.libvirtxml.hardware.field_values import drawn_values

DOMAIN = """<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web1</name>
  <metadata><a:note xmlns:a='urn:a'>kept <!-- with this --> as it is</a:note></metadata>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <vcpu placement='static'>4</vcpu>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <boot dev='cdrom'/>
    <boot dev='hd'/>
  </os>
  <clock offset='utc'/>
  <features>
    <acpi/>
    <hyperv mode='custom'><relaxed state='on'/><tlbflush state='off'/></hyperv>
  </features>
  <cpu mode='host-model' check='partial'>
    <numa><cell id='0' cpus='0-3' memory='1048576' unit='KiB' memAccess='shared'><distances/></cell></numa>
  </cpu>
  <devices>
    <disk type='file' device='disk'><source file='/a'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/></interface>
  </devices>
  <qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>
</domain>"""
_FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
_SMALL = (
    "<domain><memory>1024</memory><currentMemory>1024</currentMemory><vcpu>1</vcpu>"
    "<os><type>hvm</type></os><clock offset='utc'/><devices/></domain>"
)


@pytest.mark.parametrize("key", SECTIONS)
@_FEW
@given(data=st.data())
def test_a_section_is_read_back_as_it_was_written(key: str, data: st.DataObject) -> None:
    values = drawn_values(SECTIONS[key], data)
    values.pop("order", None)
    changed = change_section(_SMALL, key, values)
    after = section_values(changed, key)
    assert {name: after[name] for name in values} == values
    assert change_section(changed, key, after) == changed


@pytest.mark.parametrize("key", SECTIONS)
def test_a_section_that_is_saved_as_it_is_changes_nothing(key: str) -> None:
    same = change_section(DOMAIN, "general", {})
    assert change_section(DOMAIN, key, section_values(DOMAIN, key)) == same


def test_what_no_form_knows_stays() -> None:
    changed = change_section(DOMAIN, "features", {"hyperv_vapic": True, "acpi": False})
    assert '<a:note xmlns:a="urn:a">kept <!-- with this --> as it is</a:note>' in changed
    assert '<qemu:commandline><qemu:arg value="-no-hpet"/></qemu:commandline>' in changed
    assert '<tlbflush state="off"/>' in changed


def test_a_boot_order_by_kinds_becomes_one_by_devices() -> None:
    assert section_values(DOMAIN, "boot")["order"] == "disk:sda\ndisk:vda"
    changed = change_section(DOMAIN, "boot", {"order": "interface:52:54:00:00:00:01\ndisk:vda"})
    assert "<boot dev" not in changed
    assert section_values(changed, "boot")["order"] == "interface:52:54:00:00:00:01\ndisk:vda"
    assert 'order="1"' in changed.split("<interface")[1]


def test_the_only_numa_node_has_all_cpus_and_all_memory() -> None:
    changed = change_section(DOMAIN, "processor", {"vcpus_max": 8, "vcpus_current": 2})
    assert section_values(changed, "numa")["cells"] == "0 0-7 1048576 shared"
    changed = change_section(DOMAIN, "memory", {"memory_kib": 2097152})
    assert section_values(changed, "numa")["cells"] == "0 0-3 2097152 shared"
    assert "<distances/>" in changed


def test_memory_follows_the_numa_nodes() -> None:
    changed = change_section(DOMAIN, "numa", {"cells": "0 0-1 262144\n1 2-3 262144"})
    assert section_values(changed, "memory")["memory_kib"] == 524288
    assert section_values(changed, "memory")["current_memory_kib"] == 524288


def test_another_firmware_is_chosen_anew() -> None:
    efi = DOMAIN.replace(
        "<os>", "<os firmware='efi'><loader type='pflash'>/old</loader><nvram template='/t'>/n</nvram>"
    )
    changed = change_section(efi, "system", {"secure_boot": "yes"})
    assert "<loader" not in changed
    assert "<nvram>/n</nvram>" in changed
    bios = change_section(efi, "system", {"firmware": "bios"})
    assert "<nvram" not in bios
    assert "firmware=" not in bios  # no host describes its BIOS
    assert section_values(bios, "system")["firmware"] == "bios"


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("processor", {"vcpus_max": 2, "vcpus_current": 4}, "4 of at most 2"),
        ("processor", {"sockets": 1, "cores": 3, "threads": 1}, "has 3 CPUs"),
        ("processor", {"mode": "custom"}, "The model is missing"),
        ("processor", {"features": "vmx require\npcid perhaps"}, "is no policy"),
        ("memory", {"current_memory_kib": 2097152}, "more memory"),
        ("memory", {"max_memory_kib": 2097152}, "slots"),
        ("system", {"machine": "pc-i440fx-7.2"}, "another version of q35"),
        ("boot", {"order": "disk:vdz"}, "does not have"),
        ("kernel", {"initrd": "/boot/initrd"}, "needs a kernel"),
        ("clock", {"offset": "timezone"}, "The timezone is missing"),
        ("features", {"hyperv_stimer": True}, "VP index"),
        ("tuning", {"vcpu_pins": "0 all"}, "is no cpuset"),
        ("wheels", {}, "no section"),
    ],
)
def test_what_cannot_be_is_refused_in_words(key: str, values: dict[str, str | int | bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change_section(DOMAIN, key, values)
