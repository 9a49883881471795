"""What one emulator of a host can give guests, https://libvirt.org/formatdomaincaps.html, as frozen values."""

from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, number, parse_document, text_at


@dataclass(frozen=True, kw_only=True)
class DomainCapabilities:
    """For one processor, machine type and way to run. Empty where it is not said."""

    emulator: str = ""
    virt_type: str = ""  # "kvm", "qemu"
    arch: str = ""
    machine: str = ""  # the versioned name, "pc-q35-7.2"
    vcpus_maximum: int | None = None
    firmwares: tuple[str, ...] = ()  # what libvirt chooses firmware files for by itself: "bios", "efi"
    has_secure_boot: bool = False
    cpu_modes: tuple[str, ...] = ()  # those supported
    host_model: str = ""  # what the CPU mode "host-model" becomes
    host_model_features: tuple[str, ...] = ()  # "+aes", "-vme": added to it, taken from it
    cpu_models: tuple[str, ...] = ()  # those usable
    disk_devices: tuple[str, ...] = ()
    disk_buses: tuple[str, ...] = ()
    graphics: tuple[str, ...] = ()
    video_models: tuple[str, ...] = ()
    rng_backends: tuple[str, ...] = ()
    tpm_models: tuple[str, ...] = ()
    tpm_backends: tuple[str, ...] = ()
    hyperv_features: tuple[str, ...] = ()


def parse_domain_capabilities(xml: str) -> DomainCapabilities:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    cpu, devices = child_at(root, "cpu"), child_at(root, "devices")
    modes = {} if cpu is None else {mode.get("name", ""): mode for mode in cpu.iterchildren("mode")}
    host_model = modes.get("host-model")
    return DomainCapabilities(
        emulator=text_at(root, "path"),
        virt_type=text_at(root, "domain"),
        arch=text_at(root, "arch"),
        machine=text_at(root, "machine"),
        vcpus_maximum=number(attribute_at(root, "vcpu", "max")),
        firmwares=_values(child_at(root, "os"), "firmware"),
        has_secure_boot="yes" in _values(child_at(root, "os/loader"), "secure"),
        cpu_modes=tuple(name for name, mode in modes.items() if mode.get("supported") == "yes"),
        host_model=text_at(host_model, "model"),
        host_model_features=_features(host_model),
        cpu_models=_usable_models(modes.get("custom")),
        disk_devices=_values(child_at(devices, "disk"), "diskDevice"),
        disk_buses=_values(child_at(devices, "disk"), "bus"),
        graphics=_values(child_at(devices, "graphics"), "type"),
        video_models=_values(child_at(devices, "video"), "modelType"),
        rng_backends=_values(child_at(devices, "rng"), "backendModel"),
        tpm_models=_values(child_at(devices, "tpm"), "model"),
        tpm_backends=_values(child_at(devices, "tpm"), "backendModel"),
        hyperv_features=_values(child_at(root, "features/hyperv"), "features"),
    )


def _values(element: etree._Element | None, name: str) -> tuple[str, ...]:
    """What an <enum name="…"> lists; nothing where the whole is not supported."""
    if element is None or element.get("supported") == "no":
        return ()
    return tuple(
        (value.text or "").strip()
        for enum in element.iterchildren("enum")
        if enum.get("name") == name
        for value in enum.iterchildren("value")
    )


def _features(host_model: etree._Element | None) -> tuple[str, ...]:
    if host_model is None:
        return ()
    signs = {"require": "+", "disable": "-"}
    features = ((f.get("policy", ""), f.get("name", "")) for f in host_model.iterchildren("feature"))
    return tuple(sorted(signs[policy] + name for policy, name in features if policy in signs))


def _usable_models(custom: etree._Element | None) -> tuple[str, ...]:
    if custom is None:
        return ()
    return tuple((m.text or "").strip() for m in custom.iterchildren("model") if m.get("usable") == "yes")
