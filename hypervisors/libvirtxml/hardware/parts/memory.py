"""How much memory, and of what, https://libvirt.org/formatdomain.html#memory-allocation."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import NODES, Field, Value, Values, when
from hypervisors.libvirtxml.hardware.parts.cells import cells_of, memory_kib_of, set_memory_kib
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.paths import read_at
from hypervisors.libvirtxml.hardware.values import read_value

_MOST_KIB = 2**44  # 16 PiB
_MEMORY = Field("memory_kib", "memory", "size_kib", minimum=1024, maximum=_MOST_KIB, required=True)
_CURRENT = Field("current_memory_kib", "currentMemory", "size_kib", minimum=1024, maximum=_MOST_KIB)
_MODES = ("strict", "preferred", "interleave", "restrictive")

_MEMORY_FIELDS = (
    _MEMORY,
    _CURRENT,
    Field("max_memory_kib", "maxMemory", "size_kib", minimum=1024, maximum=_MOST_KIB),
    Field("slots", "maxMemory/@slots", "number", minimum=1, maximum=256),
    Field("hugepages", "memoryBacking/hugepages", "presence"),
    Field("hugepage_kib", "memoryBacking/hugepages/page/@size", "size_kib", minimum=4, only_if=when(hugepages=True)),
    Field("source", "memoryBacking/source/@type", "choice", choices=("memfd", "file", "anonymous")),
    Field("access", "memoryBacking/access/@mode", "choice", choices=("shared", "private")),
    Field("allocation", "memoryBacking/allocation/@mode", "choice", choices=("immediate", "ondemand")),
    Field("locked", "memoryBacking/locked", "presence"),
    Field("no_same_page_merging", "memoryBacking/nosharepages", "presence"),
    Field("discard", "memoryBacking/discard", "presence"),
)

_CELL_COLUMNS = (
    Field("id", "@id", "number", maximum=1023, required=True),
    Field("cpus", "@cpus", pattern=NODES),
    Field("memory_kib", "@memory", "size_kib", minimum=1, required=True),
    Field("access", "@memAccess", "choice", choices=("shared", "private")),
)
_NODE_COLUMNS = (
    Field("cell", "@cellid", "number", maximum=1023, required=True),
    Field("mode", "@mode", "choice", choices=_MODES, required=True),
    Field("host_nodes", "@nodeset", pattern=NODES, required=True),
)
_NUMA_FIELDS = (
    Field("cells", "cpu/numa/cell", "lines", columns=_CELL_COLUMNS),
    Field("memory_mode", "numatune/memory/@mode", "choice", choices=_MODES),
    Field("memory_placement", "numatune/memory/@placement", "choice", choices=("static", "auto")),
    Field("memory_host_nodes", "numatune/memory/@nodeset", pattern=NODES),
    Field("cell_memory", "numatune/memnode", "lines", columns=_NODE_COLUMNS),
)


def _read(root: etree._Element) -> dict[str, Value]:
    """Where it is not said how much it begins with, it begins with all."""
    if read_at(root, "currentMemory") is not None or read_at(root, "memory") is None:
        return {}
    return {"current_memory_kib": read_value(root, _MEMORY)}


def _check_memory(values: Values) -> None:
    memory, current = _kib(values["memory_kib"]), _kib(values.get("current_memory_kib"))
    most, slots = _kib(values.get("max_memory_kib")), values.get("slots")
    if current > memory:
        raise ValueError("It cannot begin with more memory than it has at most.")
    if bool(most) != bool(slots):
        raise ValueError("Memory that is plugged in later needs a maximum and a number of slots.")
    if most and most < memory:
        raise ValueError("The maximum for memory that is plugged in later includes what it has already.")


def _settle_memory(root: etree._Element, before: Values, after: Values) -> None:
    """The NUMA nodes' memory is what counts, where there are any. Raises: ValueError when it is not clear whose."""
    cells, more = cells_of(root), _kib(after["memory_kib"]) - _kib(before["memory_kib"])
    if not more or not cells:
        return
    if len(cells) > 1:
        raise ValueError(f"Its memory is divided among {len(cells)} NUMA nodes: change it there.")
    if memory_kib_of(cells[0]) + more < 1024:
        raise ValueError("The rest of its memory is in memory devices: take one out first.")
    set_memory_kib(cells[0], memory_kib_of(cells[0]) + more)


def _check_numa(values: Values) -> None:
    if values.get("memory_host_nodes") and values.get("memory_placement") == "auto":
        raise ValueError("The host's nodes are chosen by the host, or named; not both.")
    ids = [line.split()[0] for line in str(values.get("cells", "")).splitlines()]
    if ids != [str(number) for number in range(len(ids))]:
        raise ValueError("NUMA nodes are numbered from 0, without a gap.")
    if values.get("memory_placement") == "static" and not values.get("memory_host_nodes"):
        raise ValueError("Say which of the host's nodes its memory is on.")
    if values.get("memory_mode") and not values.get("memory_host_nodes") and values.get("memory_placement") != "auto":
        raise ValueError("Say which of the host's nodes its memory is on.")
    if values.get("memory_host_nodes") and not values.get("memory_mode"):
        raise ValueError("Say how strictly its memory is on these nodes of the host.")
    if values.get("cell_memory") and not values.get("cells"):
        raise ValueError("It has no NUMA nodes whose memory could be placed.")


def _settle_numa(root: etree._Element, before: Values, after: Values) -> None:
    """The memory of the machine is that of its nodes, and of the devices that were plugged in."""
    more = _sum_kib(after) - _sum_kib(before)
    memory, current = root.find("memory"), root.find("currentMemory")
    if not more or not after.get("cells") or not before.get("cells") or memory is None:
        return
    total = _kib(read_value(root, _MEMORY)) + more
    _set_kib(memory, total)
    if current is not None and _kib(read_value(root, _CURRENT)) > total:
        _set_kib(current, total)


def _sum_kib(values: Values) -> int:
    lines = str(values.get("cells", "")).splitlines()
    return sum(int(line.split()[2]) for line in lines if len(line.split()) > 2 and line.split()[2].isdecimal())


def _set_kib(element: etree._Element, kib: int) -> None:
    element.text = str(kib)
    element.set("unit", "KiB")


def _kib(value: Value | None) -> int:
    return value if isinstance(value, int) else 0


MEMORY = Section(key="memory", fields=_MEMORY_FIELDS, read=_read, check=_check_memory, settle=_settle_memory)
NUMA = Section(key="numa", fields=_NUMA_FIELDS, check=_check_numa, settle=_settle_numa)
