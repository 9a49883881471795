"""What waits for the next start is taken back field by field, and nothing else of the definition changes."""

import pytest
from lxml import etree

from hypervisors.libvirtxml.hardware.devices import build_device, with_changed_device, with_device, without_device
from hypervisors.libvirtxml.hardware.differences import pending_differences
from hypervisors.libvirtxml.hardware.sections import change_section
from hypervisors.operations.domains.hardware.reverting import reverted
from hypervisors.operations.domains.hardware.section_calls import cpu_set, live_calls, without_call

STORED = """<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web1</name>
  <metadata><lab:note xmlns:lab='http://lab.example/1'>kept</lab:note></metadata>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <vcpu placement='static'>4</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <cpu mode='host-model' check='partial'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/web1.qcow2'/>
      <target dev='vda' bus='virtio'/></disk>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><model type='virtio'/>
    </interface>
    <graphics type='vnc' port='-1' autoport='yes' passwd='secret1'><listen type='address'/></graphics>
  </devices>
  <qemu:commandline><qemu:arg value='-global'/></qemu:commandline>
</domain>"""
LIVE = (
    STORED.replace("<domain type='kvm'", "<domain type='kvm' id='7'")
    .replace("<cpu mode='host-model' check='partial'/>", "<cpu mode='custom' match='exact'><model>EPYC</model></cpu>")
    .replace("port='-1'", "port='5900'")
    .replace("<target dev='vda' bus='virtio'/>", "<target dev='vda' bus='virtio'/><alias name='virtio-disk0'/>")
    .replace("<source network='default'/>", "<source network='default' portid='9' bridge='virbr0'/>")
)


def canonical(xml: str) -> bytes:
    root = etree.fromstring(xml, etree.XMLParser(remove_blank_text=True))
    return bytes(etree.tostring(root, method="c14n"))


PENDING = {
    "a sound card": with_device(STORED, build_device("sound", {"model": "ich9"})),
    "a disk that is gone": without_device(STORED, "disk:vda"),
    "another cache": with_changed_device(
        STORED,
        "disk:vda",
        build_device(
            "disk",
            {"cache": "none"},
            onto="<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
            "<source file='/images/web1.qcow2'/><target dev='vda' bus='virtio'/></disk>",
        ),
    ),
    "more processors": change_section(STORED, "processor", {"vcpus_max": 8}),
    "a topology": change_section(STORED, "processor", {"sockets": 1, "cores": 4, "threads": 1}),
    "another machine": STORED.replace("pc-q35-7.2", "pc-q35-7.1"),
}


def test_a_running_machine_of_which_nothing_waits_is_what_is_stored() -> None:
    assert pending_differences(LIVE, STORED) == ()
    assert canonical(reverted(LIVE, STORED)) == canonical(STORED)


@pytest.mark.parametrize("what", PENDING)
def test_what_waits_is_thrown_away(what: str) -> None:
    assert pending_differences(LIVE, PENDING[what])
    again = reverted(LIVE, PENDING[what])
    assert pending_differences(LIVE, again) == ()
    for kept in ("passwd=", "host-model", "qemu:arg", "lab:note", "52:54:00:00:00:01"):
        assert kept in again, kept
    assert "alias" not in again


@pytest.mark.parametrize(
    ("text", "numbers"), [("", None), ("0-3", {0, 1, 2, 3}), ("0-3,^2,8", {0, 1, 3, 8}), (" 5 ", {5})]
)
def test_a_list_of_processors_is_understood(text: str, numbers: set[int] | None) -> None:
    found = cpu_set(text)
    assert (None if found is None else set(found)) == numbers


@pytest.mark.parametrize("text", ["a", "1-", "-", "1,,2", "99999999999999"])
def test_what_is_no_list_of_processors_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no list of processors"):
        cpu_set(text)


def test_what_no_call_sets_waits_with_all_that_is_asked_for_beside_it() -> None:
    before = {"vcpus_current": 1, "vcpus_max": 4, "cores": ""}
    changed = frozenset({"vcpus_current", "cores"})
    assert without_call("processor", before, {**before, "vcpus_current": 2, "cores": 4}, changed) == {"cores"}
    assert without_call("features", {}, {"acpi": False}, frozenset({"acpi"})) == {"acpi"}


def test_pins_are_called_for_the_vcpus_that_changed_alone() -> None:
    before, after = {"vcpu_pins": "0 0-1\n1 0-1"}, {"vcpu_pins": "0 0-1\n1 2\n2 3"}
    assert len(live_calls("tuning", before, after, frozenset({"vcpu_pins"}))) == 2
