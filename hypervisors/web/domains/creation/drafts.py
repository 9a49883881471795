"""What a person has filled in so far on the page of a new virtual machine: texts, as the browser sends them.

A field that follows a suggestion is sent with what was suggested before, in `was-<name>`: as long as the two are equal,
nobody has changed it, and it follows the next suggestion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

from django.http import QueryDict

# Longer than any text that anybody means; of user-data and pasted XML more is taken.
_LONGEST, _LONGEST_DOCUMENT = 4_000, 300_000
_DOCUMENTS = frozenset({"xml", "user_data"})
MOST_ROWS = 30
# The host that is chosen when the pool's best is.
BEST = "best"


@dataclass(frozen=True, kw_only=True)
class DiskDraft:
    """One line of the disks. `source`: "new", or "existing", "copy" and "overlay" of the volume."""

    key: str
    source: str = "new"
    storage: str = ""
    size: str = ""
    unit: str = "GiB"
    format: str = "qcow2"
    volume: str = ""
    bus: str = ""


@dataclass(frozen=True, kw_only=True)
class InterfaceDraft:
    """One line of the network cards. `addressing`: "dhcp" or "static", for cloud-init."""

    key: str
    network: str = ""
    bridge: str = ""
    model: str = ""
    mac: str = ""
    addressing: str = "dhcp"
    address: str = ""
    gateway: str = ""
    nameservers: str = ""


Row = TypeVar("Row", DiskDraft, InterfaceDraft)


@dataclass(frozen=True, kw_only=True)
class Draft:
    method: str = "iso"
    name: str = ""
    count: str = "1"
    title: str = ""
    description: str = ""
    pool: str = ""
    host: str = ""
    system: str = ""
    # What it comes from, by method: primary keys of volumes, a template, or what is typed.
    iso: str = ""
    drivers: str = ""
    image: str = ""
    image_way: str = "overlay"
    imported: str = ""
    imported_way: str = "existing"
    template: str = ""
    appliance: str = ""
    tree_url: str = ""
    cmdline: str = ""
    xml: str = ""
    vcpus: str = ""
    memory: str = ""
    memory_unit: str = "GiB"
    disks: tuple[DiskDraft, ...] = ()
    interfaces: tuple[InterfaceDraft, ...] = ()
    firmware: str = ""
    machine: str = ""
    cpu: str = ""
    tpm: str = ""
    video: str = ""
    graphics: str = ""
    autostart: str = ""
    overcommitted: str = ""
    # What the guest is told at its first boot, or its installer.
    answered: str = ""
    profile: str = ""
    user: str = ""
    ssh_keys: str = ""
    password: str = ""
    hostname: str = ""
    packages: str = ""
    user_data: str = ""
    timezone: str = ""
    keyboard: str = ""
    language: str = ""

    def disk(self, key: str) -> DiskDraft:
        return next((disk for disk in self.disks if disk.key == key), DiskDraft(key=key))


def values_of(sent: QueryDict) -> dict[str, str]:
    """The fields as one flat table; lines of disks and cards are named in `disk` and `interface`, space-separated."""
    values = {name: _text(name, sent.get(name, "")) for name in sent}
    for row in ("disk", "interface"):
        keys = dict.fromkeys(key for key in sent.getlist(row) if key.isdecimal() and len(key) < 6)
        values[row] = " ".join(list(keys)[:MOST_ROWS])
    return values


def draft_of(values: Mapping[str, str]) -> Draft:
    plain = {one.name for one in fields(Draft)} - {"disks", "interfaces"}
    given = {name: value for name, value in values.items() if name in plain}
    if given.get("host") == BEST:
        given["host"] = ""
    return Draft(
        **given,
        disks=tuple(_row(DiskDraft, "disk", key, values) for key in values.get("disk", "").split()),
        interfaces=tuple(_row(InterfaceDraft, "interface", key, values) for key in values.get("interface", "").split()),
    )


def with_row(values: dict[str, str], row: str, **given: str) -> dict[str, str]:
    """The same with one more line of `row`."""
    keys = values.get(row, "").split()
    key = str(max((int(key) for key in keys), default=0) + 1)
    if len(keys) >= MOST_ROWS:
        return values
    return {**values, row: " ".join([*keys, key]), **{f"{row}-{key}-{name}": text for name, text in given.items()}}


def without_row(values: dict[str, str], row: str, key: str) -> dict[str, str]:
    kept = [one for one in values.get(row, "").split() if one != key]
    return {name: text for name, text in values.items() if not name.startswith(f"{row}-{key}-")} | {row: " ".join(kept)}


def settled(values: dict[str, str], suggested: Mapping[str, str]) -> dict[str, str]:
    """The same with the suggestion wherever nobody has said otherwise; `was-<name>` says what it is now.

    What has a unit is one with it: "2 GiB" is suggested for the fields `memory` and `memory_unit`.
    """
    result = dict(values)
    for name, text in suggested.items():
        before = values.get(f"was-{name}")
        if name not in values or (before is not None and text_of(values, name) == before):
            result |= dict(zip(parts_of(name), text.split(" ") if unit_of(name) else [text], strict=True))
        result[f"was-{name}"] = text
    return result


def reset(values: dict[str, str], name: str) -> dict[str, str]:
    """The same, with this field following what is suggested again."""
    return {key: text for key, text in values.items() if key not in parts_of(name)}


def text_of(values: Mapping[str, str], name: str) -> str:
    """With its unit, where it has one."""
    return " ".join(values.get(part, "") for part in parts_of(name))


def parts_of(name: str) -> list[str]:
    return [part for part in (name, unit_of(name)) if part]


def unit_of(name: str) -> str:
    """The field of its unit; "" for what has none."""
    if name == "memory":
        return "memory_unit"
    return f"{name.removesuffix('size')}unit" if name.endswith("-size") else ""


def _text(name: str, text: str) -> str:
    """Without NUL, which no database takes; line ends as Unix has them."""
    most = _LONGEST_DOCUMENT if name in _DOCUMENTS else _LONGEST
    return text.replace("\x00", "").replace("\r\n", "\n")[:most]


def _row(kind: type[Row], row: str, key: str, values: Mapping[str, str]) -> Row:
    names = [one.name for one in fields(kind) if one.name != "key"]
    given = {name: values[f"{row}-{key}-{name}"] for name in names if f"{row}-{key}-{name}" in values}
    return kind(key=key, **given)
