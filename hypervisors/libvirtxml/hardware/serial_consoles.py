"""A guest's first serial port is its console too: libvirt writes it twice, and keeps <console> as <serial> is.

Measured: without its <console> it comes back; a <console> that is changed alone is as before; with only the <serial>
taken out, libvirt makes that anew of the <console>.
"""

from lxml import etree

from hypervisors.libvirtxml.hardware.definitions import device_elements
from hypervisors.libvirtxml.hardware.paths import read_at, remove_child


def check_is_no_second_name(device: etree._Element, root: etree._Element) -> None:
    """Raises: ValueError when it is the first serial port under its second name."""
    if _is_serial_console(device) and any(one.tag == "serial" for one in device_elements(root)):
        raise ValueError("This console is the first serial port: change or take out that one.")


def remove_second_name(root: etree._Element) -> None:
    """Take out the console that was a serial port, when there is none any more."""
    devices = device_elements(root)
    if not any(one.tag == "serial" for one in devices):
        for console in filter(_is_serial_console, devices):
            remove_child(console)


def _is_serial_console(device: etree._Element) -> bool:
    return device.tag == "console" and read_at(device, "target/@type") in (None, "serial")
