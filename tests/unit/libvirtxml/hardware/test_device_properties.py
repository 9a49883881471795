"""Every type of device, with whatever values it takes: built, read back, built again, and edited."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import build_device, parse_one_device
from hypervisors.libvirtxml.hardware.fields import Value
from tests.unit.libvirtxml.hardware.field_values import drawn_values

_FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.mark.parametrize("type_key", DEVICE_TYPES)
@_FEW
@given(data=st.data())
def test_a_device_is_read_back_as_it_was_built(type_key: str, data: st.DataObject) -> None:
    values, xml = _built(type_key, data)
    device = parse_one_device(xml)
    assert device.type_key == type_key
    assert {name: device.values[name] for name in values} == values


@pytest.mark.parametrize("type_key", DEVICE_TYPES)
@_FEW
@given(data=st.data())
def test_a_device_that_is_built_again_from_its_values_is_the_same(type_key: str, data: st.DataObject) -> None:
    _values, xml = _built(type_key, data)
    device = parse_one_device(xml)
    assert parse_one_device(build_device(type_key, device.values)).values == device.values
    assert build_device(type_key, device.values, xml) == xml


@pytest.mark.parametrize("type_key", DEVICE_TYPES)
@_FEW
@given(data=st.data())
def test_a_device_that_is_edited_says_what_it_would_say_if_it_were_new(type_key: str, data: st.DataObject) -> None:
    _values, old = _built(type_key, data)
    _values, new = _built(type_key, data)
    wanted = parse_one_device(new).values
    assert parse_one_device(build_device(type_key, wanted, old)).values == wanted


def _built(type_key: str, data: st.DataObject) -> tuple[dict[str, Value], str]:
    values = drawn_values(DEVICE_TYPES[type_key], data)
    return values, build_device(type_key, values)
