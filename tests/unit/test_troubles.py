"""While the database cannot be written everybody is told so, and changes are refused with the reason."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from django.db.backends.signals import connection_created
from django.test import Client, RequestFactory
from django.urls import reverse
from psycopg.errors import DiskFull

from deploy.ports import free_port
from deploy.services import private_redis
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.inventory.writer import Writer
from hypervisors.models import Domain, Hypervisor, Operation, WatcherLease, troubles
from hypervisors.models.troubles import current_trouble, look, note_failure
from hypervisors.web.troubles import unavailable
from tests.watching import wait_until
from vmportal import health

pytestmark = pytest.mark.django_db(transaction=True)

Switch = Callable[[bool], None]


@pytest.fixture(autouse=True)
def nothing_known(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    for module, name in ((troubles, "_KNOWN_SECONDS"), (troubles, "_QUIET_SECONDS"), (health, "_WRITE_SECONDS")):
        monkeypatch.setattr(module, name, 0.0)


@pytest.fixture
def read_only(db: None) -> Iterator[Switch]:
    """Has the database refuse every write on this process's connections, as a disk that is write-protected does."""
    off, on = {
        "sqlite": ("PRAGMA query_only = 0", "PRAGMA query_only = 1"),
        "postgresql": ("SET default_transaction_read_only = off", "SET default_transaction_read_only = on"),
    }[connection.vendor]

    def forbid(sender: Any, connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(on)

    def switch(is_on: bool) -> None:
        if is_on:
            connection_created.connect(forbid)
        else:
            connection_created.disconnect(forbid)
        with connection.cursor() as cursor:
            cursor.execute(on if is_on else off)

    yield switch
    switch(False)


def test_pages_say_it_changes_are_refused_and_it_ends_by_itself(
    operator: Client, domain: Domain, read_only: Switch
) -> None:
    page, change = reverse("domains"), reverse("operate_domain", args=[domain.uuid, "start"])
    said = "The database cannot be written: it takes no changes (read-only), since "
    assert said not in operator.get(page).content.decode()
    read_only(True)
    operator.raise_request_exception = False
    first = operator.post(change, headers={"HX-Request": "true"})
    assert first.status_code == 503
    assert first.headers["Content-Type"].startswith("text/plain")
    assert first.content.decode().startswith(said)
    shown = operator.get(page)
    assert shown.status_code == 200
    assert said in shown.content.decode()
    again = operator.post(change)
    assert again.status_code == 503
    assert said in again.content.decode()
    status, report = health_of(operator)
    assert status == 503
    assert report["checks"]["database"]["detail"].startswith(
        "the database cannot be written: it takes no changes (read-only), since "
    )
    assert "hypervisors" in report
    read_only(False)
    assert health_of(operator)[1]["checks"]["database"]["well"]
    assert said not in operator.get(page).content.decode()
    assert Operation.objects.count() == 0


@pytest.mark.parametrize(("method", "looks_again"), [("GET", True), ("POST", False)])
def test_a_page_that_could_not_be_shown_looks_again_by_itself(method: str, looks_again: bool) -> None:
    error = OperationalError("no space left")
    error.__cause__ = DiskFull("no space left")
    trouble = note_failure(error)
    assert trouble is not None
    page = unavailable(RequestFactory().generic(method, "/operations/"), trouble).content.decode()
    assert "its disk is full" in page
    assert ('<meta http-equiv="refresh" content="10">' in page) == looks_again


def health_of(client: Client) -> tuple[int, Any]:
    answer = client.get("/healthz")
    return answer.status_code, answer.json()


def test_nobody_can_sign_in_and_is_told_why(alice: User, read_only: Switch) -> None:
    client = Client(raise_request_exception=False)
    form = {"login": "alice", "password": "alice-is-an-operator"}
    read_only(True)
    refused = client.post(reverse("account_login"), form)
    assert refused.status_code == 503
    assert "The database cannot be written" in refused.content.decode()
    assert "The database cannot be written" in client.get(reverse("account_login")).content.decode()
    read_only(False)
    assert look() is None
    assert client.post(reverse("account_login"), form).status_code == 302


def test_the_watchers_writer_notes_it_and_takes_it_back(hypervisor: Hypervisor, read_only: Switch) -> None:
    del hypervisor
    stopping = threading.Event()
    # SQLite's pragma is the connection's: the writer's is made in its own thread, after this.
    read_only(True)
    writer = Writer(stopping, LeaseKeeper("writer"))
    writer.start()
    try:
        trouble = wait_until(current_trouble, seconds=10)
        assert trouble.kind == "read_only"
        assert not WatcherLease.objects.exists()
        read_only(False)
        wait_until(lambda: current_trouble() is None, seconds=20)
        assert WatcherLease.objects.exists()
    finally:
        stopping.set()
        writer.join(10)


def test_a_full_disk_is_called_that(read_only: Switch) -> None:
    trouble = note_failure(caused(OperationalError("could not extend file"), DiskFull("could not extend file")))
    assert trouble is not None
    assert "its disk is full, since " in trouble.text
    if connection.vendor == "sqlite":
        cache.clear()
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        with pytest.raises(DatabaseError) as refused, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE large AS SELECT zeroblob(50000000)")
        trouble = note_failure(refused.value)
        assert trouble is not None
        assert trouble.kind == "full"


def test_a_sqlite_file_that_stays_locked_is_called_that(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite3"
    with closing(sqlite3.connect(file, timeout=0)) as one, closing(sqlite3.connect(file, timeout=0)) as other:
        one.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("BEGIN IMMEDIATE")
    trouble = note_failure(caused(OperationalError(str(locked.value)), locked.value))
    assert trouble is not None
    assert "somebody keeps it locked, since " in trouble.text


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def test_a_server_that_is_away_is_called_that() -> None:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(f"host=127.0.0.1 port={free_port()} user=nobody connect_timeout=2")
    trouble = note_failure(caused(OperationalError(str(refused.value)), refused.value))
    assert trouble is not None
    assert "it does not answer, since " in trouble.text


def test_what_is_the_datas_fault_or_the_moments_is_no_trouble() -> None:
    assert note_failure(IntegrityError("UNIQUE constraint failed")) is None
    assert note_failure(ValueError("a bug")) is None
    assert note_failure(OperationalError("database is locked")) is None
    assert current_trouble() is None


def test_a_small_write_between_large_ones_that_fail_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubles, "_QUIET_SECONDS", 60.0)
    note_failure(caused(OperationalError("full"), DiskFull("full")))
    trouble = look()
    assert trouble is not None
    again = note_failure(caused(OperationalError("full"), DiskFull("full")))
    assert again is not None
    assert again.since == trouble.since
    monkeypatch.setattr(troubles, "_QUIET_SECONDS", 0.0)
    assert look() is None
    assert current_trouble() is None


def test_a_redis_that_takes_nothing_is_ill(client: Client, settings: LazySettings) -> None:
    with private_redis() as url, redis.Redis.from_url(url) as full:
        settings.REDIS_URL = url
        full.config_set("maxmemory-policy", "noeviction")
        assert health_of(client)[1]["checks"]["redis"]["well"]
        full.config_set("maxmemory", "1")
        status, report = health_of(client)
        assert status == 503
        assert "maxmemory" in report["checks"]["redis"]["detail"]
