"""Features of the machine and its clock, https://libvirt.org/formatdomain.html#hypervisor-features."""

from hypervisors.libvirtxml.hardware.fields import Field, Values, when
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.types.words import ON_OFF

_PRESENT = ("yes", "no")
_TICKS = ("delay", "catchup", "merge", "discard")


def _state(name: str, path: str) -> Field:
    return Field(name, f"features/{path}/@state", "flag", choices=ON_OFF)


def _hyperv(name: str) -> Field:
    return Field(
        f"hyperv_{name}",
        f"features/hyperv/{name}/@state",
        "flag",
        choices=ON_OFF,
        only_if=when(hyperv_mode=("", "custom")),
    )


_FEATURE_FIELDS = (
    Field("acpi", "features/acpi", "presence"),
    Field("apic", "features/apic", "presence"),
    Field("pae", "features/pae", "presence"),
    Field("smm", "features/smm/@state", "choice", choices=ON_OFF),
    Field("vmport", "features/vmport/@state", "choice", choices=ON_OFF),
    Field("pmu", "features/pmu/@state", "choice", choices=ON_OFF),
    Field("ioapic", "features/ioapic/@driver", "choice", choices=("kvm", "qemu")),
    _state("vmcoreinfo", "vmcoreinfo"),
    Field("unknown_registers", "features/msrs/@unknown", "choice", choices=("ignore", "fault")),
    _state("kvm_hidden", "kvm/hidden"),
    _state("kvm_dedicated", "kvm/hint-dedicated"),
    _state("kvm_poll_control", "kvm/poll-control"),
    Field("hyperv_mode", "features/hyperv/@mode", "choice", choices=("custom", "passthrough")),
    *(_hyperv(name) for name in ("relaxed", "vapic", "spinlocks")),
    Field(
        "hyperv_spinlock_retries",
        "features/hyperv/spinlocks/@retries",
        "number",
        minimum=4095,
        maximum=2**32 - 1,
        only_if=when(hyperv_spinlocks=True),
        required=True,
        default=8191,
    ),
    *(_hyperv(name) for name in ("vpindex", "runtime", "synic", "stimer", "reset", "vendor_id")),
    Field(
        "hyperv_vendor",
        "features/hyperv/vendor_id/@value",
        pattern=r"[A-Za-z0-9_. -]{1,12}",
        only_if=when(hyperv_vendor_id=True),
        required=True,
    ),
    *(_hyperv(name) for name in ("frequencies", "reenlightenment", "tlbflush", "ipi", "evmcs", "avic")),
)


def _timer(name: str) -> Field:
    return Field(name, f"clock/timer[@name='{name}']/@present", "choice", choices=_PRESENT)


_CLOCK_FIELDS = (
    Field(
        "offset",
        "clock/@offset",
        "choice",
        choices=("utc", "localtime", "timezone", "variable"),
        required=True,
        default="utc",
    ),
    Field(
        "timezone", "clock/@timezone", pattern=r"[A-Za-z0-9_+/-]{1,64}", only_if=when(offset="timezone"), required=True
    ),
    Field(
        "adjustment_seconds",
        "clock/@adjustment",
        "number",
        minimum=-(2**31),
        maximum=2**31,
        only_if=when(offset="variable"),
    ),
    Field("basis", "clock/@basis", "choice", choices=("utc", "localtime"), only_if=when(offset="variable")),
    Field("rtc_tick_policy", "clock/timer[@name='rtc']/@tickpolicy", "choice", choices=_TICKS),
    Field("rtc_track", "clock/timer[@name='rtc']/@track", "choice", choices=("guest", "wall")),
    Field("pit_tick_policy", "clock/timer[@name='pit']/@tickpolicy", "choice", choices=_TICKS),
    _timer("hpet"),
    _timer("kvmclock"),
    _timer("hypervclock"),
    _timer("tsc"),
)


def _check_features(values: Values) -> None:
    if values.get("hyperv_stimer") and not (values.get("hyperv_vpindex") and values.get("hyperv_synic")):
        raise ValueError("Hyper-V's timers need its VP index and its synthetic interrupts.")
    if values.get("hyperv_synic") and not values.get("hyperv_vpindex"):
        raise ValueError("Hyper-V's synthetic interrupts need its VP index.")


FEATURES = Section(key="features", fields=_FEATURE_FIELDS, check=_check_features)
CLOCK = Section(key="clock", fields=_CLOCK_FIELDS)
