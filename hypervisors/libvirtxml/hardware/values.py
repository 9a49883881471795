"""A table of fields, read from an element and written into it in place."""

from collections.abc import Iterable

from lxml import etree

from hypervisors.libvirtxml.documents import size_bytes
from hypervisors.libvirtxml.hardware.checks import checked_value
from hypervisors.libvirtxml.hardware.fields import Field, MissingValueError, Value, Values, existing_fields
from hypervisors.libvirtxml.hardware.lines import normal_lines, read_lines, split_lines, write_lines
from hypervisors.libvirtxml.hardware.paths import element_at, make_at, read_at, remove_at, split_path, write_at


def read_values(element: etree._Element, fields: Iterable[Field]) -> dict[str, Value]:
    """The value of each field that exists in this element."""
    fields = tuple(fields)
    values = {field.name: read_value(element, field) for field in fields}
    return {field.name: values[field.name] for field in existing_fields(fields, values)}


def write_values(element: etree._Element, fields: Iterable[Field], values: Values) -> None:
    """Make the element say these values. Fields that are not named stay as they are; names of none are passed over.

    Raises: ValueError in words for people; the element may be half written then.
    """
    fields = tuple(fields)
    before = {field.name: read_value(element, field) for field in fields}
    merged = before | {field.name: _given(field, values, before) for field in fields if field.name in values}
    existed, exist = existing_fields(fields, before), existing_fields(fields, merged)
    for field in existed:
        if field not in exist:
            _remove(element, field)
    for field in exist:
        _write_if_changed(element, field, merged[field.name], before[field.name] if field in existed else None)


def read_value(element: etree._Element, field: Field) -> Value:
    """What the element says; the field's default where it says nothing. What cannot be understood is given as it is."""
    if field.kind == "presence":
        return _is_there(element, field)
    if field.kind == "password":
        return ""
    if field.kind == "lines" and field.columns:
        return read_lines(element, field, read_value)
    text = read_at(element, field.path)
    if text is None:
        return field.absent_value
    return _understood(element, field, text)


def _given(field: Field, values: Values, before: Values) -> Value:
    """What was given, checked; what the XML says already is right, whatever it is."""
    if values[field.name] == before[field.name] and field.kind != "password":
        return before[field.name]
    value = checked_value(field, values[field.name])
    if field.kind == "lines" and field.columns:
        for tokens in split_lines(field, str(value)):
            for column, token in zip(field.columns, tokens, strict=True):
                checked_value(column, token)
        return normal_lines(field, str(value))
    return value


def _write_if_changed(element: etree._Element, field: Field, value: Value, before: Value | None) -> None:
    if field.kind == "password":
        _write_password(element, field, value)
        return
    is_stated = field.kind == "presence" or read_at(element, field.path) is not None
    if before is not None and value == before and (is_stated or not field.required):
        return
    if value == "" or (value == field.absent_value and not is_stated and not field.required):
        if field.required:
            raise MissingValueError(field)
        _remove(element, field)
    else:
        _write(element, field, value)


def _write_password(element: etree._Element, field: Field, value: Value) -> None:
    if value is False:
        remove_at(element, field.path)
    elif value != "":
        write_at(element, field.path, str(value))


def _write(element: etree._Element, field: Field, value: Value) -> None:
    if field.kind == "presence":
        _write_presence(element, field, bool(value))
    elif field.kind == "lines" and field.columns:
        write_lines(element, field, str(value), _write_column)
    elif field.kind == "flag":
        write_at(element, field.path, field.flag_words[0 if value else 1])
    else:
        write_at(element, field.path, str(value))
        _write_unit(element, field)


def _write_column(element: etree._Element, column: Field, value: Value) -> None:
    checked = checked_value(column, value)
    if checked == "":
        remove_at(element, column.path)
    elif checked != read_value(element, column) or read_at(element, column.path) is None:
        _write(element, column, checked)


def _write_presence(element: etree._Element, field: Field, is_there: bool) -> None:
    if is_there:
        make_at(element, field.path)
    else:
        remove_at(element, field.path)


def _write_unit(element: etree._Element, field: Field) -> None:
    if field.kind not in ("size_kib", "size_bytes"):
        return
    holder = element_at(element, field.path)
    if holder is not None and (field.kind == "size_kib" or "unit" in holder.attrib):
        holder.set("unit", "KiB" if field.kind == "size_kib" else "bytes")


def _remove(element: etree._Element, field: Field) -> None:
    if field.kind == "lines" and field.columns:
        write_lines(element, field, "", _write_column)
        return
    if field.kind == "size_kib":
        _remove_unit(element, field)
    remove_at(element, field.path)


def _remove_unit(element: etree._Element, field: Field) -> None:
    holder = element_at(element, field.path)
    if holder is not None and split_path(field.path)[1] and "unit" in holder.attrib:
        del holder.attrib["unit"]


def _is_there(element: etree._Element, field: Field) -> bool:
    attribute = split_path(field.path)[1]
    return read_at(element, field.path) is not None if attribute else element_at(element, field.path) is not None


def _understood(element: etree._Element, field: Field, text: str) -> Value:
    if field.kind == "flag":
        return text == field.flag_words[0] if text in field.flag_words else field.absent_value
    if field.kind == "number":
        return int(text) if text.lstrip("-").isdecimal() and len(text) < 21 else text
    if field.kind in ("size_kib", "size_bytes"):
        return _size(element, field, text)
    return text


def _size(element: etree._Element, field: Field, text: str) -> Value:
    holder = element_at(element, field.path)
    unit = "" if holder is None else holder.get("unit", "")
    amount = size_bytes(text, unit or ("KiB" if field.kind == "size_kib" else "bytes"))
    if amount is None:
        return text
    return amount // 1024 if field.kind == "size_kib" else amount
