"""Data that the database cannot take costs its own object, and neither the others nor the writer."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from hypervisors.gateway.domains.reading import DomainFacts
from hypervisors.gateway.hypervisors.hosts import HostFacts
from hypervisors.gateway.networks.networks import NetworkFacts
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.leases import LeaseKeeper
from hypervisors.inventory.observations import (
    DomainsListed,
    HostRead,
    NetworksListed,
    Observation,
    StatusSeen,
    StoragePoolRead,
    StoragePoolsListed,
    VolumesListed,
)
from hypervisors.inventory.writer import Writer
from hypervisors.models import Domain, Hypervisor, Network, StoragePool, Volume
from hypervisors.states import DomainState, HypervisorStatus

pytestmark = pytest.mark.django_db

# No column holds it: too large for SQLite and PostgreSQL.
TOO_LARGE = 2**70
ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.fixture
def hosts(make_hypervisor: Callable[..., Hypervisor]) -> list[Hypervisor]:
    """Two with which no session can be begun."""
    return [make_hypervisor(uri="nonsense"), make_hypervisor(uri="nonsense too")]


@pytest.fixture
def writer(hosts: list[Hypervisor], redis_client: object) -> Iterator[Writer]:
    writer = Writer(threading.Event(), LeaseKeeper("writer"))
    writer._turn()
    yield writer
    writer.supervisor.stop()


def tell(writer: Writer, *observations: Observation) -> None:
    for observation in observations:
        writer._post(observation)
    writer._turn()


def domain(uuid: UUID, *, memory_kib: int = 1024) -> DomainFacts:
    return DomainFacts(
        uuid=uuid,
        name=f"vm{uuid.int}",
        state=DomainState.RUNNING,
        state_reason="booted",
        persistent=True,
        autostart=False,
        has_managed_save=False,
        live_xml=f"<domain><name>vm{uuid.int}</name><memory>{memory_kib}</memory></domain>",
        inactive_xml="",
    )


def pool(uuid: UUID, name: str, *, capacity_bytes: int = 1) -> StoragePoolFacts:
    return StoragePoolFacts(
        uuid=uuid,
        name=name,
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/p",
        source="",
        capacity_bytes=capacity_bytes,
        allocation_bytes=0,
        available_bytes=0,
    )


def volume(name: str, *, capacity_bytes: int = 1) -> VolumeFacts:
    texts: dict[str, Any] = dict.fromkeys(
        ("key", "path", "volume_type", "format", "backing_path", "backing_format"), ""
    )
    return VolumeFacts(name=name, capacity_bytes=capacity_bytes, allocation_bytes=0, **texts)


def network(uuid: UUID, *, active: object = True) -> NetworkFacts:
    return NetworkFacts(
        uuid=uuid,
        name=f"net{uuid.int}",
        active=active,  # type: ignore[arg-type]
        autostart=False,
        forward_mode="nat",
        bridge="",
        addresses=(),
    )


def test_one_bad_virtual_machine_is_named_and_the_others_are_written(
    writer: Writer, hosts: list[Hypervisor], caplog: pytest.LogCaptureFixture
) -> None:
    here, there = hosts
    bad = domain(ONE, memory_kib=TOO_LARGE)
    listed = DomainsListed(hypervisor_id=here.pk, domains=(bad, domain(TWO)), started_at=time.monotonic())
    with caplog.at_level(logging.ERROR):
        tell(writer, listed, StatusSeen(hypervisor_id=there.pk, status=HypervisorStatus.STALE, reason="slow"))
    assert list(Domain.objects.values_list("name", flat=True)) == ["vm2"]
    there.refresh_from_db()
    assert there.status == HypervisorStatus.STALE
    assert [r.getMessage() for r in caplog.records if "“vm1”" in r.getMessage() and "passed over" in r.getMessage()]
    # And it goes on: what is told next is written at once, the mended one too.
    tell(writer, DomainsListed(hypervisor_id=here.pk, domains=(domain(ONE), domain(TWO)), started_at=time.monotonic()))
    assert set(Domain.objects.values_list("name", flat=True)) == {"vm1", "vm2"}


def test_bad_storage_pools_volumes_and_networks_cost_themselves_alone(writer: Writer, hosts: list[Hypervisor]) -> None:
    here = hosts[0].pk
    tell(
        writer,
        StoragePoolsListed(hypervisor_id=here, uuids=(ONE, TWO)),
        StoragePoolRead(hypervisor_id=here, facts=pool(ONE, "bad", capacity_bytes=TOO_LARGE)),
        StoragePoolRead(hypervisor_id=here, facts=pool(TWO, "good")),
        VolumesListed(
            hypervisor_id=here, pool_uuid=TWO, volumes=(volume("bad", capacity_bytes=TOO_LARGE), volume("good"))
        ),
        NetworksListed(hypervisor_id=here, networks=(network(ONE, active=None), network(TWO))),
    )
    assert list(StoragePool.objects.values_list("name", flat=True)) == ["good"]
    assert list(Volume.objects.values_list("name", flat=True)) == ["good"]
    assert list(Network.objects.values_list("name", flat=True)) == ["net2"]


def test_a_host_that_tells_nonsense_of_itself_costs_no_other(writer: Writer, hosts: list[Hypervisor]) -> None:
    here, there = hosts
    good = HostFacts(
        host_uuid=None,
        hostname="there",
        architecture="x86_64",
        cpu_model="",
        cpu_count=4,
        cpu_sockets=1,
        cpu_cores_per_socket=4,
        cpu_threads_per_core=1,
        memory_kib=1024,
        libvirt_version="9.0.0",
        qemu_version="",
        kvm_available=True,
        machine_types=(),
        cpu_xml="",
    )
    bad = HostFacts(**{**vars(good), "memory_kib": TOO_LARGE})
    tell(writer, HostRead(hypervisor_id=here.pk, facts=bad), HostRead(hypervisor_id=there.pk, facts=good))
    there.refresh_from_db()
    assert there.hostname == "there"


def test_a_reading_that_cannot_be_understood_is_passed_over(writer: Writer, hosts: list[Hypervisor]) -> None:
    here = hosts[0].pk
    broken = DomainsListed(hypervisor_id=here, domains=(None,), started_at=0.0)  # type: ignore[arg-type]
    tell(writer, broken, StatusSeen(hypervisor_id=here, status=HypervisorStatus.STALE, reason="slow"))
    hosts[0].refresh_from_db()
    assert hosts[0].status == HypervisorStatus.STALE
