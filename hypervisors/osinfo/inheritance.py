"""What a system takes over from those that it clones or derives from: devices, firmware, resources."""

from collections.abc import Mapping

from hypervisors.osinfo.entries import Entry
from hypervisors.osinfo.systems import OperatingSystem, Resources

_Entries = Mapping[str, Entry]


def resolve(entries: _Entries) -> list[OperatingSystem]:
    """Each with what it inherits."""
    cache: dict[str, dict[str, bool]] = {}
    shared: dict[frozenset[str], frozenset[str]] = {}
    systems = []
    for entry in entries.values():
        devices = _supported(_devices(entries, entry.osinfo_id, cache, ()))
        # Hundreds of systems have the same devices: one set for all of them.
        systems.append(_system(entries, entry, shared.setdefault(devices, devices)))
    return systems


def _system(entries: _Entries, entry: Entry, devices: frozenset[str]) -> OperatingSystem:
    texts, firmwares = entry.texts, _firmwares(entries, entry.osinfo_id, ())
    return OperatingSystem(
        short_id=entry.short_ids[0],
        other_short_ids=tuple(entry.short_ids[1:]),
        osinfo_id=entry.osinfo_id,
        name=texts.get("name") or entry.short_ids[0],
        family=texts.get("family", ""),
        distro=texts.get("distro", ""),
        vendor=texts.get("vendor", ""),
        version=texts.get("version", ""),
        codename=texts.get("codename", ""),
        release_date=texts.get("release-date", ""),
        end_of_life_date=texts.get("eol-date", ""),
        release_status=texts.get("release-status") or "released",
        minimum=_resources(entries, entry, "minimum"),
        recommended=_resources(entries, entry, "recommended"),
        devices=devices,
        firmwares=_supported(firmwares),
        firmwares_unsupported=frozenset(name for name, supported in firmwares.items() if not supported),
        install_scripts=tuple(entry.scripts),
        media=tuple(entry.media),
        images=tuple(entry.images),
        trees=tuple(entry.trees),
        is_own_entry=entry.is_own,
    )


def _supported(given: Mapping[str, bool]) -> frozenset[str]:
    return frozenset(name for name, supported in given.items() if supported)


def _devices(
    entries: _Entries, osinfo_id: str, cache: dict[str, dict[str, bool]], above: tuple[str, ...]
) -> dict[str, bool]:
    """The parents' first, its own over them: supported='false' takes one away. `above` guards against circles."""
    if osinfo_id in cache:
        return cache[osinfo_id]
    entry = entries.get(osinfo_id)
    if entry is None or osinfo_id in above:
        return {}
    found: dict[str, bool] = {}
    for parent in reversed(entry.parents):
        found |= _devices(entries, parent, cache, (*above, osinfo_id))
    cache[osinfo_id] = found | entry.devices
    return cache[osinfo_id]


def _firmwares(entries: _Entries, osinfo_id: str, above: tuple[str, ...]) -> dict[str, bool]:
    entry = entries.get(osinfo_id)
    if entry is None or osinfo_id in above:
        return {}
    found: dict[str, bool] = {}
    for parent in reversed(entry.parents):
        found |= _firmwares(entries, parent, (*above, osinfo_id))
    return found | entry.firmwares


def _resources(entries: _Entries, entry: Entry, kind: str) -> Resources:
    memory, vcpus, disk = (_resource(entries, entry, kind, name, ()) for name in ("memory", "vcpus", "disk"))
    return Resources(memory_kib=None if memory is None else memory // 1024, vcpus=vcpus, disk_bytes=disk)


def _resource(entries: _Entries, entry: Entry, kind: str, name: str, above: tuple[str, ...]) -> int | None:
    """Field by field: its own of x86-64, its own of all, else the parents' where it is said to inherit."""
    for arch in ("x86_64", "all"):
        if (value := entry.resources.get((arch, kind, name))) is not None:
            return value
    if not entry.is_own and not any((arch, kind) in entry.inherited_kinds for arch in ("x86_64", "all")):
        return None
    for parent in entry.parents:
        known = entries.get(parent)
        if known is not None and parent not in above:
            value = _resource(entries, known, kind, name, (*above, entry.osinfo_id))
            if value is not None:
                return value
    return None
