"""The disk under the database is full: it is said everywhere, nothing half done is accepted, and it ends with room."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from deploy.lab.guest import Guest
from deploy.lab.lab import Lab
from deploy.services import private_postgresql
from deploy.stack import Stack
from tests.disks import fill, small_disk
from tests.lab.machines import Person
from tests.watching import wait_until

SAID = "The database cannot be written: "
SOON_SECONDS = 15
RIGHT_AGAIN_SECONDS = 30


@contextmanager
def portal(data_dir: Path, lab: Lab, **env: str) -> Iterator[tuple[Stack, Person]]:
    """A whole vmportal over the lab, and the administrator before it."""
    stack = Stack(data_dir, env={"WEB_CONCURRENCY": "2", **env})
    try:
        stack.prepare([("lab", host.name, host.uri) for host in lab.hosts])
        stack.launch()
        stack.wait_healthy()
        person = Person(stack.url)
        person.sign_in("admin", stack.admin_password)
        yield stack, person
    finally:
        stack.stop()


def state_of(person: Person, guest: Guest) -> str:
    """What the list says of the guest."""
    status, page = person.get(f"/vms/?q={guest.uuid}")
    assert status == 200
    found = re.search(r'<vp-state state="(\w+)"', page)
    return found[1] if found else ""


def expect_said(person: Person, stack: Stack, guest: Guest, cause: str) -> None:
    """By healthz and by every page, a stranger's too; and no change is taken."""
    started = time.monotonic()
    wait_until(lambda: SAID in person.get("/vms/")[1], seconds=SOON_SECONDS)
    status, report = stack.health()
    assert status == 503, report
    detail = report["checks"]["database"]["detail"]
    assert re.fullmatch(rf"the database cannot be written: {re.escape(cause)}, since \d\d:\d\d:\d\d", detail), detail
    for path in (f"/vms/{guest.uuid}/", "/hypervisors/", "/operations/", "/profile/"):
        status, page = person.get(path)
        assert status == 200, path
        assert f"{SAID}{cause}" in page, path
    stranger = Person(stack.url)
    assert f"{SAID}{cause}" in stranger.get("/accounts/login/")[1]
    for status, page in (
        stranger.post("/accounts/login/", login="admin", password=stack.admin_password),
        person.post(f"/vms/{guest.uuid}/operations/resume/"),
    ):
        assert status == 503
        assert f"{SAID}{cause}" in page
    assert time.monotonic() - started < 60


def expect_right_again(person: Person, stack: Stack, lab: Lab, guest: Guest) -> None:
    freed_at = time.monotonic()
    wait_until(lambda: state_of(person, guest) == "paused", seconds=RIGHT_AGAIN_SECONDS)
    wait_until(lambda: SAID not in person.get("/vms/")[1], seconds=RIGHT_AGAIN_SECONDS)
    wait_until(lambda: stack.health()[0] == 200, seconds=RIGHT_AGAIN_SECONDS)
    assert time.monotonic() - freed_at < RIGHT_AGAIN_SECONDS
    person.sign_in("admin", stack.admin_password)
    assert person.post(f"/vms/{guest.uuid}/operations/resume/")[0] == 200
    wait_until(lambda: lab.hosts[0].virsh("domstate", guest.uuid) == "running", seconds=RIGHT_AGAIN_SECONDS)
    wait_until(lambda: state_of(person, guest) == "running", seconds=RIGHT_AGAIN_SECONDS)


def test_a_full_disk_under_sqlite_is_said_and_all_is_right_when_there_is_room(lab: Lab) -> None:
    with (
        small_disk(mebibytes=80) as disk,
        portal(disk / "data", lab) as (stack, person),
        lab.guest(lab.hosts[0], "full") as guest,
    ):
        wait_until(lambda: state_of(person, guest) == "running", seconds=30)
        filler = fill(disk)
        lab.hosts[0].virsh("suspend", guest.uuid)
        expect_said(person, stack, guest, "its disk is full")
        # Long enough for leases to run out, and for whatever is queued meanwhile.
        full_until = time.monotonic() + 30
        wait_until(lambda: time.monotonic() > full_until and stack.health()[0] == 503, seconds=60)
        assert stack.states() == dict.fromkeys(stack.states(), "RUNNING")
        filler.unlink()
        expect_right_again(person, stack, lab, guest)


def test_a_postgresql_without_room_is_said_and_all_is_right_when_there_is_room(lab: Lab, tmp_path: Path) -> None:
    with (
        small_disk(mebibytes=40) as disk,
        private_postgresql() as database_url,
        portal(tmp_path / "data", lab, DATABASE_URL=database_url) as (stack, person),
        lab.guest(lab.hosts[0], "full-pg") as guest,
    ):
        wait_until(lambda: state_of(person, guest) == "running", seconds=30)
        move_tables(database_url, disk)
        filler = fill(disk)
        lab.hosts[0].virsh("suspend", guest.uuid)
        expect_said(person, stack, guest, "its disk is full")
        filler.unlink()
        wait_until(lambda: SAID not in person.get("/vms/")[1], seconds=RIGHT_AGAIN_SECONDS)
        wait_until(lambda: state_of(person, guest) == "paused", seconds=RIGHT_AGAIN_SECONDS)


def move_tables(database_url: str, disk: Path) -> None:
    """Have the tables on that file system; PostgreSQL's own log of changes stays where it is."""
    (disk / "tables").mkdir()
    subprocess.run(["chown", "postgres", disk / "tables"], check=True)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'tables'}'".encode())
        for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
            connection.execute(f'ALTER TABLE "{name}" SET TABLESPACE small'.encode())


def test_a_postgresql_that_takes_no_changes_is_said_and_so_is_its_return(lab: Lab, tmp_path: Path) -> None:
    """A standby that was not promoted, or an administrator's switch."""
    with (
        private_postgresql() as database_url,
        portal(tmp_path / "data", lab, DATABASE_URL=database_url) as (stack, person),
        lab.guest(lab.hosts[0], "read-only") as guest,
    ):
        wait_until(lambda: state_of(person, guest) == "running", seconds=30)
        switch_writing(database_url, on=False)
        lab.hosts[0].virsh("suspend", guest.uuid)
        expect_said(person, stack, guest, "it takes no changes (read-only)")
        switch_writing(database_url, on=True)
        expect_right_again(person, stack, lab, guest)


def switch_writing(database_url: str, *, on: bool) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if on else 'on'}".encode())
        connection.execute("SELECT pg_reload_conf()")
