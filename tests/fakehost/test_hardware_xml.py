"""libvirt itself reads what was built, and says the same of it: its driver for tests has the parser, and no QEMU."""

from collections.abc import Iterator

import libvirt
import pytest

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import (
    build_device,
    find_device,
    list_devices,
    with_changed_device,
    with_device,
)
from hypervisors.libvirtxml.hardware.differences import lost_parts, pending_differences
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.sections import SECTIONS, change_section, section_values
from tests.fakehost.hardware_samples import DEVICES, SECTION_VALUES

_DOMAIN = """<domain type='test'><name>built</name><memory>4194304</memory><currentMemory>1048576</currentMemory>
<vcpu>4</vcpu><iothreads>2</iothreads><os><type arch='x86_64'>hvm</type></os>
<features><ioapic driver='qemu'/></features>
<cpu><numa><cell id='0' cpus='0-3' memory='4194304'/></numa></cpu><clock offset='utc'/>
<devices><controller type='usb' index='0'/></devices></domain>"""


@pytest.fixture(scope="module")
def libvirt_parser() -> Iterator[libvirt.virConnect]:
    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


def as_kept(connection: libvirt.virConnect, xml: str) -> str:
    domain = connection.defineXML(xml)
    try:
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
    finally:
        domain.undefine()


@pytest.mark.parametrize(("type_key", "values"), DEVICES)
def test_libvirt_keeps_a_device_as_it_was_built(
    libvirt_parser: libvirt.virConnect, type_key: str, values: dict[str, Value]
) -> None:
    kept = as_kept(libvirt_parser, with_device(_DOMAIN, build_device(type_key, values)))
    found = [device for device in list_devices(kept) if device.type_key == type_key]
    assert values in [{name: device.values.get(name) for name in values} for device in found]


@pytest.mark.parametrize(("key", "values"), SECTION_VALUES)
def test_libvirt_keeps_a_section_as_it_was_written(
    libvirt_parser: libvirt.virConnect, key: str, values: dict[str, Value]
) -> None:
    kept = section_values(as_kept(libvirt_parser, change_section(_DOMAIN, key, values)), key)
    assert {name: kept.get(name) for name in values} == values


def test_every_type_and_every_section_is_tried() -> None:
    assert {type_key for type_key, _values in DEVICES} == set(DEVICE_TYPES)
    assert {key for key, _values in SECTION_VALUES} == set(SECTIONS)


def test_a_password_survives_the_change_of_anything_else(libvirt_parser: libvirt.virConnect) -> None:
    screen = build_device("graphics", {"type": "vnc", "password": "s3cret<&"})
    kept = as_kept(libvirt_parser, with_device(_DOMAIN, screen))
    device = find_device(kept, "graphics:vnc:0")
    assert device is not None
    changed = build_device("graphics", {"listen_address": "127.0.0.1", "password": ""}, device.xml)
    after = as_kept(libvirt_parser, with_changed_device(kept, device.id, changed))
    assert "passwd='s3cret&lt;&amp;'" in after
    without = build_device("graphics", {"password": False}, device.xml)
    assert "passwd" not in as_kept(libvirt_parser, with_changed_device(kept, device.id, without))


def test_what_libvirt_keeps_has_no_differences_from_itself_and_what_it_drops_is_named(
    libvirt_parser: libvirt.virConnect,
) -> None:
    typed = _DOMAIN.replace("<devices>", "<!-- mine --><warp speed='9'/><devices>")
    kept = as_kept(libvirt_parser, typed)
    assert pending_differences(kept, kept) == ()
    assert set(lost_parts(typed, kept)) >= {"domain: <warp>", "domain: <!-- mine -->"}
