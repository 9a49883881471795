"""A cloud image's first boot on a real hypervisor: the guest itself says that each setting took."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from deploy.lab.cloud_image import cached_cloud_image
from deploy.lab.process import LabError
from hypervisors.models import Domain, DomainSnapshot, GuestFacts, GuestSshKeys, Installation, Operation
from hypervisors.operations.domains.creation.install_phase import look_at_installations
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import OperationState
from tests.lab.domains.creations import MIB, Creator, creator, run_to_end, small_spec
from tests.lab.domains.test_creation import succeeded
from tests.lab.portals import Portal
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDpX235ytvSD2WGdcRID3mWlplnMDx455TgVBNFbzCrK anna@desk"
OTHER_KEY = KEY.replace("anna@desk", "anna@phone")
NAME = "cloudy"
# Not on a disk: what is frozen cannot be written to.
HOOK, FROZEN = "/etc/qemu/freeze-hook", "/run/frozen"


@pytest.fixture
def made(portal: Portal) -> Iterator[Creator]:
    image = cached_cloud_image()
    with creator(portal) as found:
        shutil.copy(image, found.host.lab.pool_path / "debian.qcow2")
        yield found


class Guest:
    """What its agent answers."""

    def __init__(self, made: Creator) -> None:
        self._made = made

    def ask(self, command: str, **arguments: Any) -> Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(self._made.host.virsh("qemu-agent-command", NAME, request))["return"]

    def answers(self) -> bool:
        try:
            self.ask("guest-ping")
        except LabError:
            return False
        return True

    def run(self, *command: str) -> str:
        """What the command printed inside, once it has ended."""
        pid = self.ask("guest-exec", path=command[0], arg=list(command[1:]), **{"capture-output": True})["pid"]
        ended: dict[str, Any] = wait_until(lambda: self._ended(pid), seconds=240)
        return base64.b64decode(ended.get("out-data", "")).decode()

    def _ended(self, pid: int) -> Any:
        status = self.ask("guest-exec-status", pid=pid)
        return status if status["exited"] else None


def test_each_setting_takes_and_the_seed_goes(made: Creator) -> None:
    image = made.mirrored("debian.qcow2")
    disk = {"action": "overlay", "storage_pool_id": made.storage_pool.pk, "source_volume_id": image.pk}
    seed = {
        "user": "anna",
        "ssh_keys": [KEY],
        "password": "geheim",
        "hostname": "cloudy.example",
        "networks": [{"dhcp4": False, "addresses": ["198.51.100.7/24"], "nameservers": ["198.51.100.1"]}],
        "user_data": "write_files: [{path: /etc/from-user-data, content: 'ä: \"x\"'}]",
    }
    spec = small_spec(NAME, vcpus=2, memory_kib=512 * 1024, kernel_path="", initrd_path="", cmdline="")
    given = made.given(NAME, method="cloud_image", start=True, cloud_init=seed, spec=spec.to_json())
    operation = succeeded(made.create(given | {"disks": [disk | {"capacity_bytes": 3072 * MIB}]}))
    assert "geheim" not in json.dumps(operation.parameters)
    guest = Guest(made)
    wait_until(guest.answers, seconds=600)
    wait_until(lambda: "done" in guest.run("/usr/bin/cloud-init", "status"), seconds=300)
    assert guest.ask("guest-get-host-name")["host-name"].split(".")[0] == "cloudy"
    interfaces = {one["name"]: one for one in guest.ask("guest-network-get-interfaces")}
    addresses = [address["ip-address"] for address in interfaces["eth0"].get("ip-addresses", ())]
    assert "198.51.100.7" in addresses
    assert guest.run("/bin/cat", "/home/anna/.ssh/authorized_keys").strip() == KEY
    assert guest.run("/bin/grep", "^anna:", "/etc/shadow").startswith("anna:$6$")
    assert guest.run("/bin/cat", "/etc/from-user-data") == 'ä: "x"'
    # The root file system has grown with the disk.
    assert int(guest.run("/bin/sh", "-c", "df --output=size -m / | tail -1")) > 2500
    wait_until(lambda: _is_agent_seen(), seconds=90)
    _see_what_the_guest_says()
    _ask_the_guest(made, guest)
    wait_until(look_at_installations, seconds=60)
    succeeded(run_to_end(Operation.objects.unfinished().get(kind="finish_install")))
    assert f"{NAME}-seed.iso" not in made.volumes()
    assert Installation.objects.get().ended_at is not None
    _take_snapshots_of_what_is_frozen(made, guest)


def _is_agent_seen() -> bool:
    row = Domain.objects.select_related("definition").filter(name=NAME).first()
    return row is not None and "state='connected'" in row.definition.live_xml


def _see_what_the_guest_says() -> None:
    """The watcher has asked its agent."""

    def told() -> GuestFacts | None:
        row = GuestFacts.objects.filter(domain__name=NAME).first()
        return row if row is not None and row.facts.get("host_name", "").startswith("cloudy") else None

    row: GuestFacts = wait_until(told, seconds=150)
    assert "198.51.100.7" in [address for addresses in row.addresses.values() for address in addresses]
    assert row.facts["os_id"] == "debian"
    root = next(system for system in row.facts["file_systems"] if system["mount"] == "/")
    assert root["total_bytes"] > 2000 * MIB > root["used_bytes"] > 100 * MIB


def _ask_the_guest(made: Creator, guest: Guest) -> None:
    """What its agent is asked for takes: the guest itself says so."""

    def ask(kind: str, **parameters: Any) -> Operation:
        row = Domain.objects.select_related("hypervisor").get(name=NAME)
        asked = request_operation(user=made.portal.alice, kind=kind, subject=row, parameters=parameters)
        return succeeded(run_to_end(asked))

    before = guest.run("/bin/grep", "^anna:", "/etc/shadow")
    operation = ask("set_guest_password", user="anna", password="another: ä 1")
    assert "another" not in json.dumps(operation.parameters)
    assert guest.run("/bin/grep", "^anna:", "/etc/shadow") != before
    ask("list_guest_ssh_keys", user="root")
    ask("list_guest_ssh_keys", user="anna")
    assert _known_keys() == {"anna": [KEY], "root": []}
    ask("add_guest_ssh_key", user="anna", key=OTHER_KEY)
    assert set(_keys(guest)) == set(_known_keys()["anna"]) == {KEY, OTHER_KEY}
    ask("remove_guest_ssh_key", user="anna", key=KEY)
    assert _keys(guest) == _known_keys()["anna"] == [OTHER_KEY]
    guest.run("/bin/date", "-s", "2001-01-01")
    ask("sync_time")
    assert guest.run("/bin/date", "+%Y") != "2001\n"
    operation = ask("freeze_filesystems", seconds=1)
    assert "were frozen, and go on now" in operation.outcome
    assert guest.ask("guest-fsfreeze-status") == "thawed"
    guest.ask("guest-fsfreeze-freeze")
    ask("thaw_filesystems")
    assert guest.ask("guest-fsfreeze-status") == "thawed"
    ask("trim_filesystems")
    row = Domain.objects.select_related("hypervisor").get(name=NAME)
    torn = request_operation(
        user=made.portal.alice, kind="remove_device", subject=row, parameters={"device_id": "disk:vda"}
    )
    outcome = run_to_end(torn).outcome
    # A disk that is in use is torn away by libvirt all the same: the agent says what is mounted from it.
    assert outcome.startswith("The guest has /"), outcome
    assert "mounted from vda: unmount it first" in outcome
    # It switches off the processor that it had from its start, and keeps it until the next one.
    row = Domain.objects.get(name=NAME)
    ask("change_section", section="processor", values={"vcpus_current": 1})
    assert guest.run("/usr/bin/nproc") == "1\n"
    assert "current='1'" in made.host.virsh("dumpxml", str(row.uuid), "--inactive")
    _switch_off_key_listing(guest)
    row = Domain.objects.select_related("hypervisor").get(name=NAME)
    parameters = {"user": "anna"}
    refused = request_operation(user=made.portal.alice, kind="list_guest_ssh_keys", subject=row, parameters=parameters)
    ended = run_to_end(refused)
    assert (ended.state, _known_keys()["anna"]) == (OperationState.FAILED, [OTHER_KEY])
    assert "the guest's agent does not know how, or is not allowed to" in ended.outcome


def _switch_off_key_listing(guest: Guest) -> None:
    """As a guest's administrator does; an older agent answers alike. From now on a hook writes down what is frozen."""
    settings = r"[general]\nblock-rpcs = guest-ssh-get-authorized-keys\nblacklist = guest-ssh-get-authorized-keys\n"
    settings += rf"fsfreeze-hook = {HOOK}\n"
    guest.run("/bin/sh", "-c", rf"printf '#!/bin/sh\necho $1 >> {FROZEN}\n' > {HOOK}; chmod +x {HOOK}")
    guest.run("/bin/sh", "-c", f"printf '{settings}' > /etc/qemu/qemu-ga.conf; sync")
    before = guest.run("/bin/pidof", "qemu-ga")
    with suppress(LabError):
        # It may be gone before it has told how that ended.
        guest.run("/bin/systemd-run", "--on-active=3", "/bin/systemctl", "restart", "qemu-guest-agent")

    def is_another() -> bool:
        with suppress(LabError):
            return guest.answers() and guest.run("/bin/pidof", "qemu-ga") not in ("", before)
        return False

    wait_until(is_another, seconds=180)


def _known_keys() -> dict[str, list[str]]:
    """What the machine's page shows."""
    return {row.user: row.keys for row in GuestSshKeys.objects.filter(domain__name=NAME)}


def _keys(guest: Guest) -> list[str]:
    """The agent leaves empty lines between them."""
    return [line for line in guest.run("/bin/cat", "/home/anna/.ssh/authorized_keys").splitlines() if line]


def _take_snapshots_of_what_is_frozen(made: Creator, guest: Guest) -> None:
    """A hook in the guest says that they were frozen, and went on; with an agent that hangs none is taken."""

    def request(kind: str, **parameters: Any) -> Operation:
        row = Domain.objects.select_related("hypervisor").get(name=NAME)
        return run_to_end(request_operation(user=made.portal.alice, kind=kind, subject=row, parameters=parameters))

    made.mirrored(f"{NAME}.qcow2")
    snapshots = DomainSnapshot.objects.filter(domain__name=NAME)
    files = made.volumes()
    succeeded(request("create_snapshot", name="still", mode="external", quiesce=True))
    assert guest.ask("guest-fsfreeze-status") == "thawed"
    # libvirt thaws them, and the worker once more, in case that it could not.
    assert guest.run("/bin/cat", FROZEN).split() in (["freeze", "thaw"], ["freeze", "thaw", "thaw"])
    wait_until(lambda: snapshots.filter(name="still", is_current=True).exists(), seconds=60)
    succeeded(request("delete_snapshot", name="still"))
    wait_until(lambda: not snapshots.exists(), seconds=60)
    assert made.volumes() == files

    guest.ask("guest-exec", path="/bin/sh", arg=["-c", "kill -STOP $PPID"])
    wait_until(lambda: not guest.answers(), seconds=60)
    operation = request("create_snapshot", name="never", mode="external", quiesce=True)
    assert operation.state == OperationState.FAILED
    assert "agent" in operation.outcome
    assert made.host.virsh("snapshot-list", NAME, "--name") == ""
    assert made.volumes() == files
