"""Where a machine can move to: every obstacle names the thing that is in the way."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import NotPossible
from hypervisors.models import (
    Domain,
    DomainCopy,
    Hypervisor,
    HypervisorPool,
    Network,
    Operation,
    SharedStorage,
    StoragePool,
    Volume,
)
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


@pytest.fixture
def shared(target: Hypervisor, hypervisor: Hypervisor) -> SharedStorage:
    """The storage pools of both hosts look like the same storage."""
    row = SharedStorage.objects.create(
        hypervisor_pool=hypervisor.hypervisor_pool, name="shared", pool_type="dir", identity="path /srv/shared"
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
    StoragePool.objects.update(shared_storage=row)
    return row


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


TPM = {"tpm": "tpm-crb", "tpm_backend": "emulator"}
UEFI = {"firmware": "efi", "keeps_uefi_variables": True}


@pytest.mark.parametrize(
    ("state", "change", "words"),
    [
        (DomainState.SHUTOFF, TPM, ["the state of its TPM"]),
        (DomainState.SHUTOFF, {"tpm": "tpm-tis"}, ["the state of its TPM"]),
        (DomainState.SHUTOFF, UEFI, ["its UEFI variables"]),
        (DomainState.SHUTOFF, TPM | UEFI, ["the state of its TPM", "its UEFI variables"]),
        (DomainState.PAUSED, UEFI, ["It is paused, and its UEFI variables"]),
        (DomainState.PAUSED, TPM, []),
        (DomainState.RUNNING, TPM | UEFI, []),
    ],
)
def test_state_that_is_not_in_the_xml_is_not_left_behind(
    state: DomainState,
    change: dict[str, Any],
    words: list[str],
    make_domain: Callable[..., Domain],
    target: Hypervisor,
    shared: SharedStorage,
) -> None:
    resting = make_domain(name="rest1", state=state, parsed=PARSED | change)
    found = obstacles(resting, target)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_a_disk_of_what_is_off_must_be_on_storage_that_looks_shared(
    make_domain: Callable[..., Domain], target: Hypervisor, hypervisor: Hypervisor, shared: SharedStorage
) -> None:
    resting = make_domain(name="rest1", state=DomainState.SHUTOFF, parsed=PARSED)
    found = next(found for found in migration_targets(resting) if found.hypervisor == target)
    assert (found.obstacles, len(found.warnings)) == ([], 1)
    assert "Whether disk vda is the same file there is looked at before it moves" in found.warnings[0]
    StoragePool.objects.filter(hypervisor=target).update(unproved_reason="Read-only.")
    found = next(found for found in migration_targets(resting) if found.hypervisor == target)
    assert found.warnings[0].endswith("nothing moves. Read-only.")
    StoragePool.objects.update(proved_at=timezone.now())
    found = next(found for found in migration_targets(resting) if found.hypervisor == target)
    assert (found.obstacles, found.warnings) == ([], [])
    target.storage_pools.update(shared_storage=None)
    (obstacle,) = obstacles(resting, target)
    assert obstacle.startswith("Disk vda (/srv/shared/web1.qcow2) is not on shared storage as far as is known")


@pytest.mark.parametrize("state", [DomainState.SHUTOFF, DomainState.RUNNING])
def test_a_host_that_was_proved_not_to_see_the_storage_is_named(
    state: DomainState, make_domain: Callable[..., Domain], target: Hypervisor, shared: SharedStorage
) -> None:
    machine = make_domain(name="web1", state=state, parsed=PARSED)
    target.storage_pools.update(is_another=True, looked_at=timezone.now())
    assert any(
        text.startswith(f"{target.name} does not see the storage of disk vda: its storage pool “shared” is another one")
        for text in obstacles(machine, target)
    )


def test_a_file_of_another_size_is_another_file(
    make_domain: Callable[..., Domain], target: Hypervisor, hypervisor: Hypervisor, shared: SharedStorage
) -> None:
    resting = make_domain(name="rest1", state=DomainState.SHUTOFF, parsed=PARSED)
    for size, host in enumerate((hypervisor, target), start=1):
        Volume.objects.create(storage_pool=host.storage_pools.get(), name="web1.qcow2", capacity_bytes=size)
    (obstacle,) = obstacles(resting, target)
    assert "that host may have another file of that name" in obstacle


def test_a_file_that_only_this_host_lists_is_a_warning(
    moving: Domain, target: Hypervisor, hypervisor: Hypervisor, shared: SharedStorage
) -> None:
    StoragePool.objects.update(volumes_read_at=timezone.now())
    Volume.objects.create(storage_pool=hypervisor.storage_pools.get(), name="web1.qcow2")
    found = migration_targets(moving)[0]
    assert found.obstacles == []
    assert found.warnings == [
        "/srv/shared/web1.qcow2 is not in the list of storage pool “shared” on that host; it is looked for again."
    ]


@pytest.mark.parametrize("servers", ["", "localhost:10809"])
def test_a_disk_served_by_the_host_itself_stays(
    servers: str, make_domain: Callable[..., Domain], target: Hypervisor
) -> None:
    disk = {"device": "disk", "target": "vda", "source_kind": "network", "source": "nbd:a", "servers": servers}
    resting = make_domain(name="rest1", state=DomainState.SHUTOFF, parsed=PARSED | {"disks": [disk]})
    (obstacle,) = obstacles(resting, target)
    assert obstacle.startswith("Disk vda (nbd:a) belongs to this host")


def _has(domain: Domain, **parsed: Any) -> None:
    domain.definition.live_parsed = domain.definition.inactive_parsed = PARSED | parsed
    domain.definition.save()


def _vnc(**fields: Any) -> dict[str, Any]:
    return {"graphics": [{"kind": "vnc", **fields}]}


def test_a_screen_on_its_hosts_own_address_is_in_the_way(moving: Domain, target: Hypervisor) -> None:
    Hypervisor.objects.filter(pk=moving.hypervisor_id).update(uri="qemu+tcp://10.0.0.11/system")
    _has(moving, **_vnc(listen="10.0.0.11"))
    (obstacle,) = obstacles(moving, target)
    assert obstacle.startswith("Its VNC screen listens on 10.0.0.11, which is host1's own address.")
    # What runs shows the address that its host's qemu.conf has chosen.
    moving.definition.inactive_parsed = PARSED | _vnc(listen="")
    moving.definition.save()
    assert obstacles(moving, target) == []
    for anywhere in ("0.0.0.0", "127.0.0.1", "::"):
        _has(moving, **_vnc(listen=anywhere))
        assert obstacles(moving, target) == []
    _has(moving, **_vnc(listen="10.9.9.9"))
    found = migration_targets(Domain.objects.get(pk=moving.pk))[0]
    assert (found.obstacles, found.warnings) == (
        [],
        ["Its VNC screen listens on 10.9.9.9, which that host may not have."],
    )


def test_a_fixed_port_that_is_taken_is_in_the_way(
    moving: Domain, target: Hypervisor, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="other", hypervisor=target, state=DomainState.RUNNING, parsed=_vnc(port=5977))
    _has(moving, **_vnc(port=5977))
    assert obstacles(moving, target) == ["Port 5977 of its VNC screen is taken there."]
    _has(moving, **_vnc(port=5978))
    assert obstacles(moving, target) == []


@pytest.mark.parametrize("kind", ["bridge", "direct"])
def test_a_bridge_that_only_this_host_has_is_in_the_way(kind: str, moving: Domain, target: Hypervisor) -> None:
    _has(moving, interfaces=[{"mac": "52:54:00:00:00:02", "kind": kind, "source": "br-a"}])
    found = migration_targets(Domain.objects.get(pk=moving.pk))[0]
    assert (found.obstacles, found.warnings) == (
        [],
        ["Whether that host has br-a, which a network card is plugged into, is not known."],
    )
    Hypervisor.objects.filter(pk=target.pk).update(interface_names=["eth0", "virbr0"])
    assert obstacles(moving, target) == [
        "Its network card 52:54:00:00:00:02 is plugged into br-a, which does not exist there."
    ]
    Hypervisor.objects.filter(pk=target.pk).update(interface_names=["br-a"])
    assert obstacles(moving, target) == []


def test_snapshots_are_in_the_way_and_checkpoints_are_forgotten(moving: Domain, target: Hypervisor) -> None:
    Domain.objects.filter(pk=moving.pk).update(has_snapshots=True, has_checkpoints=True)
    rows = migration_targets(Domain.objects.get(pk=moving.pk))
    found = next(found for found in rows if found.hypervisor == target)
    assert found.obstacles == ["It has snapshots, with which libvirt does not move it; delete them first."]
    assert found.warnings == ["Its checkpoints are forgotten by a move: its next backup must be a full one."]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (DomainState.SHUTOFF, "host2 has a definition of the same machine (the same UUID) as “other name”, shut off"),
        (DomainState.RUNNING, "ALARM: host2 has the same machine (the same UUID) as “other name”, and it is active"),
    ],
)
def test_the_same_machine_on_the_target_is_not_overwritten(
    state: DomainState, words: str, moving: Domain, target: Hypervisor
) -> None:
    DomainCopy.objects.create(domain=moving, hypervisor=target, name="other name", state=state)
    (obstacle,) = obstacles(moving, target)
    assert obstacle.startswith(words)


@pytest.mark.parametrize(
    ("parsed", "obstacle"),
    [
        ({"shared_memories": ["shm0"]}, "It shares memory (shm0) with its host; detach that first."),
        (
            {"tpm": "tpm-tis", "tpm_backend": "passthrough"},
            "Its TPM is one of its host (passthrough), which cannot move.",
        ),
        (
            {"interfaces": [{"mac": "m", "kind": "hostdev"}]},
            "Its network card m is a device of its host; detach it first.",
        ),
        (
            {"disks": [PARSED["disks"][0] | {"is_transient": True}]},
            "Disk vda is transient, which libvirt does not move.",
        ),
        (
            {"disks": [PARSED["disks"][0] | {"block_job": "commit"}]},
            "libvirt is at work on disk vda (commit); wait for it, or end it.",
        ),
    ],
)
def test_devices_that_libvirt_does_not_move_are_named(
    parsed: dict[str, Any], obstacle: str, moving: Domain, target: Hypervisor
) -> None:
    _has(moving, **parsed)
    assert obstacles(moving, target) == [obstacle]


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
    with django_assert_max_num_queries(7):
        assert len(migration_targets(row)) == 22
