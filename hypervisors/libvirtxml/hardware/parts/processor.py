"""Virtual CPUs and the processor's model, https://libvirt.org/formatdomain.html#cpu-model-and-topology."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import NODES, Field, Value, Values, when
from hypervisors.libvirtxml.hardware.parts.cells import cells_of, cpu_numbers, most_cpu
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.paths import read_at, remove_at
from hypervisors.libvirtxml.hardware.types.words import ON_OFF

_MOST_VCPUS = 4096
_TOPOLOGY = ("sockets", "dies", "cores", "threads")

_FEATURE_COLUMNS = (
    Field("name", "@name", pattern=r"[A-Za-z0-9_.-]{1,40}", required=True),
    Field("policy", "@policy", "choice", choices=("require", "disable", "force", "optional", "forbid"), required=True),
)


def _topology(name: str) -> Field:
    return Field(name, f"cpu/topology/@{name}", "number", minimum=1, maximum=_MOST_VCPUS)


_FIELDS = (
    Field("vcpus_max", "vcpu", "number", minimum=1, maximum=_MOST_VCPUS, default=1, required=True),
    Field("vcpus_current", "vcpu/@current", "number", minimum=1, maximum=_MOST_VCPUS),
    Field("placement", "vcpu/@placement", "choice", choices=("static", "auto")),
    Field("cpuset", "vcpu/@cpuset", pattern=NODES),
    Field("mode", "cpu/@mode", "choice", choices=("host-model", "host-passthrough", "maximum", "custom")),
    Field("model", "cpu/model", pattern=r"[A-Za-z0-9_.-]{1,60}", only_if=when(mode="custom"), required=True),
    Field("fallback", "cpu/model/@fallback", "choice", choices=("allow", "forbid"), only_if=when(mode="custom")),
    Field("match", "cpu/@match", "choice", choices=("exact", "minimum", "strict"), only_if=when(mode="custom")),
    Field(
        "check",
        "cpu/@check",
        "choice",
        choices=("none", "partial", "full"),
        only_if=when(mode=("custom", "host-model")),
    ),
    Field(
        "migratable",
        "cpu/@migratable",
        "flag",
        choices=ON_OFF,
        default=True,
        only_if=when(mode=("host-passthrough", "maximum")),
    ),
    *(_topology(name) for name in _TOPOLOGY),
    Field("cache_mode", "cpu/cache/@mode", "choice", choices=("emulate", "passthrough", "disable")),
    Field("cache_level", "cpu/cache/@level", "number", minimum=1, maximum=3, only_if=when(cache_mode="emulate")),
    Field("features", "cpu/feature", "lines", columns=_FEATURE_COLUMNS),
)


def _read(root: etree._Element) -> dict[str, Value]:
    """Where it is not said how many it begins with, it begins with all."""
    most = read_at(root, "vcpu") or "1"
    is_said = read_at(root, "vcpu/@current") is not None
    return {} if is_said or not most.isdecimal() else {"vcpus_current": int(most)}


def _check(values: Values) -> None:
    most, current = _number(values["vcpus_max"]), _number(values.get("vcpus_current"))
    if current > most:
        raise ValueError(f"It cannot have {current} of at most {most} virtual CPUs.")
    stated = {name: _number(values.get(name)) for name in _TOPOLOGY}
    if any(stated.values()):
        _check_topology(stated, most)
    if values.get("features") and not values.get("mode"):
        raise ValueError("Features of a processor belong to a processor model: choose one.")


def _check_topology(stated: dict[str, int], most: int) -> None:
    if not all(stated[name] for name in ("sockets", "cores", "threads")):
        raise ValueError("A topology is sockets, cores and threads.")
    product = stated["sockets"] * (stated["dies"] or 1) * stated["cores"] * stated["threads"]
    if product != most:
        raise ValueError(f"This topology has {product} CPUs, and the machine at most {most}: they must be the same.")


def _settle(root: etree._Element, before: Values, after: Values) -> None:
    if after.get("vcpus_current") == after["vcpus_max"]:
        remove_at(root, "vcpu/@current")
    if any(before.get(name) != after.get(name) for name in ("vcpus_max", "vcpus_current")):
        # Which of them are plugged in, one by one: it would contradict the new numbers.
        remove_at(root, "vcpus")
    if before["vcpus_max"] != after["vcpus_max"]:
        _settle_cells(root, _number(after["vcpus_max"]))
    if before.get("mode") != after.get("mode") and before.get("check", "") == after.get("check", ""):
        remove_at(root, "cpu/@check")


def _settle_cells(root: etree._Element, most: int) -> None:
    """NUMA nodes name the CPUs that they have. Raises: ValueError when it is not clear which node loses one."""
    cells = cells_of(root)
    if len(cells) == 1:
        cells[0].set("cpus", cpu_numbers(most))
    elif any(most_cpu(cell.get("cpus", "")) >= most for cell in cells):
        raise ValueError(f"Its NUMA nodes have CPUs above {most - 1}: change them first.")


def _number(value: Value | None) -> int:
    return value if isinstance(value, int) else 0


PROCESSOR = Section(key="processor", fields=_FIELDS, read=_read, check=_check, settle=_settle)
