"""Where a machine can move to: every obstacle names the thing that is in the way."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Hypervisor, HypervisorPool, Network, Operation, StoragePool
from hypervisors.operations.domains.migration_targets import migration_targets
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import AdminState, DomainState, HypervisorStatus

pytestmark = pytest.mark.django_db

GIB_AS_KIB = 1024**2

PARSED: dict[str, Any] = {
    "domain_type": "kvm",
    "architecture": "x86_64",
    "machine": "pc-q35-7.2",
    "disks": [
        {"device": "disk", "target": "vda", "source_kind": "file", "source": "/srv/shared/web1.qcow2"},
        {"device": "cdrom", "target": "sda", "source_kind": "none", "source": ""},
    ],
    "interfaces": [{"mac": "52:54:00:00:00:01", "kind": "network", "source": "default"}],
}


@pytest.fixture
def moving(make_domain: Callable[..., Domain]) -> Domain:
    return make_domain(name="web1", state=DomainState.RUNNING, memory_kib=2 * GIB_AS_KIB, parsed=PARSED)


@pytest.fixture
def target(moving: Domain, make_hypervisor: Callable[..., Hypervisor]) -> Hypervisor:
    """host2, to which nothing stands in the way."""
    hypervisor = make_hypervisor(
        machine_types=["pc-q35-7.2"],
        kvm_available=True,
        memory_kib=8 * GIB_AS_KIB,
        memory_used_kib=GIB_AS_KIB,
    )
    StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=uuid4(),
        name="shared",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/srv/shared",
    )
    Network.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="default", active=True, autostart=True, forward_mode="nat"
    )
    return hypervisor


def obstacles(domain: Domain, target: Hypervisor) -> list[str]:
    domain = Domain.objects.get(pk=domain.pk)
    return next(found.obstacles for found in migration_targets(domain) if found.hypervisor == target)


def test_nothing_stands_in_the_way(moving: Domain, target: Hypervisor) -> None:
    assert obstacles(moving, target) == []


def test_a_host_in_maintenance_says_since_when_and_by_whom(moving: Domain, target: Hypervisor) -> None:
    target.admin_state, target.admin_state_by = AdminState.MAINTENANCE, "alice"
    target.admin_state_reason = "New memory."
    target.save()
    (obstacle,) = obstacles(moving, target)
    assert obstacle.startswith("It is in maintenance since ")
    assert obstacle.endswith(" by alice: nothing moves there. New memory.")


def test_what_its_host_does_not_have_any_more_is_no_help(moving: Domain, target: Hypervisor) -> None:
    target.storage_pools.update(vanished_at=timezone.now())
    target.networks.update(vanished_at=timezone.now())
    texts = obstacles(moving, target)
    assert any("in no storage pool of this host" in text for text in texts)
    assert "The network “default” does not exist there." in texts


def test_the_host_it_is_on_and_hosts_of_other_pools_are_none(
    moving: Domain, target: Hypervisor, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    make_hypervisor(hypervisor_pool=HypervisorPool.objects.create(name="elsewhere"))
    found = migration_targets(moving)
    assert [target.hypervisor.name for target in found] == ["host2", "host1"]
    assert found[1].obstacles == ["It is on this host already."]


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        ({"status": HypervisorStatus.OFFLINE}, "host2 is offline; it was last seen at"),
        ({"status": HypervisorStatus.STALE}, "host2 has not answered since"),
        ({"architecture": "aarch64"}, "It is an x86_64 machine; this host is aarch64."),
        ({"kvm_available": False}, "It runs under KVM, which this host does not have."),
        ({"machine_types": ["pc-q35-6.0"]}, "does not know the machine type pc-q35-7.2"),
        ({"memory_used_kib": 7 * GIB_AS_KIB}, "It needs 2.1 GiB of memory; 1.0 GiB are free there."),
        ({"uri": "qemu:///system"}, "Other hosts cannot reach it as qemu:///system."),
        ({"uri": "qemu+tcp://127.0.0.1/system"}, "Other hosts cannot reach it as qemu+tcp://127.0.0.1/system."),
    ],
)
def test_what_the_host_lacks_is_said(
    change: dict[str, object], obstacle: str, moving: Domain, target: Hypervisor
) -> None:
    Hypervisor.objects.filter(pk=target.pk).update(**change)
    found = obstacles(moving, target)
    assert len(found) == 1
    assert obstacle in found[0]


def test_a_migration_uri_makes_a_local_host_a_target(moving: Domain, target: Hypervisor) -> None:
    Hypervisor.objects.filter(pk=target.pk).update(uri="qemu:///system", migration_uri="qemu+tls://host2/system")
    assert obstacles(moving, target) == []


@pytest.mark.parametrize(
    ("disk", "obstacle"),
    [
        (
            {"device": "disk", "target": "vdb", "source_kind": "file", "source": "/var/lib/local.qcow2"},
            "Disk vdb (/var/lib/local.qcow2) is in no storage pool of this host.",
        ),
        (
            {"device": "cdrom", "target": "sda", "source_kind": "file", "source": "/root/debian.iso"},
            "The medium in drive sda (/root/debian.iso) is not on this host; eject it first.",
        ),
        (
            {"device": "disk", "target": "vdb", "source_kind": "volume", "source": "fast/web1"},
            "Disk vdb is in the storage pool “fast”, which is not active there.",
        ),
    ],
)
def test_disks_must_be_where_the_target_has_them(
    disk: dict[str, str], obstacle: str, moving: Domain, target: Hypervisor
) -> None:
    moving.definition.live_parsed = PARSED | {"disks": [disk]}
    moving.definition.save()
    assert obstacles(moving, target) == [obstacle]


def test_a_path_that_only_begins_alike_is_another(moving: Domain, target: Hypervisor) -> None:
    disk = {"device": "disk", "target": "vda", "source_kind": "file", "source": "/srv/shared-not/web1.qcow2"}
    moving.definition.live_parsed = PARSED | {"disks": [disk]}
    moving.definition.save()
    assert len(obstacles(moving, target)) == 1


def test_an_idle_storage_pool_and_network_are_named(moving: Domain, target: Hypervisor) -> None:
    target.storage_pools.update(active=False)
    target.networks.update(active=False)
    assert obstacles(moving, target) == [
        "The storage pool “shared” with disk vda (/srv/shared/web1.qcow2) is not active there.",
        "The network “default” is not active there.",
    ]
    target.networks.all().delete()
    assert "The network “default” does not exist there." in obstacles(moving, target)


def test_what_is_tied_to_its_host_stays(moving: Domain, target: Hypervisor) -> None:
    moving.definition.live_parsed = PARSED | {
        "host_devices": ["usb 046d:c52b"],
        "filesystems": [{"kind": "mount", "source": "/home", "target": "home"}],
    }
    moving.definition.save()
    assert obstacles(moving, target) == [
        "It uses a device of its host (usb 046d:c52b); detach it first.",
        "It shares the directory /home with its host; detach it first.",
    ]


def test_a_namesake_is_in_the_way(moving: Domain, target: Hypervisor, make_domain: Callable[..., Domain]) -> None:
    make_domain(name="web1", hypervisor=target)
    assert obstacles(moving, target) == ["There is another virtual machine called “web1” on this host."]


def test_an_older_qemu_is_a_warning_only(moving: Domain, target: Hypervisor) -> None:
    Hypervisor.objects.update(qemu_version="7.2.0")
    Hypervisor.objects.filter(pk=target.pk).update(qemu_version="6.10.1")
    found = migration_targets(Domain.objects.get(pk=moving.pk))[0]
    assert (found.hypervisor, found.is_possible) == (target, True)
    assert found.warnings == ["QEMU is older there (6.10.1, here 7.2.0): the move may be refused."]


def test_a_request_to_an_impossible_target_is_refused_with_the_reason(
    moving: Domain, target: Hypervisor, alice: User
) -> None:
    target.networks.all().delete()
    with pytest.raises(NotPossible, match="web1 cannot move to host2: The network “default” does not exist there"):
        request_operation(user=alice, subject=moving, kind="migrate", target_hypervisor=target)
    with pytest.raises(NotPossible, match="Choose the host"):
        request_operation(user=alice, subject=moving, kind="migrate")
    assert not Operation.objects.exists()


def test_a_bigger_pool_takes_no_more_queries(
    moving: Domain,
    target: Hypervisor,
    make_hypervisor: Callable[..., Hypervisor],
    django_assert_max_num_queries: Callable[[int], Any],
) -> None:
    for _number in range(20):
        make_hypervisor()
    row = Domain.objects.select_related("hypervisor", "definition").get(pk=moving.pk)
    with django_assert_max_num_queries(6):
        assert len(migration_targets(row)) == 22
