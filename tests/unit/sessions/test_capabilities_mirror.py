"""What hosts can give guests, as it is written into rows and read from them for a placement."""

from collections.abc import Callable
from uuid import UUID

import pytest
from pytest_django import DjangoAssertNumQueries

from hypervisors.gateway.hypervisors.capabilities import CapabilitiesFacts
from hypervisors.inventory.hypervisors.capabilities_mirror import CapabilitiesMirror
from hypervisors.inventory.isolation import Isolation
from hypervisors.inventory.observations import CapabilitiesRead
from hypervisors.libvirtxml.host_capabilities import GuestArchitecture, HostCapabilities
from hypervisors.models import Hypervisor, HypervisorCapabilities, Network, SharedStorage, StoragePool
from hypervisors.models.host_candidates import host_candidates, storage_key
from hypervisors.states import AdminState, HypervisorStatus

pytestmark = pytest.mark.django_db

HOST = HostCapabilities(arch="x86_64", guests=(GuestArchitecture(arch="x86_64", virt_types=("qemu",)),))


def read(hypervisor_id: int, *, xml: str = "<capabilities/>") -> CapabilitiesRead:
    return CapabilitiesRead(hypervisor_id=hypervisor_id, facts=CapabilitiesFacts(xml=xml, capabilities=HOST))


def save(mirror: CapabilitiesMirror, **given: Isolation) -> None:
    mirror.save(**given)
    mirror.note_saved()


def test_a_reading_is_written_once_and_again_when_it_differs(make_hypervisor: Callable[..., Hypervisor]) -> None:
    hypervisor, mirror = make_hypervisor(), CapabilitiesMirror()
    mirror.take_reading(read(hypervisor.pk))
    assert mirror.unsaved_hypervisors() == {hypervisor.pk}
    save(mirror)
    row = HypervisorCapabilities.objects.get()
    assert (row.host, row.capabilities_xml) == (HOST, "<capabilities/>")
    mirror.take_reading(read(hypervisor.pk))
    assert not mirror.has_unsaved()
    mirror.take_reading(read(hypervisor.pk, xml="<capabilities><new/></capabilities>"))
    save(mirror)
    assert HypervisorCapabilities.objects.get().capabilities_xml == "<capabilities><new/></capabilities>"


def test_what_another_watcher_has_or_nobody_any_more_is_not_written(make_hypervisor: Callable[..., Hypervisor]) -> None:
    hypervisor, mirror = make_hypervisor(), CapabilitiesMirror()
    mirror.take_reading(read(hypervisor.pk))
    mirror.drop({hypervisor.pk})
    mirror.take_reading(read(hypervisor.pk + 1))
    save(mirror)
    assert not HypervisorCapabilities.objects.exists()


def test_one_host_that_the_database_cannot_take_costs_no_other(make_hypervisor: Callable[..., Hypervisor]) -> None:
    here, there, mirror = make_hypervisor(), make_hypervisor(), CapabilitiesMirror()
    bad = CapabilitiesFacts(xml="", capabilities=HostCapabilities(arch=object()))  # type: ignore[arg-type]
    mirror.take_reading(CapabilitiesRead(hypervisor_id=here.pk, facts=bad))
    mirror.take_reading(read(there.pk))
    save(mirror, isolation=Isolation(each=True))
    assert list(HypervisorCapabilities.objects.values_list("pk", flat=True)) == [there.pk]


def test_what_another_version_wrote_is_as_good_as_nothing(make_hypervisor: Callable[..., Hypervisor]) -> None:
    mirror = CapabilitiesMirror()
    mirror.take_reading(read(make_hypervisor().pk))
    save(mirror)
    HypervisorCapabilities.objects.update(domain_capabilities={"newfangled": 1})
    assert HypervisorCapabilities.objects.get().host is None


def test_hosts_become_candidates_in_three_queries(
    make_hypervisor: Callable[..., Hypervisor], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = make_hypervisor(
        status=HypervisorStatus.ONLINE, memory_kib=1000, memory_used_kib=400, interface_names=["br0"]
    )
    second = make_hypervisor(status=HypervisorStatus.OFFLINE, admin_state=AdminState.MAINTENANCE)
    shared = SharedStorage.objects.create(hypervisor_pool=first.hypervisor_pool)
    for number, hypervisor in enumerate((first, second)):
        StoragePool.objects.create(
            hypervisor=hypervisor, shared_storage=shared, uuid=UUID(int=number), name="images", pool_type="dir",
            active=True, autostart=True, available_bytes=5,
        )  # fmt: skip
    Network.objects.create(
        hypervisor=first, uuid=UUID(int=1), name="default", active=True, autostart=True, forward_mode="nat"
    )
    hosts = list(Hypervisor.objects.order_by("pk"))
    with django_assert_num_queries(3):
        one, other = host_candidates(hosts)
    assert (one.is_enabled, one.is_online, one.memory_free_kib) == (True, True, 600)
    assert one.networks == {("network", "default"), ("bridge", "br0")}
    assert (other.is_enabled, other.is_online, other.networks) == (False, False, frozenset())
    pool = StoragePool.objects.first()
    assert pool is not None
    assert one.storage_free_bytes == other.storage_free_bytes == {storage_key(pool): 5}
