"""How long the Hardware tab of a machine with 40 devices takes, beside the overview of the same machine.

`python -m bench.hardware_page` measures this alone: a portal with one machine's row, without a hypervisor.
"""

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.figures import Figure, milliseconds, time_page
from bench.pages import cookies, signed_in
from deploy.stack import Stack

_TARGET_MS = 40
_DEVICES = 40
_CHROMIUM = "/usr/bin/chromium"
# Its host is disabled: the watcher leaves the row alone.
_MAKE = """
import hashlib, uuid
from django.utils import timezone
from hypervisors.models import Domain, DomainDefinition, Hypervisor, HypervisorPool
pool = HypervisorPool.objects.create(name="hardware bench")
host = Hypervisor.objects.create(
    hypervisor_pool=pool, name="measured-host", uri="test:///default", status="online", admin_state="disabled",
    seen_at=timezone.now(),
)
domain = Domain.objects.create(
    uuid=uuid.uuid4(), hypervisor=host, name="forty", state="running", state_since=timezone.now(), vcpu_count=4,
    memory_kib=4194304,
)
xml = {xml!r}
DomainDefinition.objects.create(
    domain=domain, live_xml=xml, inactive_xml=xml, inactive_sha256=hashlib.sha256(xml.encode()).hexdigest()
)
print(domain.uuid)
"""


def hardware_page_figures(stack: Stack, browser: Browser) -> list[Figure]:
    """The median of 30 answers, through nginx, of the tab with a disk's form."""
    uuid = stack.manage("shell", "-v", "0", "-c", _MAKE.format(xml=machine_xml(_DEVICES))).split()[-1]
    page = signed_in(browser, stack)
    cookie = cookies(page)
    page.context.close()
    overview, _zipped, _plain = time_page(stack.port, f"/vms/{uuid}/", cookie)
    times, zipped, plain = time_page(stack.port, f"/vms/{uuid}/hardware/?show=disk:vda", cookie)
    median, beside = statistics.median(times), statistics.median(overview)
    value = f"{milliseconds(times)}, × {median / beside:.2f} of the overview; {zipped / 1024:.0f} KiB gzipped"
    what = f"Hardware tab of a VM with {_DEVICES} devices, {plain / 1024:.0f} KiB plain"
    return [Figure(what=what, value=value, target=f"{_TARGET_MS} ms", met=median * 1000 < _TARGET_MS)]


def machine_xml(device_count: int) -> str:
    """A machine with root ports, a screen and so on, and disks and cards for the rest."""
    fixed = [
        *(f"<controller type='pci' index='{number}' model='pcie-root-port'/>" for number in range(1, 15)),
        "<controller type='usb' index='0' model='qemu-xhci'/>",
        "<input type='tablet' bus='usb'/>",
        "<graphics type='vnc' port='-1' autoport='yes'/>",
        "<video><model type='virtio' heads='1'/></video>",
        "<memballoon model='virtio'/>",
    ]
    left = device_count - len(fixed)
    disks = "".join(_disk(number) for number in range(left - left // 3))
    cards = "".join(_card(number) for number in range(left // 3))
    devices = f"<devices>{disks}{cards}{''.join(fixed)}</devices>"
    return (
        "<domain type='kvm'><name>forty</name><memory unit='KiB'>4194304</memory><vcpu>4</vcpu>"
        f"<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>{devices}</domain>"
    )


def _disk(number: int) -> str:
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>"
        f"<source file='/srv/images/forty-{number}.qcow2'/><target dev='vd{chr(97 + number)}' bus='virtio'/></disk>"
    )


def _card(number: int) -> str:
    return (
        f"<interface type='network'><mac address='52:54:00:00:01:{number:02x}'/><source network='default'/>"
        f"<model type='virtio'/></interface>"
    )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="vmportal-bench-") as scratch, sync_playwright() as playwright:
        stack = Stack(Path(scratch) / "data", env={"VMPORTAL_ALLOW_TEST_DRIVER": "1"})
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            stack.start()
            for figure in hardware_page_figures(stack, browser):
                print(figure.row())
        finally:
            stack.stop()
            browser.close()


if __name__ == "__main__":
    main()
