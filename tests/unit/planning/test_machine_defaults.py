"""What a new machine is made of, by its system and by what the pool's hosts can do."""

from dataclasses import replace

import pytest

from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities
from hypervisors.libvirtxml.domain_spec import CpuSpec, DomainSpec
from hypervisors.libvirtxml.host_capabilities import GuestArchitecture, HostCapabilities
from hypervisors.osinfo import find_system
from hypervisors.planning.machine_defaults import machine_defaults, with_room_to_grow

GIB_KIB = 1024**2
HYPERV = ("relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "frequencies", "tlbflush", "ipi")


def host(
    *versions: str,
    kvm: bool = True,
    host_model: str = "Skylake-Server",
    features: tuple[str, ...] = ("+aes",),
    models: tuple[str, ...] = ("qemu64", "Westmere", "Haswell-noTSX"),
    spice: bool = True,
    memory_kib: int = 64 * GIB_KIB,
) -> HostCapabilities:
    """With these versions of QEMU's machine types, the last of which is its own."""
    virt_types = ("kvm", "qemu") if kvm else ("qemu",)
    families = {"q35": "pc-q35-", "pc": "pc-i440fx-"}
    return HostCapabilities(
        arch="x86_64",
        cpu_count=16,
        memory_kib=memory_kib,
        guests=(
            GuestArchitecture(
                arch="x86_64",
                virt_types=virt_types,
                machines=tuple(sorted(prefix + version for prefix in families.values() for version in versions)),
                aliases=tuple((alias, prefix + versions[-1]) for alias, prefix in families.items()),
            ),
        ),
        domains=tuple(
            DomainCapabilities(
                virt_type=virt_type,
                arch="x86_64",
                machine=prefix + versions[-1],
                firmwares=("bios", "efi"),
                has_secure_boot=True,
                cpu_modes=("host-model", "maximum", "custom"),
                host_model=host_model,
                host_model_features=features,
                cpu_models=models,
                graphics=("vnc", "spice") if spice else ("vnc",),
                video_models=("vga", "qxl", "virtio", "bochs"),
                tpm_models=("tpm-crb", "tpm-tis"),
                tpm_backends=("passthrough", "emulator"),
                hyperv_features=(*HYPERV, "evmcs") if virt_type == "kvm" else ("spinlocks",),
            )
            for virt_type in virt_types
            for prefix in families.values()
        ),
    )


NEW, OLD = host("6.2", "7.2", "8.0"), host("6.0", "6.2", "7.2")


def defaults(short_id: str, *hosts: HostCapabilities, **given: object) -> DomainSpec:
    system = find_system(short_id)
    assert system is not None
    return machine_defaults(system, hosts or (NEW,), **given)  # type: ignore[arg-type]


def test_the_machine_is_that_of_the_oldest_host_by_its_full_name() -> None:
    assert defaults("debian11", NEW).machine == "pc-q35-8.0"
    assert defaults("debian11", NEW, OLD).machine == defaults("debian11", OLD, NEW).machine == "pc-q35-7.2"
    assert defaults("debian11", host("9.2", "10.0"), host("9.1", "9.2")).machine == "pc-q35-9.2"
    assert defaults("freebsd13.1", NEW, OLD).machine == "pc-i440fx-7.2"


def test_hosts_that_share_no_machine_still_give_one() -> None:
    assert defaults("debian11", host("8.0"), host("6.2")).machine == "pc-q35-8.0"
    assert machine_defaults(None, ()).machine == "pc"


def test_kvm_is_taken_wherever_it_is() -> None:
    slow = host("6.2", kvm=False)
    assert defaults("debian11", slow).virt_type == "qemu"
    mixed = defaults("debian11", slow, NEW)
    assert (mixed.virt_type, mixed.machine) == ("kvm", "pc-q35-8.0")


def test_alike_hosts_give_their_processor_and_others_the_best_that_all_have() -> None:
    assert defaults("debian11", NEW, OLD).cpu == CpuSpec(mode="host-model")
    other = host("8.0", host_model="Haswell", models=("qemu64", "Westmere"))
    assert defaults("debian11", NEW, other).cpu == CpuSpec(mode="custom", model="Westmere")
    fewer_features = host("8.0", features=())
    assert defaults("debian11", NEW, fewer_features).cpu == CpuSpec(mode="custom", model="Haswell-noTSX")


def test_emulation_gets_a_named_processor_or_everything_where_the_system_asks_for_it() -> None:
    slow = host("8.0", kvm=False)
    assert defaults("debian11", slow).cpu == CpuSpec(mode="custom", model="Westmere")
    assert defaults("rhel10.0", slow).cpu == CpuSpec(mode="maximum")


@pytest.mark.parametrize(
    ("short_id", "machine", "firmware", "secure_boot", "tpm", "video", "clock", "agent"),
    [
        ("fedora37", "pc-q35-8.0", "bios", False, "", "virtio", "utc", True),
        ("ubuntu22.04", "pc-q35-8.0", "bios", False, "", "vga", "utc", True),
        ("win10", "pc-q35-8.0", "bios", False, "", "vga", "localtime", False),
        ("win11", "pc-q35-8.0", "uefi", True, "tpm-crb", "bochs", "localtime", False),
        ("freebsd13.1", "pc-i440fx-8.0", "bios", False, "", "vga", "utc", False),
        ("generic", "pc-i440fx-8.0", "bios", False, "", "vga", "utc", False),
    ],
)
def test_each_system_gets_what_it_can_drive(
    short_id: str, machine: str, firmware: str, secure_boot: bool, tpm: str, video: str, clock: str, agent: bool
) -> None:
    spec = defaults(short_id)
    assert (spec.machine, spec.firmware, spec.secure_boot, spec.tpm) == (machine, firmware, secure_boot, tpm)
    assert (spec.video, spec.clock, spec.agent_channel) == (video, clock, agent)


def test_windows_gets_the_enlightenments_that_every_host_has() -> None:
    assert defaults("win11").hyperv == HYPERV
    assert defaults("win11", NEW, host("8.0", kvm=False)).hyperv == HYPERV  # only the host with KVM counts
    assert defaults("win11", host("8.0", kvm=False)).hyperv == ("spinlocks",)
    assert defaults("debian11").hyperv == ()


def test_the_driver_iso_gives_windows_virtio() -> None:
    plain, driven = (
        defaults("win11", networks=["default"], windows_drivers=drivers).interfaces[0].model
        for drivers in (False, True)
    )
    assert (plain, driven) == ("e1000e", "virtio")
    assert defaults("win11", windows_drivers=True).agent_channel


def test_spice_is_given_where_it_is_asked_for_and_every_host_has_it() -> None:
    spice = defaults("win10", graphics="spice")
    assert ([g.kind for g in spice.graphics], spice.video, spice.sound) == (["spice"], "qxl", "ich9")
    assert [g.kind for g in defaults("win10", NEW, host("8.0", spice=False), graphics="spice").graphics] == ["vnc"]
    assert defaults("win10", graphics="").graphics == ()


def test_people_choose_firmware_and_secure_boot() -> None:
    assert defaults("debian11", firmware="uefi").secure_boot is False
    assert defaults("debian11", firmware="uefi", secure_boot=True).secure_boot
    assert defaults("win11", secure_boot=False).secure_boot is False


def test_more_can_be_plugged_in_as_far_as_guest_and_hosts_allow() -> None:
    spec = defaults("fedora37")
    assert (spec.vcpus, spec.vcpus_maximum) == (2, 8)
    assert (spec.memory_kib, spec.memory_maximum_kib) == (2 * GIB_KIB, 8 * GIB_KIB)
    small = defaults("fedora37", host("8.0", memory_kib=3 * GIB_KIB))
    assert small.memory_maximum_kib == 3 * GIB_KIB
    assert defaults("freebsd13.1").memory_maximum_kib == 0
    more = with_room_to_grow(replace(spec, memory_kib=32 * GIB_KIB), find_system("fedora37"), [NEW])
    assert more.memory_maximum_kib == 64 * GIB_KIB


def test_what_is_recommended_is_given_else_twice_the_minimum() -> None:
    assert defaults("fedora37").memory_kib == 2 * GIB_KIB
    assert (defaults("win10").memory_kib, defaults("win10").vcpus) == (4 * GIB_KIB, 2)
    assert (defaults("win11").memory_kib, defaults("win11").vcpus) == (8 * GIB_KIB, 4)
