"""PostgreSQL goes and comes back in the middle of a move and of a save: both go on, their locks are held."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.lab.guest import Guest, define_guest, remove_guest
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from deploy.services import private_postgresql, private_redis
from tests.databases import StoppableDatabase, stoppable_database
from tests.lab.machines import PASSWORD, Cluster
from tests.watching import wait_until

_REQUEST = """
from django.contrib.auth.models import User
from hypervisors.models import Domain, Hypervisor
from hypervisors.operations.engine.requests import request_operation
target = Hypervisor.objects.filter(name={target!r}).first()
request_operation(
    user=User.objects.get(), subject=Domain.objects.get(uuid={uuid!r}), kind={kind!r}, target_hypervisor=target
)
"""


@pytest.fixture(scope="module")
def portal(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A watcher and workers on a PostgreSQL of their own."""
    directory = tmp_path_factory.mktemp("restarts")
    address = lab.plan.machine_address
    lab_network = re.sub(r"\.\d+$", ".0/24", address)
    with private_redis(address) as redis_url, private_postgresql(address, network=lab_network) as database_url:
        cluster = Cluster(lab, directory, database_url=database_url, redis_url=redis_url)
        cluster.manage("migrate", "-v", "0")
        superuser = ["createsuperuser", "--noinput", "--username", "admin", "--email", ""]
        cluster.manage(*superuser, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
        for host in lab.hosts:
            cluster.manage("register_hypervisor", "-v", "0", "--pool", "lab", "--name", host.name, "--uri", host.uri)
        machine = cluster.machines[0]
        machine.plug_in()
        try:
            for name in ("watcher", "operations", "migrations"):
                machine.start(name)
            with stoppable_database(database_url):
                yield cluster
        finally:
            machine.unplug()


def test_a_move_goes_on(portal: Cluster, lab: Lab) -> None:
    source, target = lab.hosts[:2]
    with _guest(portal, lab, "db-move") as guest:
        wait_until(lambda: _query(portal, "SELECT 1 FROM hypervisors_hypervisor WHERE status != 'online'") == [])
        source.virsh("migrate-setspeed", guest.uuid, "1")
        _ask(portal, guest, "migrate", target=target.name)
        wait_until(lambda: _operation(portal, guest)["progress"].get("transferred_bytes", 0) > 0, seconds=60)
        with _database_away(portal, missed_by="migrations"):
            assert "Unbounded" in source.virsh("domjobinfo", guest.uuid)
        _assert_held(portal, guest)
        source.virsh("migrate-setspeed", guest.uuid, "1000")
        over = _ended(portal, guest)
        assert over["state"] == "succeeded", over
        assert "It runs on" in over["outcome"]
        assert guest.uuid not in source.virsh("list", "--all", "--uuid").split()
        assert target.virsh("domstate", guest.uuid) == "running"
        assert guest.boots() == 1


def test_a_save_goes_on(portal: Cluster, lab: Lab) -> None:
    host = lab.hosts[0]
    with _guest(portal, lab, "db-save", memory_kib=320 * 1024) as guest:
        # Memory that takes a while to be written: an idle guest's is mostly zero.
        _type(host, guest, "dd if=/dev/urandom of=/x bs=1000000 count=150\n")
        wait_until(lambda: _resident_kib(host, guest) > 250 * 1024, seconds=120)
        _ask(portal, guest, "save")
        writer = wait_until(lambda: _writer_pid(host), seconds=60)
        os.kill(writer, signal.SIGSTOP)
        try:
            wait_until(lambda: _operation(portal, guest)["state"] == "running")
            with _database_away(portal, missed_by="operations"):
                pass
            _assert_held(portal, guest)
        finally:
            os.kill(writer, signal.SIGCONT)
        over = _ended(portal, guest)
        assert (over["state"], over["outcome"]) == ("succeeded", "It is saved and off.")
        assert host.virsh("domstate", guest.uuid, "--reason") == "shut off (saved)"


def _ask(portal: Cluster, guest: Guest, kind: str, *, target: str = "") -> None:
    portal.manage("shell", "-v", "0", "-c", _REQUEST.format(uuid=guest.uuid, kind=kind, target=target))


def _operation(portal: Cluster, guest: Guest) -> dict[str, Any]:
    columns = ("state", "outcome", "progress")
    sql = f"SELECT {', '.join(columns)} FROM hypervisors_operation WHERE subject_key = %s"
    row = dict(zip(columns, _query(portal, sql, guest.uuid)[0], strict=True))
    progress = row["progress"]
    return row | {"progress": json.loads(progress) if isinstance(progress, str) else progress}


def _ended(portal: Cluster, guest: Guest) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        row = _operation(portal, guest)
        return None if row["state"] in ("queued", "running") else row

    row: dict[str, Any] = wait_until(over, seconds=120)
    return row


def _assert_held(portal: Cluster, guest: Guest) -> None:
    """The operation goes on, and nobody else gets at the machine."""
    assert _operation(portal, guest)["state"] == "running"
    assert _query(portal, "SELECT 1 FROM hypervisors_operationlock WHERE key = %s", f"domain:{guest.uuid}")


def _query(portal: Cluster, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(portal.database_url) as connection:
        return connection.execute(sql, arguments).fetchall()  # type: ignore[arg-type]


@contextmanager
def _guest(portal: Cluster, lab: Lab, name: str, **values: Any) -> Iterator[Guest]:
    guest = define_guest(lab.hosts[0], name, **values)
    try:
        guest.wait_until_counting(timeout_seconds=150)
        seen = "SELECT 1 FROM hypervisors_domain WHERE uuid = %s AND state = 'running'"
        wait_until(lambda: _query(portal, seen, guest.uuid), seconds=60)
        yield guest
    finally:
        remove_guest(lab.hosts, guest)


# --- the database


@contextmanager
def _database_away(portal: Cluster, *, missed_by: str) -> Iterator[None]:
    """The block runs once this worker has tried to reach it, in vain."""
    database = StoppableDatabase(portal.database_url)
    log = next(Path(portal.environment["VMPORTAL_DATA_DIR"]).glob(f"*-{missed_by}.log"))
    before = _complaints(log)
    database.stop()
    try:
        wait_until(lambda: _complaints(log) > before, seconds=60)
        yield
    finally:
        database.start()


def _complaints(log: Path) -> int:
    text = log.read_text(errors="replace")
    return sum(text.count(words) for words in ("could not be written", "heartbeat was missed", "the database is back"))


# --- the guest


def _type(host: Host, guest: Guest, text: str) -> None:
    names = {"=": "KEY_EQUAL", "/": "KEY_SLASH", " ": "KEY_SPACE", "\n": "KEY_ENTER"}
    for character in text:
        host.virsh("send-key", guest.uuid, "--codeset", "linux", names.get(character, f"KEY_{character.upper()}"))


def _resident_kib(host: Host, guest: Guest) -> int:
    status = Path(f"/proc/{host.qemu_pid(guest.name)}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def _writer_pid(host: Host) -> int | None:
    """libvirt's process that writes the saved memory to the disk."""
    for pid in host.processes():
        try:
            if Path(f"/proc/{pid}/comm").read_text().startswith("libvirt_iohelpe"):
                return pid
        except OSError:
            continue
    return None
