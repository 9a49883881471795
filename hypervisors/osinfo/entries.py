"""osinfo-db's <os> elements as they stand, before anything is inherited."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

from lxml import etree

from hypervisors.osinfo.systems import Image, Medium, Tree

logger = logging.getLogger(__name__)

_RESOURCE_FIELDS = {"ram": "memory", "n-cpus": "vcpus", "storage": "disk"}


@dataclass(kw_only=True)
class Entry:
    """One system as its file says. Resources are bytes and counts by (arch, "minimum" | "recommended", name)."""

    osinfo_id: str
    texts: dict[str, str] = field(default_factory=dict)
    short_ids: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)  # clones, then derives-from
    devices: dict[str, bool] = field(default_factory=dict)
    firmwares: dict[str, bool] = field(default_factory=dict)
    resources: dict[tuple[str, str, str], int] = field(default_factory=dict)
    # (arch, "minimum" | "recommended") that a file has, and those that take the parents' values.
    resource_kinds: set[tuple[str, str]] = field(default_factory=set)
    inherited_kinds: set[tuple[str, str]] = field(default_factory=set)
    scripts: list[str] = field(default_factory=list)
    media: list[Medium] = field(default_factory=list)
    images: list[Image] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    is_own: bool = False


def read_entries(paths: Iterable[Path], *, is_own: bool = False) -> dict[str, Entry]:
    """By identifier; what stands in several files is put together. A file that cannot be read is passed over."""
    entries: dict[str, Entry] = {}
    for path in paths:
        for element in elements_of(path, "os"):
            osinfo_id = element.get("id", "")
            entry = entries.setdefault(osinfo_id, Entry(osinfo_id=osinfo_id, is_own=is_own))
            _read(entry, element)
    return {osinfo_id: entry for osinfo_id, entry in entries.items() if osinfo_id and entry.short_ids}


def elements_of(path: Path, tag: str) -> Iterator[etree._Element]:
    """The root's children of this name."""
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
        root = etree.parse(str(path), parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        logger.warning("A file of the operating system database is passed over: %s", error)
        return
    yield from root.iterchildren(tag)


_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_TEXTS = ("name", "version", "vendor", "family", "distro", "codename", "release-date", "eol-date", "release-status")


def _read(entry: Entry, element: etree._Element) -> None:
    for child in element.iterchildren(tag=etree.Element):
        tag, text = str(child.tag), (child.text or "").strip()
        if tag in _TEXTS and child.get(_LANGUAGE) is None:
            entry.texts[tag] = text
        elif tag == "short-id" and text:
            entry.short_ids.append(text)
        elif tag in ("clones", "derives-from"):
            entry.parents.append(child.get("id", ""))
        elif tag in _READERS:
            _READERS[tag](entry, child)


def _read_devices(entry: Entry, element: etree._Element) -> None:
    for device in element.iterchildren("device"):
        entry.devices[intern(device.get("id", ""))] = device.get("supported") != "false"


def _read_firmware(entry: Entry, element: etree._Element) -> None:
    if element.get("arch") in ("x86_64", "all"):
        entry.firmwares[element.get("type", "")] = element.get("supported") != "false"


def _read_resources(entry: Entry, element: etree._Element) -> None:
    arch = element.get("arch", "all")
    for kind in ("minimum", "recommended"):
        found = element.find(kind)
        if element.get("inherit") == "true" or (found is not None and found.get("inherit") == "true"):
            entry.inherited_kinds.add((arch, kind))
        if found is None:
            continue
        entry.resource_kinds.add((arch, kind))
        for child in found.iterchildren(*_RESOURCE_FIELDS):
            if (child.text or "").strip().isdigit():
                entry.resources[arch, kind, _RESOURCE_FIELDS[str(child.tag)]] = int(child.text or "")


def _read_medium(entry: Entry, element: etree._Element) -> None:
    labels = {str(child.tag): (child.text or "").strip() for child in element.iterfind("iso/*")}
    size = labels.get("volume-size", "")
    entry.media.append(
        Medium(
            arch=intern(element.get("arch", "")),
            volume_id=labels.get("volume-id", ""),
            system_id=intern(labels.get("system-id", "")),
            publisher_id=intern(labels.get("publisher-id", "")),
            application_id=intern(labels.get("application-id", "")),
            volume_size_bytes=int(size) if size.isdigit() else None,
            variants=tuple(intern(variant.get("id", "")) for variant in element.iterchildren("variant")),
            kernel=intern(_text(element, "kernel")),
            initrd=intern(_text(element, "initrd")),
            is_live=element.get("live") == "true",
            takes_script=element.get("installer-script") != "false",
            installer_reboots=int(element.get("installer-reboots", "1")),
        )
    )
    _read_scripts(entry, element.find("installer"))


def _read_scripts(entry: Entry, element: etree._Element | None) -> None:
    for script in () if element is None else element.iterchildren("script"):
        if script.get("id", "") not in entry.scripts:
            entry.scripts.append(intern(script.get("id", "")))


def _read_image(entry: Entry, element: etree._Element) -> None:
    entry.images.append(
        Image(
            arch=intern(element.get("arch", "")),
            format=intern(element.get("format", "")),
            url=_text(element, "url"),
            has_cloud_init=element.get("cloud-init") == "true",
        )
    )


def _read_tree(entry: Entry, element: etree._Element) -> None:
    if url := _text(element, "url"):
        kernel, initrd = intern(_text(element, "kernel")), intern(_text(element, "initrd"))
        entry.trees.append(Tree(arch=intern(element.get("arch", "")), url=url, kernel=kernel, initrd=initrd))


def _text(element: etree._Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


_READERS = {
    "devices": _read_devices,
    "firmware": _read_firmware,
    "resources": _read_resources,
    "media": _read_medium,
    "installer": _read_scripts,
    "image": _read_image,
    "tree": _read_tree,
}
