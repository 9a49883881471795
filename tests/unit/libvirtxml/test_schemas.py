"""libvirt's schema as a hint: the culprits are named with their lines, and the document is left as it was."""

import time

import pytest
from lxml import etree

from hypervisors.libvirtxml.typed_documents import read_typed
from hypervisors.schemas.relax_ng import schema_faults

DOMAIN = """<domain type='kvm'>
  <name>web1</name>
  <memory unit='KiB'>65536</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <cpu mode='host-passthrough'/>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>
      <source file='/x'/><target dev='vda' bus='virtio'/></disk>
    <interface type='network'>
      <source network='default'/><model type='virtio'/></interface>
  </devices>
</domain>"""


def _faults(xml: str) -> set[tuple[str, int]]:
    root = read_typed(xml)
    before = etree.tostring(root)
    faults = schema_faults(root)
    assert etree.tostring(root) == before
    return {(fault.what, fault.line) for fault in faults or ()}


def test_what_the_schema_knows_has_no_fault() -> None:
    assert schema_faults(read_typed(DOMAIN)) == ()
    assert schema_faults(read_typed("<pool type='dir'><name>a</name><target><path>/a</path></target></pool>")) == ()


def test_every_culprit_is_named_with_its_line() -> None:
    xml = DOMAIN.replace("<acpi/>", "<acpi/><foo/>").replace("passthrough", "passthru").replace(" cache=", " cachex=")
    xml = xml.replace("<model type='virtio'/>", "<bogus/>")
    assert _faults(xml) == {
        ("features/foo", 5),
        ("cpu@mode", 6),
        ("devices/disk/driver@cachex", 8),
        ("devices/interface/bogus", 11),
    }


def test_one_unknown_element_is_found_at_the_top() -> None:
    assert _faults(DOMAIN.replace("<features>", "<vcpux>1</vcpux>\n<features>")) == {("vcpux", 5)}


def test_what_is_missing_is_a_fault_without_a_culprit() -> None:
    assert _faults(DOMAIN.replace("<name>web1</name>", "")) == {("", 0)}


def test_without_a_schema_nothing_is_said() -> None:
    assert schema_faults(etree.fromstring("<unheard-of/>")) is None


def test_the_search_ends_however_much_there_is_to_look_at() -> None:
    many = "".join(f"<disk type='file'><source file='/{n}'/><target dev='vd{n}'/><odd/></disk>" for n in range(500))
    started = time.monotonic()
    faults = schema_faults(read_typed(DOMAIN.replace("<devices>", f"<devices>{many}")))
    assert faults
    assert time.monotonic() - started < 20


def test_what_is_beyond_all_measure_is_not_looked_at() -> None:
    assert schema_faults(read_typed(DOMAIN.replace("<devices>", "<devices>" + "<odd/>" * 6000))) is None


_MANY = " ".join(f"a{number}='1'" for number in range(50))


@pytest.mark.parametrize(
    "inside",
    ["<zz/>" * 2000, f"<zz {_MANY}/>" * 1000, "<source file='/a'/>" * 2000],
    ids=["unknown", "unknown with attributes", "twice what is needed"],
)
def test_the_search_ends_inside_a_device_too(inside: str) -> None:
    started = time.monotonic()
    _faults(DOMAIN.replace("<source network='default'/>", f"<source network='default'/>{inside}"))
    assert time.monotonic() - started < 15


def test_an_element_with_attributes_beyond_all_measure_is_not_looked_at() -> None:
    """Validating it once takes a minute."""
    many = " ".join(f"a{number}='1'" for number in range(20000))
    root = read_typed(DOMAIN.replace("<model ", f"<model {many} "))
    assert schema_faults(root) is None
