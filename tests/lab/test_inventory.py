"""The watcher against real hypervisors: what virsh does shows up, and what breaks stays by itself."""

import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import LazySettings
from django.db import connection

from deploy.lab import fault, process
from deploy.lab.guest import DEFAULT_MEMORY_KIB
from deploy.lab.host import Host
from deploy.lab.lab import Lab
from deploy.lab.network import set_link
from hypervisors.inventory.refresh_requests import request_hypervisors_refresh
from hypervisors.models import Domain, Hypervisor, HypervisorPool
from hypervisors.models.usage import domain_key, read_usage
from hypervisors.states import DomainState, HypervisorStatus
from tests.watching import running_watcher, wait_for_status, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

# Soon: that it takes milliseconds is measured by bench/, not here, on machines that are busy.
AT_ONCE = 20.0


@pytest.fixture
def hosts(lab: Lab, redis_client: redis.Redis, transactional_db: None) -> Iterator[list[tuple[Host, Hypervisor]]]:
    """The lab's two hosts, watched and online."""
    pool = HypervisorPool.objects.create(name="lab")
    rows = [Hypervisor.objects.create(hypervisor_pool=pool, name=host.name, uri=host.uri) for host in lab.hosts]
    with running_watcher():
        yield [(host, wait_for_status(row, HypervisorStatus.ONLINE)) for host, row in zip(lab.hosts, rows, strict=True)]


class Guest:
    """A machine without a disk on one host, and its row."""

    def __init__(self, host: Host, path: Any) -> None:
        self.uuid = str(uuid4())
        self.name = f"inventory-{self.uuid[:8]}"
        path.write_text(
            f"<domain type='qemu'><name>{self.name}</name><uuid>{self.uuid}</uuid><memory unit='MiB'>32</memory>"
            "<vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>"
            "<cpu mode='custom'><model>qemu64</model></cpu></domain>"
        )
        host.virsh("define", str(path))

    @property
    def row(self) -> Domain | None:
        return Domain.objects.select_related("hypervisor", "definition").filter(uuid=self.uuid).first()

    def becomes(self, *, seconds: float = AT_ONCE, **fields: object) -> Domain:
        """The row, once it has these values."""
        row: Domain = wait_until(
            lambda: (row := self.row) and all(getattr(row, k) == v for k, v in fields.items()) and row, seconds=seconds
        )
        return row


@pytest.fixture
def guest(hosts: list[tuple[Host, Hypervisor]], tmp_path: Any) -> Iterator[Guest]:
    made = Guest(hosts[0][0], tmp_path / "guest.xml")
    yield made
    for host, _row in hosts:
        present = host.virsh("list", "--all", "--uuid").split()
        if made.uuid in present:
            if host.virsh("domstate", made.uuid) != "shut off":
                host.virsh("destroy", made.uuid)
            if made.uuid in host.virsh("list", "--all", "--uuid").split():
                host.virsh("undefine", made.uuid)


def test_what_virsh_does_is_mirrored(hosts: list[tuple[Host, Hypervisor]], guest: Guest) -> None:
    host, hypervisor = hosts[0]
    first = guest.becomes(name=guest.name, state=DomainState.SHUTOFF, hypervisor=hypervisor)
    host.virsh("start", guest.uuid)
    guest.becomes(state=DomainState.RUNNING)
    wait_until(lambda: guest.row.definition.live_xml)
    host.virsh("suspend", guest.uuid)
    guest.becomes(state=DomainState.PAUSED, state_reason="by user")
    host.virsh("resume", guest.uuid)
    guest.becomes(state=DomainState.RUNNING)
    host.virsh("desc", guest.uuid, "--title", "--live", "--config", "A <b>title</b> & more")
    guest.becomes(title="A <b>title</b> & more")
    host.virsh("destroy", guest.uuid)
    guest.becomes(state=DomainState.SHUTOFF, state_reason="forced off")
    host.virsh("domrename", guest.uuid, f"{guest.name}-renamed")
    guest.becomes(name=f"{guest.name}-renamed")
    host.virsh("undefine", guest.uuid)
    wait_until(lambda: guest.row.vanished_at is not None, seconds=AT_ONCE)
    assert guest.row.pk == first.pk


def test_a_killed_qemu_is_seen_as_failed(hosts: list[tuple[Host, Hypervisor]], guest: Guest) -> None:
    host, _hypervisor = hosts[0]
    host.virsh("start", guest.uuid)
    guest.becomes(state=DomainState.RUNNING)
    process.kill([host.qemu_pid(guest.name)])
    guest.becomes(state=DomainState.SHUTOFF, seconds=30)
    assert guest.row.state_reason in ("crashed", "failed")


def test_a_migration_moves_the_row_and_it_never_vanishes(hosts: list[tuple[Host, Hypervisor]], guest: Guest) -> None:
    (source, source_row), (target, target_row) = hosts
    source.virsh("start", guest.uuid)
    before = guest.becomes(state=DomainState.RUNNING, hypervisor=source_row)
    seen: set[tuple[int | None, str, bool]] = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            row = guest.row
            seen.add((row.hypervisor_id, row.state, row.vanished_at is None))
        connection.close()

    looking = threading.Thread(target=look)
    looking.start()
    source.virsh("migrate", "--live", "--p2p", "--persistent", "--undefinesource", guest.uuid, target.uri)
    guest.becomes(hypervisor=target_row)
    done.set()
    looking.join()
    assert guest.row.pk == before.pk
    assert seen <= {(source_row.pk, DomainState.RUNNING, True), (target_row.pk, DomainState.RUNNING, True)}
    assert guest.uuid in target.virsh("list", "--uuid")


def test_a_frozen_libvirtd_is_stale_then_back_and_holds_up_nobody(
    hosts: list[tuple[Host, Hypervisor]], guest: Guest
) -> None:
    (host, _row), (frozen, frozen_row) = hosts
    guest.becomes(state=DomainState.SHUTOFF)
    fault.freeze(frozen)
    try:
        stale = wait_for_status(frozen_row, HypervisorStatus.STALE, seconds=30)
        assert "has not answered since" in stale.status_reason
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        wait_for_status(frozen_row, HypervisorStatus.OFFLINE, seconds=30)
        host.virsh("suspend", guest.uuid)
        guest.becomes(state=DomainState.PAUSED)
    finally:
        fault.thaw(frozen)
    wait_for_status(frozen_row, HypervisorStatus.ONLINE, seconds=40)


def test_a_cut_link_is_noticed_and_mended(
    lab: Lab, hosts: list[tuple[Host, Hypervisor]], guest: Guest, tmp_path: Any
) -> None:
    (host, _row), (cut, cut_row) = hosts
    set_link(lab.plan, cut.plan, up=False)
    try:
        wait_for_status(cut_row, HypervisorStatus.STALE, seconds=30)
        host.virsh("start", guest.uuid)
        guest.becomes(state=DomainState.RUNNING)
        offline = wait_for_status(cut_row, HypervisorStatus.OFFLINE, seconds=30)
        wait_until(lambda: "did not answer" in _reason(cut_row) or "cannot be reached" in _reason(cut_row), seconds=40)
        assert offline.seen_at is not None
        assert offline.seen_at < offline.status_since
    finally:
        set_link(lab.plan, cut.plan, up=True)
    wait_for_status(cut_row, HypervisorStatus.ONLINE, seconds=40)


def _reason(hypervisor: Hypervisor) -> str:
    return Hypervisor.objects.get(pk=hypervisor.pk).status_reason


def test_a_killed_libvirtd_is_offline_with_the_reason_and_resynchronised_after(
    hosts: list[tuple[Host, Hypervisor]], guest: Guest
) -> None:
    host, row = hosts[0]
    guest.becomes(state=DomainState.SHUTOFF)
    with fault.during(fault.kill_libvirtd, fault.start_libvirtd, host):
        wait_for_status(row, HypervisorStatus.OFFLINE)
        wait_until(lambda: "nothing listens on port 16509" in _reason(row))
        assert guest.row.vanished_at is None
    host.virsh("start", guest.uuid)
    wait_for_status(row, HypervisorStatus.ONLINE)
    guest.becomes(state=DomainState.RUNNING)


def test_a_hung_qemu_is_told_and_costs_the_others_nothing(
    hosts: list[tuple[Host, Hypervisor]], guest: Guest, settings: LazySettings, tmp_path: Any
) -> None:
    host, row = hosts[0]
    settings.USAGE_PERIOD_SECONDS = 1
    Hypervisor.objects.filter(pk=row.pk).update(revision=2)  # a new session takes the period up
    request_hypervisors_refresh()
    host.virsh("start", guest.uuid)
    guest.becomes(state=DomainState.RUNNING, answering=True, seconds=30)
    wait_until(lambda: len(read_usage(domain_key(guest.uuid))) >= 2, seconds=40)
    other = Guest(host, tmp_path / "other.xml")
    fault.freeze_qemu(host, guest.name)
    try:
        guest.becomes(answering=False, state=DomainState.RUNNING, seconds=30)
        other.becomes(state=DomainState.SHUTOFF)
        assert Hypervisor.objects.get(pk=row.pk).status == HypervisorStatus.ONLINE
    finally:
        fault.thaw_qemu(host, guest.name)
        host.virsh("undefine", other.uuid)
    guest.becomes(answering=True, seconds=30)


def test_a_hypervisor_is_described(hosts: list[tuple[Host, Hypervisor]]) -> None:
    host, row = hosts[0]
    wait_until(lambda: Hypervisor.objects.get(pk=row.pk).host_uuid, seconds=60)
    row.refresh_from_db()
    assert str(row.host_uuid) == host.host_uuid
    assert (row.architecture, row.hostname) == ("x86_64", host.virsh("hostname"))
    assert row.libvirt_version.count(".") == row.qemu_version.count(".") == 2
    assert row.cpu_count == int(host.run("nproc"))
    assert row.memory_kib == total_memory_kib(host)
    assert "q35" in row.machine_types
    assert row.cpu_xml.startswith("<cpu>")
    assert row.kvm_available == ("domain type='kvm'" in host.virsh("capabilities"))
    wait_until(lambda: row.networks.filter(bridge="virbr0").exists(), seconds=30)
    wait_until(lambda: row.storage_pools.exists() == bool(host.virsh("pool-list", "--all", "--uuid")), seconds=30)
    wait_until(lambda: Hypervisor.objects.get(pk=row.pk).cpu_percent is not None, seconds=40)


def test_the_same_machine_twice_is_refused_and_named(hosts: list[tuple[Host, Hypervisor]], guest: Guest) -> None:
    host, row = hosts[0]
    wait_until(lambda: Hypervisor.objects.get(pk=row.pk).host_uuid, seconds=60)
    twin = Hypervisor.objects.create(hypervisor_pool=row.hypervisor_pool, name="twin", uri=f"{host.uri}?mode=auto")
    request_hypervisors_refresh()
    refused = wait_for_status(twin, HypervisorStatus.OFFLINE, seconds=40)
    assert f"same machine as “{row.name}”" in refused.status_reason
    assert Hypervisor.objects.get(pk=row.pk).status == HypervisorStatus.ONLINE
    assert guest.row.hypervisor == row
    host.virsh("start", guest.uuid)
    guest.becomes(state=DomainState.RUNNING, hypervisor=row)


def test_usage_is_sampled(hosts: list[tuple[Host, Hypervisor]], guest: Guest) -> None:
    host, _row = hosts[0]
    host.virsh("start", guest.uuid)
    samples = wait_until(lambda: read_usage(domain_key(guest.uuid)), seconds=40)
    assert 0 <= samples[-1].cpu_percent <= 100
    # Nothing runs in it that could tell.
    assert samples[-1].memory_kib is None
    assert samples[-1].epoch <= time.time()


def total_memory_kib(host: Host) -> int:
    (total,) = (line.split()[2] for line in host.virsh("nodememstats").splitlines() if line.startswith("total"))
    return int(total)


def test_a_guest_that_was_not_asked_tells_what_memory_it_uses(lab: Lab, hosts: list[tuple[Host, Hypervisor]]) -> None:
    """Its definition, which names no period, stays as it is."""
    host, _row = hosts[0]
    with lab.guest(host, "balloon") as telling:
        assert "<stats period" not in host.virsh("dumpxml", telling.uuid)
        key = domain_key(telling.uuid)
        wait_until(lambda: read_usage(key), seconds=40)
        assert read_usage(key)[0].memory_kib is None
        telling.wait_until_counting()
        used = wait_until(lambda: [sample.memory_kib for sample in read_usage(key) if sample.memory_kib], seconds=60)
        assert 0 < used[-1] < DEFAULT_MEMORY_KIB
        assert "<stats period='5'/>" in host.virsh("dumpxml", telling.uuid)
        assert "<stats period" not in host.virsh("dumpxml", telling.uuid, "--inactive")
