"""The machine, its firmware, and what it boots, https://libvirt.org/formatdomain.html#operating-system-booting."""

import re

from lxml import etree

from hypervisors.libvirtxml.hardware.fields import Field, Value, Values, when
from hypervisors.libvirtxml.hardware.parts.section import Section
from hypervisors.libvirtxml.hardware.paths import read_at, remove_at

_EFI = when(firmware="efi")
_MANUAL = when(firmware="")
_FLASH = when(loader_type="pflash")


def _feature(name: str) -> str:
    return f"os/firmware/feature[@name='{name}']/@enabled"


_SYSTEM_FIELDS = (
    Field("machine", "os/type/@machine", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}"),
    Field("emulator", "devices/emulator", "path"),
    Field("firmware", "os/@firmware", "choice", choices=("bios", "efi")),
    Field("secure_boot", _feature("secure-boot"), "choice", choices=("yes", "no"), only_if=_EFI),
    Field("enrolled_keys", _feature("enrolled-keys"), "choice", choices=("yes", "no"), only_if=_EFI),
    Field("loader", "os/loader", "path", only_if=_MANUAL),
    Field("loader_type", "os/loader/@type", "choice", choices=("pflash", "rom"), only_if=_MANUAL),
    Field("loader_readonly", "os/loader/@readonly", "flag", only_if=_MANUAL),
    Field("loader_secure", "os/loader/@secure", "flag", only_if=_FLASH),
    Field("nvram", "os/nvram", "path", only_if=_FLASH),
    Field("nvram_template", "os/nvram/@template", "path", only_if=_FLASH),
)

_KERNEL_FIELDS = (
    Field("kernel", "os/kernel", "path"),
    Field("initrd", "os/initrd", "path"),
    Field("command_line", "os/cmdline"),
    Field("device_tree", "os/dtb", "path"),
)

_ENDS = ("destroy", "restart", "preserve", "rename-restart")
_LIFECYCLE_FIELDS = (
    Field("on_poweroff", "on_poweroff", "choice", choices=_ENDS, default="destroy"),
    Field("on_reboot", "on_reboot", "choice", choices=_ENDS, default="restart"),
    Field(
        "on_crash", "on_crash", "choice", choices=(*_ENDS, "coredump-destroy", "coredump-restart"), default="destroy"
    ),
    Field("on_lockfailure", "on_lockfailure", "choice", choices=("poweroff", "restart", "pause", "ignore")),
    Field("suspend_to_memory", "pm/suspend-to-mem/@enabled", "choice", choices=("yes", "no")),
    Field("suspend_to_disk", "pm/suspend-to-disk/@enabled", "choice", choices=("yes", "no")),
)


# Of these machines alone, none at all is a BIOS.
_WITH_BIOS = ("q35", "i440fx", "")


def _read_system(root: etree._Element) -> dict[str, Value]:
    """Where neither a firmware nor its file is named, it is the machine's own BIOS; "" is one chosen by hand."""
    is_named = root.find("os/loader") is not None or read_at(root, "os/@firmware")
    return {} if is_named or not _has_bios(root) else {"firmware": "bios"}


def _has_bios(root: etree._Element) -> bool:
    return _family(read_at(root, "os/type/@machine") or "") in _WITH_BIOS


def _check_system(values: Values) -> None:
    if values.get("enrolled_keys") == "yes" and values.get("secure_boot") != "yes":
        raise ValueError("Keys that are enrolled are for secure boot: switch it on.")
    if not values.get("loader") and any(
        values.get(name) for name in ("loader_type", "loader_readonly", "nvram_template")
    ):
        raise ValueError("A firmware that is chosen by hand has a file: name it, or let the host choose.")


def _settle_system(root: etree._Element, before: Values, after: Values) -> None:
    _check_family(str(before.get("machine", "")), str(after.get("machine", "")))
    chosen = ("firmware", "secure_boot", "enrolled_keys")
    if after.get("firmware") and any(before.get(name) != after.get(name) for name in chosen):
        # What libvirt chose for the firmware that it was; it chooses anew.
        remove_at(root, "os/loader")
        remove_at(root, "os/nvram/@template")
        remove_at(root, "os/nvram/@templateFormat")
    if before.get("firmware") == "efi" and after.get("firmware") != "efi":
        remove_at(root, "os/nvram")
        remove_at(root, "os/firmware")
    if not after.get("loader") and after.get("firmware") in ("", "bios"):
        remove_at(root, "os/loader")
    if after.get("firmware") == "bios" and _has_bios(root):
        # Said in so many words, it is looked for among the host's descriptions of firmware, which rarely have one.
        remove_at(root, "os/@firmware")


def _check_family(before: str, after: str) -> None:
    """Raises: ValueError when all buses would be others: nothing of the machine would be where the guest knows it."""
    if before and after and _family(before) != _family(after):
        raise ValueError(
            f"A machine can become another version of {_family(before)}, not {_family(after)}: "
            "its buses would be others. Make a new machine with its disks instead."
        )


def _family(machine: str) -> str:
    """ "q35" of "pc-q35-7.2"; "pc" is i440fx."""
    name = re.sub(r"-\d+(\.\d+)*$", "", machine)
    return {"pc-q35": "q35", "pc": "i440fx", "pc-i440fx": "i440fx"}.get(name, name)


def _check_kernel(values: Values) -> None:
    if not values.get("kernel") and any(values.get(name) for name in ("initrd", "command_line", "device_tree")):
        raise ValueError("What is handed to a kernel needs a kernel that is booted directly.")


SYSTEM = Section(key="system", fields=_SYSTEM_FIELDS, read=_read_system, check=_check_system, settle=_settle_system)
KERNEL = Section(key="kernel", fields=_KERNEL_FIELDS, check=_check_kernel)
LIFECYCLE = Section(key="lifecycle", fields=_LIFECYCLE_FIELDS)
