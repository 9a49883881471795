"""Shares, limits and pinning, https://libvirt.org/formatdomain.html#cpu-tuning, and I/O threads."""

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import NODES, Field, Values
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.paths import elements_at, remove_child, remove_if_empty

_MOST = 2**53


def _period(name: str) -> Field:
    return Field(f"{name}_microseconds", f"cputune/{name}", "number", minimum=1000, maximum=1000000)


def _quota(name: str) -> Field:
    # -1 is no limit; what is between is refused by the check.
    return Field(f"{name}_microseconds", f"cputune/{name}", "number", minimum=-1, maximum=17592186044415)


def _limit(name: str) -> Field:
    return Field(f"{name}_kib", f"memtune/{name}", "size_kib", minimum=1, maximum=9007199254740991)


def _pins(name: str, tag: str, attribute: str) -> Field:
    columns = (
        Field(
            attribute, f"@{attribute}", "number", minimum=1 if tag == "iothreadpin" else 0, maximum=4095, required=True
        ),
        Field("cpuset", "@cpuset", pattern=NODES, required=True),
    )
    return Field(name, f"cputune/{tag}", "lines", columns=columns)


_DEVICE_COLUMNS = (
    Field("path", "path", "path", required=True),
    Field("weight", "weight", "number", minimum=10, maximum=1000),
    Field("read_bytes_sec", "read_bytes_sec", "number", minimum=1),
    Field("write_bytes_sec", "write_bytes_sec", "number", minimum=1),
    Field("read_iops_sec", "read_iops_sec", "number", minimum=1, maximum=2**32 - 1),
    Field("write_iops_sec", "write_iops_sec", "number", minimum=1, maximum=2**32 - 1),
)

_TUNING_FIELDS = (
    Field("shares", "cputune/shares", "number", minimum=2, maximum=262144),
    _period("period"),
    _quota("quota"),
    _period("global_period"),
    _quota("global_quota"),
    _period("emulator_period"),
    _quota("emulator_quota"),
    _period("iothread_period"),
    _quota("iothread_quota"),
    _pins("vcpu_pins", "vcpupin", "vcpu"),
    Field("emulator_pin", "cputune/emulatorpin/@cpuset", pattern=NODES),
    _pins("iothread_pins", "iothreadpin", "iothread"),
    _limit("hard_limit"),
    _limit("soft_limit"),
    _limit("swap_hard_limit"),
    Field("io_weight", "blkiotune/weight", "number", minimum=10, maximum=1000),
    Field("io_devices", "blkiotune/device", "lines", columns=_DEVICE_COLUMNS),
    Field("partition", "resource/partition", "path"),
)

_IOTHREAD_FIELDS = (
    Field("count", "iothreads", "number", maximum=1024),
    Field(
        "iothreads",
        "iothreadids/iothread",
        "lines",
        columns=(
            Field("id", "@id", "number", minimum=1, maximum=2**31 - 1, required=True),
            Field("thread_pool_min", "@thread_pool_min", "number", maximum=4096),
            Field("thread_pool_max", "@thread_pool_max", "number", minimum=1, maximum=4096),
        ),
    ),
)


def _check_tuning(values: Values) -> None:
    hard, swap = values.get("hard_limit_kib"), values.get("swap_hard_limit_kib")
    if isinstance(swap, int) and (not isinstance(hard, int) or swap < hard):
        raise ValueError("The limit of memory and swap together is at least that of memory.")
    for name, value in values.items():
        if name.endswith("quota_microseconds") and isinstance(value, int) and 0 <= value < 1000:
            raise ValueError("A quota of processor time is 1000 microseconds or more, or -1 for no limit.")


def _check_iothreads(values: Values) -> None:
    count = values.get("count")
    if len(str(values.get("iothreads", "")).splitlines()) > (count if isinstance(count, int) else 0):
        raise ValueError("There are more numbered I/O threads than I/O threads.")


def _settle_iothreads(root: etree._Element, before: Values, after: Values) -> None:
    """The numbers of threads that there are no more go: with them, libvirt would make as many threads as before."""
    count = after.get("count")
    if before.get("iothreads") != after.get("iothreads"):
        return
    for iothread in elements_at(root, "iothreadids/iothread")[count if isinstance(count, int) else 0 :]:
        remove_child(iothread)
    remove_if_empty(root, "iothreadids")


TUNING = Section(key="tuning", fields=_TUNING_FIELDS, check=_check_tuning)
IOTHREADS = Section(key="iothreads", fields=_IOTHREAD_FIELDS, check=_check_iothreads, settle=_settle_iothreads)
