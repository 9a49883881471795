"""What waits for the next start: active XML against inactive XML, by what devices are, not by where they stand.

Generic: what both say with other values, and what only the stored definition says, is a change. What only the running
machine says is a change where a form knows the field, for then somebody took it out; else it is the hypervisor's own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import device_elements, parse_definition
from hypervisors.libvirtxml.hardware.device_types import DeviceType, device_type_of
from hypervisors.libvirtxml.hardware.fields import Field, Value, Values
from hypervisors.libvirtxml.hardware.flattening import flattened, plain_path
from hypervisors.libvirtxml.hardware.identities import identified
from hypervisors.libvirtxml.hardware.live_parts import (
    OF_EVERY_DEVICE,
    OF_THE_DOMAIN,
    RUNTIME_PATHS,
    is_runtime_field,
    is_runtime_setting,
)
from hypervisors.libvirtxml.hardware.lost_parts import lost_parts
from hypervisors.libvirtxml.hardware.paths import read_at
from hypervisors.libvirtxml.hardware.sections import SECTIONS, Section, values_of
from hypervisors.libvirtxml.hardware.summaries import summary_of
from hypervisors.libvirtxml.hardware.values import read_values

__all__ = ["Difference", "lost_parts", "pending_differences"]

_Devices = dict[str, etree._Element]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`part` is a device's type key, or the domain's element that it is in; `section` is the form for that, if any.

    `name` is a field's, or the path of what no form knows; empty for a device that is added or taken out as a whole.
    `now` and `then` are empty where nothing is.
    """

    part: str
    section: str = ""
    device_id: str = ""
    name: str = ""
    now: str = ""
    then: str = ""


def pending_differences(live_xml: str, inactive_xml: str) -> tuple[Difference, ...]:
    """First the domain's own, then its devices'. Raises: ValueError when one cannot be read."""
    live, inactive = parse_definition(live_xml), parse_definition(inactive_xml)
    return (*_domain_differences(live, inactive), *_all_device_differences(live, inactive))


def _domain_differences(live: etree._Element, inactive: etree._Element) -> Iterator[Difference]:
    now, then = (flattened(root, without=OF_THE_DOMAIN) for root in (live, inactive))
    if now == then:
        return
    known: set[str] = set()
    for section in SECTIONS.values():
        known |= _paths(section.plain_fields)
        yield from _section_differences(section, live, inactive)
    for path in _changed(now, then, known | {"currentMemory/@unit", "@id"}):
        if not path.startswith("cpu/") or now.get(path) is None:
            part = plain_path(path).split("/")[0]
            yield Difference(part=part, name=path, now=now.get(path, ""), then=then[path])


def _section_differences(section: Section, live: etree._Element, inactive: etree._Element) -> Iterator[Difference]:
    now, then = values_of(section, live), values_of(section, inactive)
    for field in section.fields:
        if _is_same(now, then, field) or is_runtime_setting(section.key, field.name, now, then):
            continue
        part = field.path.split("/")[0].split("[")[0] or "os"
        yield Difference(part=part, section=section.key, name=field.name, **_texts(now, then, field))


def _all_device_differences(live: etree._Element, inactive: etree._Element) -> Iterator[Difference]:
    now, then = dict(identified(device_elements(live))), dict(identified(device_elements(inactive)))
    names = {name: name for name in then if name in now} | _moved(now, then)
    for name, element in then.items():
        if name in names:
            yield from _device_differences(name, now[names[name]], element)
        else:
            kind = device_type_of(element)
            yield Difference(part=_part(kind, element), device_id=name, then=summary_of(kind, element) or name)
    for name, element in now.items():
        if name not in names.values():
            kind = device_type_of(element)
            yield Difference(part=_part(kind, element), device_id=name, now=summary_of(kind, element) or name)


def _moved(now: _Devices, then: _Devices) -> dict[str, str]:
    """Devices that are named after their place, and have another one: by what else they say."""
    left: dict[object, list[str]] = {}
    for name, element in now.items():
        if name not in then:
            left.setdefault(_alike(element), []).append(name)
    came = {name: _alike(element) for name, element in then.items() if name not in now}
    return {name: left[value].pop() for name, value in came.items() if left.get(value)}


def _alike(element: etree._Element) -> object:
    """The same for two devices that differ in nothing but their place; those that have a name are never moved."""
    kind = device_type_of(element)
    if kind.identity or not kind.fields:
        return element
    return str(element.tag), frozenset(read_values(element, kind.fields).items())


def _device_differences(name: str, live: etree._Element, inactive: etree._Element) -> Iterator[Difference]:
    now, then = (flattened(element, without=OF_EVERY_DEVICE) for element in (live, inactive))
    if {path for path in now if now[path] != then.get(path)} <= RUNTIME_PATHS and set(then) <= set(now):
        return
    kind = device_type_of(inactive)
    part = _part(kind, inactive)
    live_values, inactive_values = _running_values(kind, live, inactive), read_values(inactive, kind.fields)
    for field in kind.fields:
        is_runtime = is_runtime_field(kind.key, field.name, live_values, inactive_values)
        if not _is_same(live_values, inactive_values, field) and not is_runtime:
            yield Difference(part=part, device_id=name, name=field.name, **_texts(live_values, inactive_values, field))
    for path in _changed(now, then, _paths(kind.fields)):
        yield Difference(part=part, device_id=name, name=path, now=now.get(path, ""), then=then[path])


def _running_values(kind: DeviceType, live: etree._Element, inactive: etree._Element) -> dict[str, Value]:
    """While a card runs, a network that is a bridge is said as a bridge: with the network's name beside it."""
    values = read_values(live, kind.fields)
    if kind.key == "interface" and inactive.get("type") == "network" and read_at(live, "source/@network"):
        values |= {"source_network": live.find("source").get("network", "")}  # type: ignore[union-attr]
        values |= {"portgroup": read_at(live, "source/@portgroup") or ""}
    return values


def _changed(now: dict[str, str], then: dict[str, str], known: set[str]) -> Iterator[str]:
    """The paths that no form knows and that the stored definition says otherwise, or alone."""
    leading = {above for path in known for above in _with_above(path)}
    for path, value in then.items():
        if now.get(path) != value and plain_path(path) not in leading and not known & _with_above(plain_path(path)):
            yield path


def _with_above(path: str) -> set[str]:
    """The path, and those that lead to it."""
    parts = path.split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _paths(fields: Iterable[Field]) -> set[str]:
    return {plain_path(field.path) for field in fields if field.path}


def _is_same(now: Values, then: Values, field: Field) -> bool:
    # A field that does not exist on one side says there what it says where nothing is.
    return now.get(field.name, field.absent_value) == then.get(field.name, field.absent_value)


def _texts(now: Values, then: Values, field: Field) -> dict[str, str]:
    return {"now": _text(field, now.get(field.name)), "then": _text(field, then.get(field.name))}


def _text(field: Field, value: Value | None) -> str:
    if isinstance(value, bool):
        return ("yes" if value else "") if field.kind == "presence" else ("yes" if value else "no")
    return "" if value is None else str(value)


def _part(kind: DeviceType, element: etree._Element) -> str:
    return kind.key if kind.fields else str(element.tag)
