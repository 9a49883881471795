"""What a device or a section names of its host: files, devices, addresses. Only who manages the host may name those.

As in the creation of machines: what is chosen from rows (volumes, networks) is named by who may see it.
"""

from collections.abc import Iterator, Mapping

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, parse_document
from hypervisors.libvirtxml.domain_references import FileReference, find_references
from hypervisors.libvirtxml.hardware.device_types import device_type_of
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.sections import SECTIONS
from hypervisors.libvirtxml.hardware.values import read_values

# Elements that are a piece of the host, or lead out of the machine, whatever they say.
_PIECES = frozenset({"hostdev", "filesystem", "shmem", "lease", "vsock", "crypto", "tpm"})
_CHARACTER_DEVICES = frozenset({"serial", "parallel", "console", "channel", "redirdev", "smartcard", "rng"})
# Back ends of theirs that end in QEMU itself, or in what the screen's client holds.
_OWN_BACK_ENDS = frozenset({"", "pty", "null", "vc", "spicevmc", "qemu-vdagent", "unix"})
# QEMU's own network ("user") leads to whatever listens on the host's loopback.
_PLUGGED_CARDS = frozenset({"network", "bridge", "direct"})
# Sections that say how much of the host's processors and memory is whose.
_SHARED = frozenset({"tuning", "numa"})
_SHARED_FIELDS = frozenset(
    {"hugepages", "hugepage_kib", "locked", "allocation", "no_same_page_merging", "cpuset", "placement"}
)
_RANDOM = frozenset({"/dev/urandom", "/dev/random"})
# They write the guest's whole memory into the host's own file system, as often as the guest likes.
_DUMPS = frozenset({"dump", "coredump-destroy", "coredump-restart"})
_DRIVES = frozenset({"cdrom", "floppy"})


def names_of_the_host(device_xml: str, *, has_chosen_volume: bool = False) -> frozenset[str]:
    """Empty when whoever configures the machine may have it so. Raises: ValueError when it cannot be read.

    `has_chosen_volume`: a disk's image was chosen from rows, and is no name of the host.
    """
    device = parse_document(device_xml)
    uses = () if has_chosen_volume else tuple(_uses_of_storage(device))
    if has_chosen_volume:
        for element in (*device.findall("source"), *device.findall("backingStore")):
            device.remove(element)
        device.set("type", "file")
    references = find_references(etree.tostring(device, encoding="unicode"))
    return frozenset((*uses, *_named(device), *_paths(device))) | {_reference(one) for one in references}


def new_names_of_the_host(before_xml: str, after_xml: str, *, has_chosen_volume: bool = False) -> frozenset[str]:
    """What a change names that was not named before."""
    return names_of_the_host(after_xml, has_chosen_volume=has_chosen_volume) - names_of_the_host(before_xml)


def is_piece_of_the_host(device_xml: str) -> bool:
    """Whether it is a device or a folder of the host. Raises: ValueError when it cannot be read."""
    device = parse_document(device_xml)
    return device.tag in _PIECES and not _is_emulated_tpm(device)


def section_names_of_the_host(section: str, changes: Mapping[str, Value]) -> bool:
    """Whether what was changed of a section names or fills the host's files, or takes what is everybody's there."""
    paths = {field.name for field in SECTIONS[section].fields if field.kind == "path"}
    is_shared = section in _SHARED or any(name in _SHARED_FIELDS for name in changes)
    dumps = any(value in _DUMPS for value in changes.values())
    return dumps or any(value and name in paths for name, value in changes.items()) or (is_shared and bool(changes))


def _paths(device: etree._Element) -> Iterator[str]:
    """What stands in its fields for paths, whatever it looks like: links upwards, terminals of others."""
    fields = device_type_of(device).fields
    values = read_values(device, fields)
    for field in fields:
        value = values.get(field.name)
        if field.kind == "path" and value and not (device.tag == "rng" and value in _RANDOM):
            yield f"{field.path} {value}"


def _reference(one: FileReference) -> str:
    return f"{one.path}:{one.storage_pool}:{one.volume}"


def _named(device: etree._Element) -> Iterator[str]:
    tag = str(device.tag)
    if tag in _PIECES and not _is_emulated_tpm(device):
        yield etree.tostring(device, encoding="unicode", with_tail=False)
    if tag in _CHARACTER_DEVICES:
        yield from _back_ends(device)
    if tag == "interface":
        yield from _plugs(device)
    if tag == "graphics":
        yield from _listens(device)
    if tag == "tpm":
        yield from (f"secret {one.get('secret', '')}" for one in device.iterfind("backend/encryption"))
    if tag == "disk" and device.get("type") == "network":
        yield from _sources(device)
    if tag == "watchdog" and device.get("action") in _DUMPS:
        yield "dump"
    if tag == "memory":
        yield from (f"memory {one.tag} {one.text}" for one in device.iterfind("source/*") if one.tag != "path")


def _plugs(card: etree._Element) -> Iterator[str]:
    """What it is plugged into that is no network: a device of the host, or one that it has for itself alone."""
    kind = card.get("type", "")
    if kind not in _PLUGGED_CARDS:
        yield f"interface {kind}"
        yield from _sources(card)
    if kind == "direct" and attribute_at(card, "source", "mode") == "passthrough":
        yield f"passthrough {attribute_at(card, 'source', 'dev')}"


def _sources(device: etree._Element) -> Iterator[str]:
    yield from (etree.tostring(one, encoding="unicode", with_tail=False) for one in device.findall("source"))


def _uses_of_storage(device: etree._Element) -> Iterator[str]:
    """How an image is used that stays the same: read as another format, the bytes that the guest wrote name files."""
    if device.tag != "disk" or device.find("source") is None:
        return
    yield f"as {attribute_at(device, 'driver', 'type') or 'raw'}"
    if device.get("device") == "lun":
        yield "commands to the device"
    if device.get("device") not in _DRIVES and device.find("readonly") is None:
        yield "to write"


def _is_emulated_tpm(device: etree._Element) -> bool:
    return device.tag == "tpm" and attribute_at(device, "backend", "type") in ("", "emulator")


def _back_ends(device: etree._Element) -> Iterator[str]:
    kind = device.get("type", "") or device.get("mode", "")
    if device.tag == "rng":
        backend = device.find("backend")
        source = "" if backend is None else (backend.text or "").strip()
        is_own = attribute_at(device, "backend", "model") == "builtin" or source in _RANDOM
        kind = "" if is_own else f"rng {source}"
    if device.tag == "smartcard" and kind == "passthrough":
        kind = device.get("type", "")
    if kind not in _OWN_BACK_ENDS:
        yield f"{device.tag} {kind}"
    for element in device.iter("source"):
        for name in ("path", "host", "service"):
            if element.get(name):
                yield f"{device.tag} {name} {element.get(name)}"


def _listens(device: etree._Element) -> Iterator[str]:
    for element in device.iter("graphics", "listen"):
        for name in ("listen", "address", "network", "socket", "port", "tlsPort", "websocket"):
            value = element.get(name)
            if value and value != "-1":
                yield f"listen {name} {value}"
