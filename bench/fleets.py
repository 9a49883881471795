"""Fleets to measure on: libvirt's test driver as hypervisors of 100 running domains each."""

import json
import sqlite3
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from deploy.stack import Stack

DOMAINS_PER_HYPERVISOR = 100


def write_fleet(directory: Path, hypervisor_count: int, domain_count: int) -> list[str]:
    """Files for `test:///…` URIs, that many domains in each; returns the URIs."""
    uris = []
    for number in range(hypervisor_count):
        node = ElementTree.Element("node")
        for index in range(domain_count):
            node.append(_domain(f"vm-{number:03d}-{index:03d}"))
        path = directory / f"fleet{number:03d}.xml"
        ElementTree.ElementTree(node).write(path)
        uris.append(f"test://{path}")
    return uris


def register(stack: Stack, uris: list[str]) -> None:
    """All in one transaction, and the watcher told."""
    code = (
        "import json\n"
        "from hypervisors.inventory.refresh_requests import request_hypervisors_refresh\n"
        "from hypervisors.models import Hypervisor, HypervisorPool\n"
        f"uris = json.loads({json.dumps(json.dumps(uris))})\n"
        "pool, _ = HypervisorPool.objects.get_or_create(name='fleet')\n"
        "Hypervisor.objects.bulk_create(\n"
        "    Hypervisor(hypervisor_pool=pool, name=f'fleet{n:03d}', uri=uri) for n, uri in enumerate(uris))\n"
        "request_hypervisors_refresh()\n"
    )
    stack.manage("shell", "-v", "0", "-c", code)


def wait_for_domains(stack: Stack, count: int, *, seconds: float = 240) -> float:
    """Until the database has that many; returns the seconds that it took."""
    started = time.monotonic()
    with sqlite3.connect(f"file:{stack.data_dir / 'db.sqlite3'}?mode=ro", uri=True) as database:
        while database.execute("SELECT count(*) FROM hypervisors_domain").fetchone()[0] < count:
            if time.monotonic() - started > seconds:
                raise TimeoutError(f"no {count} domains after {seconds:.0f} s")
            time.sleep(0.1)
    return time.monotonic() - started


def _domain(name: str) -> ElementTree.Element:
    domain = ElementTree.Element("domain", type="test")
    for tag, text in (("name", name), ("memory", "2097152"), ("currentMemory", "2097152"), ("vcpu", "2")):
        ElementTree.SubElement(domain, tag).text = text
    system = ElementTree.SubElement(domain, "os")
    ElementTree.SubElement(system, "type", arch="i686").text = "hvm"
    devices = ElementTree.SubElement(domain, "devices")
    disk = ElementTree.SubElement(devices, "disk", type="file", device="disk")
    ElementTree.SubElement(disk, "source", file=f"/srv/images/{name}.qcow2")
    ElementTree.SubElement(disk, "target", dev="vda", bus="virtio")
    return domain
