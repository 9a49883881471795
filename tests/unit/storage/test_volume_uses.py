"""Who uses a volume: by rows of what domains name, on its own host, on shared storage, and where nobody can tell."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from hypervisors.inventory.domains import records
from hypervisors.inventory.domains.definitions import definition_of
from hypervisors.inventory.storage.uses import overlays_on
from hypervisors.libvirtxml.domain_references import find_references
from hypervisors.models import Domain, Hypervisor, SharedStorage, StoragePool, Volume, VolumeReference
from hypervisors.operations.storage.volume_users import overlays_of, users_of, volume_users, why_in_use, why_running
from hypervisors.states import DomainState
from tests.rows import define, domain_xml

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_volume(make_hypervisor: Callable[..., Hypervisor]) -> Callable[..., Volume]:
    """One in a storage pool (made on first use) of a hypervisor, by default the first."""

    def make(name: str, *, on: Hypervisor | None = None, pool: str = "images", **fields: Any) -> Volume:
        hypervisor = on or Hypervisor.objects.first() or make_hypervisor()
        values = {"uuid": uuid4(), "pool_type": "dir", "active": True, "autostart": True, "target_path": "/images"}
        values |= {key: fields.pop(key) for key in ("pool_type", "target_path", "shared_storage") if key in fields}
        row, _made = StoragePool.objects.get_or_create(hypervisor=hypervisor, name=pool, defaults=values)
        path = f"{row.target_path}/{name}"
        return Volume.objects.create(storage_pool=row, name=name, **({"path": path, "format": "qcow2"} | fields))

    return make


def words(volume: Volume) -> list[str]:
    volume = Volume.objects.select_related("storage_pool__hypervisor").get(pk=volume.pk)
    return [f"{user.role} of {user.name} on {user.host}" for user in volume_users(volume)]


def test_all_that_a_domain_names_is_found_with_what_it_is_to_it() -> None:
    xml = (
        "<domain><os><kernel>/boot/vmlinuz</kernel><nvram template='/usr/share/vars.fd'>/vars/a.fd</nvram></os>"
        "<devices><emulator>/usr/bin/qemu</emulator><rng><backend>/dev/urandom</backend></rng>"
        "<console><source path='/dev/pts/3'/></console>"
        "<disk device='disk'><driver type='qcow2'/><source file='/images/../images/a'/><backingStore type='file'>"
        "<format type='raw'/><source file='/images/base'/></backingStore><target dev='vda'/></disk>"
        "<disk device='cdrom'><driver type='raw'/><source pool='isos' volume='x.iso'/><target dev='sda'/></disk>"
        "<disk type='network'><driver type='raw'/><source protocol='rbd' name='vms/r1'/><target dev='vdb'/></disk>"
        "</devices></domain>"
    )
    found = {
        (one.role, one.path or f"{one.storage_pool}:{one.volume}", one.target, one.format)
        for one in find_references(xml)
    }
    assert found == {
        ("kernel", "/boot/vmlinuz", "", ""),
        ("nvram", "/vars/a.fd", "", ""),
        ("nvram", "/usr/share/vars.fd", "", ""),
        ("disk", "/images/a", "vda", "qcow2"),
        ("backing", "/images/base", "vda", "raw"),
        ("cdrom", "isos:x.iso", "sda", "raw"),
        ("disk", "vms/r1", "vdb", "raw"),
    }


def test_xml_that_cannot_be_read_still_tells_paths() -> None:
    found = find_references("<domain><disk><source file='/images/r&amp;d'/></disk>")
    assert [(one.role, one.path) for one in found] == [("?", "/images/r&d")]


def test_the_inventory_writes_what_a_definition_names_and_forgets_what_it_named(
    make_domain: Callable[..., Domain],
) -> None:
    domain = make_domain()
    record = records.DomainRecord(uuid=domain.uuid, hypervisor_id=None, state_since=timezone.now(), pk=domain.pk)
    for path in ("/images/a", "/images/b"):
        records.save_definitions([(record, definition_of(record, domain_xml(path), domain_xml("/images/c")))])
        names = set(VolumeReference.objects.values_list("name", flat=True))
        assert names == {path.rsplit("/", 1)[1], "c"}


def test_a_domain_uses_what_it_names_on_its_own_host(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain]
) -> None:
    by_path, by_name, other = make_volume("a"), make_volume("b"), make_volume("c")
    define(make_domain(name="web1"), live_xml=domain_xml("/images//a"), inactive_xml=domain_xml("images/b"))
    assert (words(by_path), words(by_name)) == (["vda of web1 on host1"], ["vda of web1 on host1"])
    assert words(other) == []


def test_a_domain_that_is_gone_uses_nothing(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain]
) -> None:
    define(make_domain(vanished_at=timezone.now()), live_xml=domain_xml("/images/a"))
    assert words(make_volume("a")) == []


def test_shared_storage_is_one_whatever_each_host_calls_it(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    here, there = make_hypervisor(name="here"), make_hypervisor(name="there")
    shared = SharedStorage.objects.create(
        hypervisor_pool=here.hypervisor_pool, name="s", pool_type="netfs", identity="source nas:/vms"
    )
    kind = {"pool_type": "netfs", "shared_storage": shared}
    volume = make_volume("a", on=here, **kind)
    make_volume("a", on=there, pool="nfs", target_path="/mnt/vms", **kind)
    define(make_domain(name="far", hypervisor=there), live_xml=domain_xml("/mnt/vms/a", "nfs/a"))
    assert words(volume) == ["vda of far on there", "vdb of far on there"]


def test_storage_pools_that_are_alike_and_two_are_told_apart(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    here, there = make_hypervisor(name="here"), make_hypervisor(name="there")
    volume, other = make_volume("a", on=here), make_volume("a", on=there)
    define(make_domain(name="far", hypervisor=there), live_xml=domain_xml("/images/a"))
    assert (words(volume), words(other)) == ([], ["vda of far on there"])


def test_what_was_proved_to_be_another_storage_is_told_apart(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    here, there = make_hypervisor(name="here"), make_hypervisor(name="there")
    shared = SharedStorage.objects.create(
        hypervisor_pool=here.hypervisor_pool, name="s", pool_type="dir", identity="path /images of images"
    )
    volume = make_volume("a", on=here, shared_storage=shared)
    make_volume("a", on=there, shared_storage=shared)
    define(make_domain(name="far", hypervisor=there), live_xml=domain_xml("/images/a"))
    assert words(volume) == ["vda of far on there"]
    StoragePool.objects.filter(hypervisor=there).update(is_another=True)
    assert words(volume) == []


@pytest.mark.parametrize("pool", [None, "bilder"])
def test_where_nobody_can_tell_a_machine_of_another_host_counts(
    pool: str | None,
    make_volume: Callable[..., Volume],
    make_domain: Callable[..., Domain],
    make_hypervisor: Callable[..., Hypervisor],
) -> None:
    here, there = make_hypervisor(name="here"), make_hypervisor(name="there")
    volume = make_volume("a", on=here)
    if pool:
        make_volume("x", on=there, pool=pool)
    define(make_domain(name="far", hypervisor=there), live_xml=domain_xml("/images/a"))
    assert words(volume) == ["vda of far on there"]


def test_clustered_block_storage_of_one_name_counts_across_hosts(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    here, there = make_hypervisor(name="here"), make_hypervisor(name="there")
    kind = {"pool_type": "logical", "target_path": "/dev/vg0"}
    volume = make_volume("lv1", on=here, **kind)
    make_volume("lv1", on=there, **kind)
    define(make_domain(name="far", hypervisor=there), live_xml=domain_xml("/dev/vg0/lv1"))
    assert words(volume) == ["vda of far on there"]


def test_a_machine_that_is_off_keeps_a_volume_and_lets_it_be_read(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain]
) -> None:
    volume = make_volume("a")
    domain = make_domain(name="web1")
    define(domain, inactive_xml=domain_xml("/images/a"))
    assert (why_in_use(volume), why_running(volume)) == ("It is in use: vda of “web1” on host1 (off).", "")
    Domain.objects.update(state=DomainState.PAUSED)
    assert why_running(volume) == "It is in use: vda of “web1” on host1 (running)."
    make_volume("top", backing_path="/images/a")
    assert why_running(volume) == "", "what is under others is only read"


def test_a_medium_of_a_running_machine_can_be_copied(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain]
) -> None:
    volume = make_volume("a.iso", format="iso")
    define(make_domain(state=DomainState.RUNNING), live_xml=domain_xml("/images/a.iso"))
    assert why_running(volume) == ""
    assert why_in_use(volume) != ""


def test_an_overlay_of_shared_storage_counts_once(
    make_volume: Callable[..., Volume], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    here, there = make_hypervisor(name="here"), make_hypervisor(name="there")
    shared = SharedStorage.objects.create(
        hypervisor_pool=here.hypervisor_pool, name="s", pool_type="dir", identity="path /images of images"
    )
    base = make_volume("base", on=here, shared_storage=shared)
    for host in (here, there):
        make_volume("top", on=host, shared_storage=shared, backing_path="/images/base")
        make_volume("other", on=host, backing_path="/elsewhere/base")
    assert [overlay.name for overlay in overlays_of(base)] == ["top"]


def test_qemus_way_of_naming_a_backing_file_counts(make_volume: Callable[..., Volume]) -> None:
    base = make_volume("base")
    make_volume("top", backing_path='json:{"file.filename":"/images/base"}')
    assert [overlay.name for overlay in overlays_of(base)] == ["top"]


def test_many_volumes_take_as_many_queries_as_one(
    make_volume: Callable[..., Volume], make_domain: Callable[..., Domain], django_assert_num_queries: Any
) -> None:
    for number in range(30):
        make_volume(f"v{number}")
        define(make_domain(), inactive_xml=domain_xml(f"/images/v{number}"))
    volumes = list(Volume.objects.select_related("storage_pool__hypervisor"))
    with django_assert_num_queries(2):
        assert len(users_of(volumes)) == 30
    with django_assert_num_queries(2):
        assert overlays_on(volumes) == {}
