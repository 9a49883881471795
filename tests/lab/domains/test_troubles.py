"""Machines that are in trouble: two that run at once, one that crashed, one whose disk is full; seen within seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client

from deploy.lab.host import Host
from hypervisors.models import Domain, DomainCopy
from hypervisors.operations.engine.requests import possible_kinds
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, PortalGuest
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)


@pytest.fixture
def pages(client: Client, portal: Portal) -> Client:
    client.force_login(portal.alice)
    return client


def test_the_same_machine_running_twice_is_said_everywhere_within_five_seconds(portal: Portal, pages: Client) -> None:
    first, second = portal.hosts
    with portal.guest("twice") as guest:
        xml = first.virsh("dumpxml", "--inactive", guest.uuid)
        disk = xml[xml.index("<disk") : xml.index("</disk>") + len("</disk>")]
        _define(second, xml.replace("<name>twice</name>", "<name>twice-clone</name>").replace(disk, ""))
        wait_until(lambda: DomainCopy.objects.filter(domain__uuid=guest.uuid, state="shutoff").exists())
        host_page = f"/hypervisors/{portal.rows[1].pk}/"
        assert "“<bdi>twice-clone</bdi>” here is a left-over definition" in pages.get(host_page).content.decode()
        assert pages.get("/healthz").json()["alarms"] == {"total": 0, "each": []}
        second.virsh("start", guest.uuid)
        started = time.monotonic()
        words = f"ALARM: twice runs on {first.name} and on {second.name} at the same time."
        wait_until(lambda: _trouble(guest).startswith(words), seconds=10)
        assert time.monotonic() - started < 5
        for page in ("/vms/", f"/vms/{guest.uuid}/", host_page, f"/hypervisors/{portal.rows[0].pk}/"):
            assert words in pages.get(page).content.decode(), page
        (told,) = pages.get("/healthz").json()["alarms"]["each"]
        assert told.startswith(words)
        assert "force the other one off at once" in told
        second.virsh("destroy", guest.uuid)
        wait_until(lambda: _trouble(guest) == "")
        second.virsh("undefine", guest.uuid)
        wait_until(lambda: not DomainCopy.objects.exists())


def test_one_that_crashed_and_is_kept_can_be_reset_and_forced_off(portal: Portal) -> None:
    host = portal.hosts[0]
    with portal.guest("crashed", start=False) as guest:
        xml = host.virsh("dumpxml", "--inactive", guest.uuid)
        xml = xml.replace("<on_crash>destroy</on_crash>", "<on_crash>preserve</on_crash>")
        _define(host, xml.replace("</devices>", "<panic model='isa'/></devices>"))
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        _panic(host, guest)
        row = guest.becomes(state=DomainState.CRASHED)
        assert row.is_active
        assert "Its guest has crashed, and is kept as it was." in row.trouble
        assert "vnc" in {graphics["kind"] for graphics in guest.becomes(is_active=True).definition.parsed["graphics"]}
        reasons = possible_kinds(row)
        assert (reasons["force_off"], reasons["reset"]) == ("", "")
        assert reasons["start"] == "It has crashed, and is kept as it was: reset it, or force it off."
        reset = guest.do("reset")
        assert reset.state == OperationState.SUCCEEDED, reset.outcome
        assert guest.state_on(host) == "running"
        guest.becomes(state=DomainState.RUNNING, trouble="")
        _panic(host, guest)
        guest.becomes(state=DomainState.CRASHED)
        forced = guest.do("force_off")
        assert forced.state == OperationState.SUCCEEDED, forced.outcome
        assert guest.state_on(host) == "shut off"


def test_a_full_disk_is_named_with_what_to_do(portal: Portal) -> None:
    host = portal.hosts[0]
    with _full_storage(host) as path, portal.guest("full", start=False) as guest:
        xml = host.virsh("dumpxml", "--inactive", guest.uuid)
        disk = (
            "<disk type='file' device='disk'><driver name='qemu' type='raw' error_policy='enospace'/>"
            f"<source file='{path}'/><target dev='vdb' bus='virtio'/></disk>"
        )
        _define(host, xml.replace("</devices>", f"{disk}</devices>"))
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        guest.wait_until_it_counts()
        _type(host, guest, "dd if=/dev/zero of=/dev/vdb\n")
        words = "Paused by an I/O error (vdb: no space left). Make room on its storage, then resume it."
        guest.becomes(state=DomainState.PAUSED, trouble=words)
        resumed = guest.do("resume")
        assert resumed.state == OperationState.FAILED
        assert resumed.outcome == f"It was resumed, and an I/O error paused it again at once. {words}"
        host.run("mount", "-o", "remount,size=80m", str(Path(path).parent))
        resumed = guest.do("resume")
        assert resumed.state == OperationState.SUCCEEDED, resumed.outcome
        guest.becomes(state=DomainState.RUNNING, trouble="")


def _trouble(guest: PortalGuest) -> str:
    return Domain.objects.values_list("trouble", flat=True).get(uuid=guest.uuid)


def _define(host: Host, xml: str) -> None:
    file = host.plan.directory / "define.xml"
    file.write_text(xml)
    host.virsh("define", str(file))


def _panic(host: Host, guest: PortalGuest) -> None:
    """What a guest's kernel writes to the panic device (https://www.qemu.org/docs/master/specs/pvpanic.html)."""
    host.virsh("qemu-monitor-command", guest.uuid, "--hmp", "o /1 0x505 1")


def _type(host: Host, guest: PortalGuest, text: str) -> None:
    names = {"=": "KEY_EQUAL", "/": "KEY_SLASH", " ": "KEY_SPACE", "\n": "KEY_ENTER"}
    for character in text:
        host.virsh("send-key", guest.uuid, "--codeset", "linux", names.get(character, f"KEY_{character.upper()}"))


@contextmanager
def _full_storage(host: Host) -> Iterator[str]:
    """A disk of 64 MiB in a file system of 3."""
    directory = "/run/small"
    host.run("mkdir", "-p", directory)
    host.run("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", directory)
    try:
        host.run("truncate", "--size", "64M", f"{directory}/full.raw")
        yield f"{directory}/full.raw"
    finally:
        host.run("umount", "--lazy", directory)
