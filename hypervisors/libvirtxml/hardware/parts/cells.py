"""The NUMA nodes of a guest, <cpu><numa><cell>: what CPUs and memory amount to when there are any."""

from lxml import etree

from hypervisors.libvirtxml.documents import size_bytes
from hypervisors.libvirtxml.hardware.paths import elements_at


def cells_of(root: etree._Element) -> list[etree._Element]:
    return elements_at(root, "cpu/numa/cell")


def memory_kib_of(cell: etree._Element) -> int:
    return (size_bytes(cell.get("memory", "0"), cell.get("unit", "KiB")) or 0) // 1024


def set_memory_kib(cell: etree._Element, memory_kib: int) -> None:
    cell.set("memory", str(memory_kib))
    cell.set("unit", "KiB")


def cpu_numbers(count: int) -> str:
    """The first so many CPUs: "0-3"."""
    return "0" if count == 1 else f"0-{count - 1}"


def most_cpu(cpus: str) -> int:
    """The highest number of a list such as "0-3,8"; -1 when it names none."""
    numbers = [int(part) for part in cpus.replace("^", "").replace("-", ",").split(",") if part.strip().isdecimal()]
    return max(numbers, default=-1)
