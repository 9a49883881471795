"""Which host a new machine goes to, and what is said of that."""

from dataclasses import replace

import pytest

from hypervisors.libvirtxml.domain_capabilities import DomainCapabilities
from hypervisors.libvirtxml.host_capabilities import GuestArchitecture, HostCapabilities
from hypervisors.planning.placement import HostCandidate, PlacementNeeds, StorageNeed, choose_host, why_not

GIB_KIB, GIB = 1024**2, 1024**3
CAPABILITIES = HostCapabilities(
    arch="x86_64",
    guests=(GuestArchitecture(arch="x86_64", virt_types=("qemu",), machines=("pc-q35-7.2",)),),
    domains=(
        DomainCapabilities(arch="x86_64", virt_type="qemu", machine="pc-q35-7.2", vcpus_maximum=4, firmwares=("bios",)),
    ),
)
HOST1 = HostCandidate(
    host_id=1,
    name="host1",
    memory_kib=8 * GIB_KIB,
    memory_free_kib=4 * GIB_KIB,
    cpu_count=4,
    cpu_percent=50.0,
    storage_free_bytes={"shared:1": 10 * GIB},
    networks=frozenset({("network", "default")}),
    capabilities=CAPABILITIES,
)
HOST2 = replace(HOST1, host_id=2, name="host2", memory_free_kib=int(3.1 * GIB_KIB), cpu_percent=5.0)
NEEDS = PlacementNeeds(
    memory_kib=GIB_KIB,
    storage=(StorageNeed(key="shared:1", name="images", free_bytes=5 * GIB),),
    networks=(("network", "default"),),
    arch="x86_64",
    virt_type="qemu",
    machine="pc-q35-7.2",
)


def test_the_host_with_most_left_is_chosen_and_the_reason_is_said() -> None:
    placement = choose_host([HOST1, HOST2], NEEDS)
    assert (placement.host_id, placement.reason) == (2, "host2: 3.1 GiB free, least loaded")
    assert placement.rejected == ()


def test_of_equals_the_first_by_name_is_chosen_in_whatever_order_they_come() -> None:
    twins = [replace(HOST1, host_id=n, name=f"host{n}") for n in (3, 1, 2)]
    assert choose_host(twins, NEEDS).host_id == 1
    assert choose_host(twins, NEEDS).reason == "host1: 4.0 GiB free"


def test_those_that_cannot_are_named_with_their_reasons() -> None:
    full = replace(HOST2, memory_free_kib=GIB_KIB // 2)
    placement = choose_host([HOST1, full], NEEDS)
    assert (placement.host_id, placement.reason) == (1, "host1: 4.0 GiB free, the only one that can")
    assert placement.rejected == ((2, "0.5 GiB of memory are free; 1.0 GiB are needed, with some left."),)


def test_where_none_can_all_reasons_are_said() -> None:
    placement = choose_host([replace(HOST1, is_online=False), replace(HOST2, is_enabled=False)], NEEDS)
    assert placement.host_id is None
    assert placement.reason == (
        "No host can run it. host1: It is not online; host2: It takes nothing new: it is disabled or in maintenance."
    )
    assert choose_host([], NEEDS).reason == "The pool has no hosts."


@pytest.mark.parametrize(
    ("host", "needs", "words"),
    [
        ({"is_enabled": False}, {}, "maintenance"),
        ({"is_online": False}, {}, "not online"),
        ({"stale_for": "12 minutes"}, {}, "12 minutes"),
        ({"memory_free_kib": GIB_KIB}, {}, "with some left"),
        ({"storage_free_bytes": {}}, {}, "does not see the storage pool “images”"),
        ({"storage_free_bytes": {"shared:1": GIB}}, {}, "has 1.0 GiB free; 5.0 GiB are needed"),
        ({"networks": frozenset()}, {}, "no network “default”"),
        ({}, {"networks": (("bridge", "br0"),)}, "no bridge “br0”"),
        ({}, {"arch": "aarch64"}, "processor aarch64"),
        ({}, {"virt_type": "kvm"}, "no KVM"),
        ({}, {"machine": "pc-q35-9.0"}, "no machine type pc-q35-9.0"),
        ({}, {"vcpus": 8}, "at most 4 vCPUs"),
        ({}, {"uefi": True}, "OVMF"),
        ({}, {"secure_boot": True}, "Secure Boot"),
        ({}, {"tpm": True}, "swtpm"),
    ],
)
def test_each_obstacle_is_said(host: dict[str, object], needs: dict[str, object], words: str) -> None:
    assert why_not(HOST1, NEEDS) == ""
    assert words in why_not(replace(HOST1, **host), replace(NEEDS, **needs))  # type: ignore[arg-type]


def test_two_disks_on_one_storage_pool_need_room_for_both() -> None:
    twice = replace(NEEDS, storage=NEEDS.storage * 3)
    assert "15.0 GiB are needed" in why_not(HOST1, twice)


def test_what_is_not_known_of_a_host_stands_in_no_way() -> None:
    bare = HostCandidate(host_id=9, name="new")
    assert choose_host([bare], PlacementNeeds(memory_kib=GIB_KIB)).host_id == 9
