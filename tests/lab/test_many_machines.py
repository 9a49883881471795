"""Two machines over one PostgreSQL and one Redis: whatever of one of them dies, the other goes on."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from deploy.lab.guest import Guest
from deploy.lab.lab import Lab
from tests.lab.machines import PASSWORD, QUEUES, Cluster, Person, running_cluster
from tests.watching import wait_until

TAKE_OVER_SECONDS = 15


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(lab, tmp_path_factory.mktemp("machines")) as running:
        yield running


@pytest.fixture
def admin(cluster: Cluster) -> Person:
    """Signed in, once everything runs twice."""
    person = Person(cluster.url)
    person.sign_in("admin", PASSWORD)
    wait_until(lambda: runs_twice(person.health()), seconds=60)
    return person


@pytest.fixture
def guest(lab: Lab, cluster: Cluster) -> Iterator[Guest]:
    with lab.guest(lab.hosts[0], "many") as made:
        made.wait_until_counting()
        wait_until(lambda: state_of(cluster, made) == "running")
        yield made


def runs_twice(health: dict[str, Any]) -> bool:
    hosts = {
        kind: [(one["host"], *one["holds"]) for one in instances]
        for kind, instances in health.get("instances", {}).items()
    }
    once = [(machine,) for machine in ("app1", "app2")]
    return (
        sorted(hosts.get("web", [])) == sorted(once * 2)
        and sorted(hosts.get("console", [])) == once
        and sorted(hosts.get("transfer", [])) == once
        and sorted(hosts.get("watcher", [])) == once
        and sorted(hosts.get("worker", [])) == sorted((machine, queue) for (machine,) in once for queue in QUEUES)
        and len(set(leaders(health).values())) == 2
        # While a pool changes hands nobody leads it.
        and "" not in leaders(health).values()
    )


def leaders(health: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = health.get("pools", {}).get("each", {})
    return found


def query(cluster: Cluster, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(cluster.database_url) as connection:
        return connection.execute(sql, arguments).fetchall()  # type: ignore[arg-type]


def state_of(cluster: Cluster, guest: Guest) -> str:
    rows = query(cluster, "SELECT state FROM hypervisors_domain WHERE uuid = %s", guest.uuid)
    return str(rows[0][0]) if rows else ""


def domains(cluster: Cluster) -> set[tuple[Any, ...]]:
    """What must not change by itself."""
    return set(query(cluster, "SELECT id, uuid, hypervisor_id, vanished_at, state_since FROM hypervisors_domain"))


def test_the_pools_are_spread_and_the_hosts_page_names_every_process(cluster: Cluster, admin: Person) -> None:
    assert {leader.split(":")[0] for leader in leaders(admin.health()).values()} == {"app1", "app2"}
    status, page = admin.get("/hypervisors/processes/")
    assert status == 200
    assert page.count(">app1<") == page.count(">app2<") == 7
    assert page.count("Pages × 2") == 2
    assert "leads lab" in page
    assert "leads other" in page


def test_the_leading_watcher_is_killed_and_the_other_takes_over(
    cluster: Cluster, admin: Person, lab: Lab, guest: Guest
) -> None:
    before, leader = domains(cluster), leaders(admin.health())["lab"]
    machine = cluster.machine(leader)
    machine.kill("watcher")
    try:
        killed_at = time.monotonic()
        lab.hosts[0].virsh("suspend", guest.uuid)
        wait_until(lambda: state_of(cluster, guest) == "paused", seconds=TAKE_OVER_SECONDS)
        assert time.monotonic() - killed_at < TAKE_OVER_SECONDS
        assert leaders(admin.health())["lab"] not in ("", leader)
        lab.hosts[0].virsh("resume", guest.uuid)
        # By events, within moments.
        wait_until(lambda: state_of(cluster, guest) == "running", seconds=5)
        after = domains(cluster)
        assert {row[:4] for row in after} == {row[:4] for row in before}
        # Nothing else was touched.
        assert len(after - before) == 1
    finally:
        machine.start("watcher")


def test_the_database_cuts_everybody_off_and_each_pool_has_one_watcher_again(
    cluster: Cluster, admin: Person, lab: Lab, guest: Guest
) -> None:
    before = domains(cluster)
    everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename <> ''"
    query(cluster, everybody)
    lab.hosts[0].virsh("suspend", guest.uuid)
    wait_until(lambda: state_of(cluster, guest) == "paused", seconds=TAKE_OVER_SECONDS)
    lab.hosts[0].virsh("resume", guest.uuid)
    wait_until(lambda: state_of(cluster, guest) == "running", seconds=TAKE_OVER_SECONDS)
    assert {row[:4] for row in domains(cluster)} == {row[:4] for row in before}
    wait_until(lambda: runs_twice(admin.health()) and admin.is_well(), seconds=30)


def test_a_web_process_is_killed_and_every_page_is_answered(cluster: Cluster, admin: Person) -> None:
    cluster.machines[0].kill_a_web_process()
    assert [admin.get("/vms/")[0] for _ in range(30)] == [200] * 30
    cluster.machines[0].kill("web")
    try:
        assert [admin.get("/vms/")[0] for _ in range(30)] == [200] * 30
    finally:
        cluster.machines[0].start("web")


def test_one_console_proxy_of_two_is_killed_and_all_is_well(cluster: Cluster, admin: Person) -> None:
    cluster.machines[0].kill("console")
    try:
        # 426: it wants a websocket, and answers.
        assert [admin.get("/console/vnc")[0] for _ in range(10)] == [426] * 10
        wait_until(lambda: len(admin.health()["instances"]["console"]) == 1, seconds=10)
        assert admin.is_well()
    finally:
        cluster.machines[0].start("console")


def test_a_worker_is_killed_in_mid_migration_and_that_of_the_other_machine_adopts_it(
    cluster: Cluster, admin: Person, lab: Lab, guest: Guest
) -> None:
    first, second = cluster.machines
    source, target = lab.hosts[:2]
    second.stop("migrations")
    source.virsh("migrate-setspeed", guest.uuid, "2")
    ((target_id,),) = query(cluster, "SELECT id FROM hypervisors_hypervisor WHERE name = %s", target.name)
    status, page = admin.post(f"/vms/{guest.uuid}/migrate/", target=str(target_id))
    assert status in (200, 204), page
    wait_until(lambda: "Data remaining" in source.virsh("domjobinfo", guest.uuid))
    second.start("migrations")
    wait_until(lambda: runs_twice(admin.health()), seconds=60)
    first.kill("migrations")
    try:
        unfinished = "SELECT count(*) FROM hypervisors_operation WHERE state IN ('queued', 'running')"
        adopted = "SELECT attempt FROM hypervisors_operation WHERE state = 'running' AND kind = 'migrate'"
        wait_until(lambda: query(cluster, adopted) == [(2,)], seconds=TAKE_OVER_SECONDS + 5)
        source.virsh("migrate-setspeed", guest.uuid, "1000")
        wait_until(lambda: query(cluster, unfinished) == [(0,)], seconds=90)
        moves = "SELECT kind, state FROM hypervisors_operation WHERE kind = 'migrate'"
        assert query(cluster, moves) == [("migrate", "succeeded")]
        assert target.virsh("domstate", guest.uuid) == "running"
        assert guest.uuid not in source.virsh("list", "--all", "--uuid")
        guest.wait_until_counting()
        assert guest.boots() == 1
    finally:
        first.start("migrations")
