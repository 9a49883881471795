"""Memory, processor, features and clock of a new domain, https://libvirt.org/formatdomain.html#cpu-model-and-topology."""

from lxml import etree

from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.elements import add, add_text

_X86 = ("x86_64", "i686")
_HYPERV_SPINLOCK_RETRIES = 8191


def add_memory(root: etree._Element, spec: DomainSpec) -> None:
    if spec.most_memory_kib > spec.memory_kib:
        add_text(root, "maxMemory", str(spec.most_memory_kib), slots=spec.memory_slots, unit="KiB")
    add_text(root, "memory", str(spec.memory_kib), unit="KiB")
    add_text(root, "currentMemory", str(spec.memory_kib), unit="KiB")


def add_processor(root: etree._Element, spec: DomainSpec) -> None:
    more = spec.most_vcpus > spec.vcpus
    add_text(root, "vcpu", str(spec.most_vcpus), placement="static", current=spec.vcpus if more else None)


def add_features(root: etree._Element, spec: DomainSpec) -> None:
    features = etree.Element("features")
    if spec.acpi:
        add(features, "acpi")
    if spec.arch in _X86:
        add(features, "apic")
    if spec.hyperv:
        _add_hyperv(features, spec)
    if spec.arch in _X86:
        # VMware's port of old: some Linux guests misread it.
        add(features, "vmport", state="off")
    if spec.secure_boot:
        add(features, "smm", state="on")
    if len(features):
        root.append(features)
    _add_cpu(root, spec)


def add_clock(root: etree._Element, spec: DomainSpec) -> None:
    clock = add(root, "clock", offset=spec.clock)
    if spec.arch not in _X86:
        return
    add(clock, "timer", name="rtc", tickpolicy="catchup")
    add(clock, "timer", name="pit", tickpolicy="delay")
    add(clock, "timer", name="hpet", present="no")
    if spec.hyperv:
        add(clock, "timer", name="hypervclock", present="yes")


def _add_hyperv(features: etree._Element, spec: DomainSpec) -> None:
    hyperv = add(features, "hyperv", mode="custom")
    for name in spec.hyperv:
        add(hyperv, name, state="on", retries=_HYPERV_SPINLOCK_RETRIES if name == "spinlocks" else None)


def _add_cpu(root: etree._Element, spec: DomainSpec) -> None:
    """With maxMemory, libvirt wants all memory and vCPUs in NUMA cells: one of everything."""
    cpu = etree.Element("cpu")
    if spec.cpu.mode:
        cpu.set("mode", spec.cpu.mode)
    if spec.cpu.mode == "custom":
        cpu.set("match", "exact")
        cpu.set("check", "partial")
        add_text(cpu, "model", spec.cpu.model, fallback="forbid")
    elif spec.cpu.mode in ("host-passthrough", "maximum"):
        cpu.set("check", "none")
        # What cannot move is not offered to the guest.
        cpu.set("migratable", "on")
    if spec.most_vcpus > 1:
        topology = spec.cpu
        add(
            cpu,
            "topology",
            sockets=topology.sockets or 1,
            dies=1,
            cores=topology.cores or spec.most_vcpus,
            threads=topology.threads or 1,
        )
    if spec.most_memory_kib > spec.memory_kib:
        vcpus = "0" if spec.most_vcpus == 1 else f"0-{spec.most_vcpus - 1}"
        add(add(cpu, "numa"), "cell", id=0, cpus=vcpus, memory=spec.memory_kib, unit="KiB")
    if len(cpu) or cpu.attrib:
        root.append(cpu)
