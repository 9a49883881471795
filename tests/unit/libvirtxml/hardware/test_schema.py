"""Whatever is built passes libvirt's own schema."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import build_device, completed_device
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.sections import SECTIONS, change_section
from tests.unit.libvirtxml.hardware.field_values import PLAIN_NAMES, drawn_values

_SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
_FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
_DOMAIN = (
    "<domain type='kvm'><name>a</name><memory>1024</memory><currentMemory>1024</currentMemory><vcpu>1</vcpu>"
    "<os><type>hvm</type></os><clock offset='utc'/><devices/></domain>"
)
# Of libvirts after Debian 12's, whose schema does not know them: 9.1, 9.1, 9.2.
_NEWER: dict[str, tuple[str, Value]] = {
    "watchdog": ("model", "itco"),
    "panic": ("model", "pvpanic"),
    "video": ("blob", True),
}

pytestmark = pytest.mark.skipif(not _SCHEMA.exists(), reason="libvirt's schemas are not installed")


@pytest.mark.parametrize("type_key", DEVICE_TYPES)
@_FEW
@given(data=st.data())
def test_libvirts_schema_takes_every_device_that_is_built(type_key: str, data: st.DataObject) -> None:
    values = drawn_values(DEVICE_TYPES[type_key], data, names=PLAIN_NAMES)
    assume(_NEWER.get(type_key) not in values.items())
    domain = etree.fromstring(_DOMAIN)
    domain[-1].append(etree.fromstring(completed_device(build_device(type_key, values))))
    _check(domain)


@pytest.mark.parametrize("key", SECTIONS)
@_FEW
@given(data=st.data())
def test_libvirts_schema_takes_every_section_that_is_written(key: str, data: st.DataObject) -> None:
    values = drawn_values(SECTIONS[key], data, names=PLAIN_NAMES)
    values.pop("order", None)
    _check(etree.fromstring(change_section(_DOMAIN, key, values)))


def _check(domain: etree._Element) -> None:
    schema = _schema()
    assert schema.validate(domain), f"{etree.tostring(domain, encoding='unicode')}\n{schema.error_log}"


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(_SCHEMA))
