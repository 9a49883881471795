"""A new domain's XML from its spec, https://libvirt.org/formatdomain.html; devices are in `domain_devices_builder`.

Nothing typed is ever formatted into text: lxml sets each value. Existing domains are edited in place, not built anew.
"""

from lxml import etree

from hypervisors.libvirtxml.domain_devices_builder import add_devices
from hypervisors.libvirtxml.domain_processor_builder import add_clock, add_features, add_memory, add_processor
from hypervisors.libvirtxml.domain_spec import DomainSpec, check_metadata
from hypervisors.libvirtxml.elements import add, add_text

LIBOSINFO_NAMESPACE = "http://libosinfo.org/xmlns/libvirt/domain/1.0"


def build_domain(spec: DomainSpec) -> str:
    """The XML for virDomainDefineXML."""
    root = etree.Element("domain", type=spec.virt_type)
    _add_identity(root, spec)
    _add_metadata(root, spec)
    add_memory(root, spec)
    add_processor(root, spec)
    _add_system(root, spec)
    add_features(root, spec)
    add_clock(root, spec)
    _add_lifecycle(root, spec)
    add_devices(root, spec)
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def _add_identity(root: etree._Element, spec: DomainSpec) -> None:
    add_text(root, "name", spec.name)
    for tag, text in (("uuid", spec.uuid), ("title", spec.title), ("description", spec.description)):
        if text:
            add_text(root, tag, text)


def _add_metadata(root: etree._Element, spec: DomainSpec) -> None:
    elements = check_metadata(spec.metadata)
    if not (spec.system or elements):
        return
    metadata = add(root, "metadata")
    if spec.system:
        namespaces = {"libosinfo": LIBOSINFO_NAMESPACE}
        recorded = etree.SubElement(metadata, f"{{{LIBOSINFO_NAMESPACE}}}libosinfo", nsmap=namespaces)
        etree.SubElement(recorded, f"{{{LIBOSINFO_NAMESPACE}}}os", id=spec.system)
    metadata.extend(elements)


def _add_system(root: etree._Element, spec: DomainSpec) -> None:
    """Firmware, and what is booted directly. The features are always stated: QEMU's choice differs by host."""
    uefi = spec.firmware == "uefi"
    system = add(root, "os", **({"firmware": "efi"} if uefi else {}))
    add_text(system, "type", "hvm", arch=spec.arch, machine=spec.machine)
    if uefi:
        keys = spec.secure_boot if spec.enrolled_keys is None else spec.enrolled_keys
        firmware = add(system, "firmware")
        add(firmware, "feature", enabled=_yes(spec.secure_boot), name="secure-boot")
        add(firmware, "feature", enabled=_yes(keys), name="enrolled-keys")
    for tag, text in (("kernel", spec.kernel_path), ("initrd", spec.initrd_path), ("cmdline", spec.cmdline)):
        if text:
            add_text(system, tag, text)


def _add_lifecycle(root: etree._Element, spec: DomainSpec) -> None:
    add_text(root, "on_poweroff", "destroy")
    add_text(root, "on_reboot", spec.on_reboot)
    add_text(root, "on_crash", "destroy")
    if spec.arch in ("x86_64", "i686"):
        power = add(root, "pm")
        # A guest that suspends cannot be woken by most of what people have at hand.
        add(power, "suspend-to-mem", enabled="no")
        add(power, "suspend-to-disk", enabled="no")


def _yes(value: bool) -> str:
    return "yes" if value else "no"
