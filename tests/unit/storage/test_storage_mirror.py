"""The mirror of storage pools and volumes: rows that outlive what they mirror, and what hosts seem to share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from hypervisors.broadcast import Change
from hypervisors.gateway.storage.storage_pools import StoragePoolFacts
from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.observations import StoragePoolRead, StoragePoolsListed, StoragePoolTroubled, VolumesListed
from hypervisors.inventory.storage.mirror import StorageMirror
from hypervisors.models import Hypervisor, HypervisorPool, SharedStorage, StoragePool, Volume

pytestmark = pytest.mark.django_db

A, B, C = (UUID(int=number) for number in (10, 11, 12))
GIB = 2**30


def pool(uuid: UUID = A, **fields: Any) -> StoragePoolFacts:
    values: dict[str, Any] = {
        "uuid": uuid,
        "name": "images",
        "pool_type": "dir",
        "active": True,
        "autostart": True,
        "target_path": "/srv/images",
        "source": "",
        "capacity_bytes": 10 * GIB,
        "allocation_bytes": 4 * GIB,
        "available_bytes": 6 * GIB,
    }
    return StoragePoolFacts(**(values | fields))


def volume(name: str, **fields: Any) -> VolumeFacts:
    values: dict[str, Any] = {
        "name": name,
        "key": f"/srv/images/{name}",
        "path": f"/srv/images/{name}",
        "volume_type": "file",
        "format": "qcow2",
        "capacity_bytes": GIB,
        "allocation_bytes": 1024,
        "backing_path": "",
        "backing_format": "",
    }
    return VolumeFacts(**(values | fields))


class Scene:
    """A mirror over two hypervisors of one hypervisor pool."""

    def __init__(self, hypervisors: list[Hypervisor]) -> None:
        self.mirror = StorageMirror()
        self.hosts = [row.pk for row in hypervisors]
        self.mirror.note_hypervisor_pools({row.pk: row.hypervisor_pool_id for row in hypervisors})
        self.save()

    def has(self, host: int, *facts: StoragePoolFacts) -> list[Change]:
        """What a listing and the readings after it tell."""
        pk = self.hosts[host]
        self.mirror.take_listing(StoragePoolsListed(hypervisor_id=pk, uuids=tuple(one.uuid for one in facts)))
        changes = self.save()
        for one in facts:
            self.mirror.take_reading(StoragePoolRead(hypervisor_id=pk, facts=one))
        return changes + self.save()

    def volumes(self, host: int, uuid: UUID, *volumes: VolumeFacts) -> list[Change]:
        self.mirror.take_volumes(VolumesListed(hypervisor_id=self.hosts[host], pool_uuid=uuid, volumes=volumes))
        return self.save()

    def trouble(self, host: int, uuid: UUID, text: str) -> list[Change]:
        self.mirror.take_trouble(StoragePoolTroubled(hypervisor_id=self.hosts[host], uuid=uuid, trouble=text))
        return self.save()

    def save(self) -> list[Change]:
        changes = self.mirror.save()
        self.mirror.note_saved()
        return changes


@pytest.fixture
def scene(make_hypervisor: Callable[..., Hypervisor]) -> Scene:
    return Scene([make_hypervisor(), make_hypervisor()])


def names(**where: Any) -> list[str]:
    return list(Volume.objects.present().filter(**where).values_list("name", flat=True))


def test_a_storage_pool_is_one_row_and_one_message(scene: Scene) -> None:
    (change,) = scene.has(0, pool())
    row = StoragePool.objects.get()
    assert (change.what, change.id, change.op) == ("storage_pool", str(row.pk), "add")
    assert change.fields["hypervisor"] == scene.hosts[0]
    (change,) = scene.has(0, pool(allocation_bytes=5 * GIB))
    assert (change.op, change.fields["allocation_bytes"]) == ("update", 5 * GIB)
    assert StoragePool.objects.get().pk == row.pk


def test_what_did_not_change_costs_no_query(scene: Scene, django_assert_num_queries: Any) -> None:
    scene.has(0, pool())
    with django_assert_num_queries(0):
        assert scene.has(0, pool()) == []


def test_one_that_was_undefined_and_defined_again_keeps_its_row(scene: Scene) -> None:
    scene.has(0, pool())
    scene.volumes(0, A, volume("web1.qcow2"))
    before = StoragePool.objects.get()
    (gone,) = scene.has(0)
    assert gone.fields["vanished"] is True
    assert StoragePool.objects.get().vanished_at is not None
    assert names() == [], "what is in it is not there any more either"
    # libvirt made up another UUID for it.
    scene.has(0, pool(B))
    scene.volumes(0, B, volume("web1.qcow2"))
    row = StoragePool.objects.get()
    assert (row.pk, row.uuid, row.vanished_at) == (before.pk, B, None)
    assert Volume.objects.get().vanished_at is None


def test_one_that_comes_back_unchanged_is_there_again(scene: Scene) -> None:
    scene.has(0, pool())
    scene.volumes(0, A, volume("web1.qcow2"))
    scene.has(0)
    scene.has(0, pool())
    scene.volumes(0, A, volume("web1.qcow2"))
    assert StoragePool.objects.get().vanished_at is None
    assert names() == ["web1.qcow2"]


def test_another_of_the_same_name_beside_it_is_another_row(scene: Scene) -> None:
    scene.has(0, pool())
    scene.has(1, pool(B))
    scene.has(0, pool(), pool(C, name="other"))
    assert StoragePool.objects.count() == 3


def test_an_inactive_storage_pool_keeps_what_was_seen_in_it(scene: Scene) -> None:
    scene.has(0, pool())
    scene.volumes(0, A, volume("web1.qcow2"))
    scene.has(0, pool(active=False, capacity_bytes=0))
    assert names() == ["web1.qcow2"]


def test_volumes_come_change_and_become_tombstones(scene: Scene) -> None:
    scene.has(0, pool())
    (change,) = scene.volumes(0, A, volume("b.qcow2"), volume("a.qcow2", backing_path="/srv/images/b.qcow2"))
    row = StoragePool.objects.get()
    assert (change.what, change.fields["storage_pool"]) == ("volume", row.pk)
    assert row.volumes_read_at is not None
    kept = Volume.objects.get(name="a.qcow2")
    assert kept.backing_path == "/srv/images/b.qcow2"
    scene.volumes(0, A, volume("a.qcow2", allocation_bytes=GIB))
    assert names() == ["a.qcow2"]
    assert Volume.objects.get(name="b.qcow2").vanished_at is not None
    now = Volume.objects.get(name="a.qcow2")
    assert (now.pk, now.allocation_bytes) == (kept.pk, GIB)
    assert scene.volumes(0, A, volume("a.qcow2", allocation_bytes=GIB)) == [], "nothing changed: no page need know"


def test_sizes_that_cannot_be_are_marked_until_they_can(scene: Scene) -> None:
    scene.has(0, pool(available_bytes=0, implausible_bytes=2**64 - 4096))
    row = StoragePool.objects.get()
    assert "18446744073709547520 bytes" in row.trouble
    assert row.trouble_since is not None
    scene.volumes(0, A, volume("odd", implausible_bytes=2**64 - 1), volume("fine"))
    assert "among them “odd”" in StoragePool.objects.get().trouble
    scene.volumes(0, A, volume("odd"), volume("fine"))
    scene.has(0, pool())
    row = StoragePool.objects.get()
    assert (row.trouble, row.trouble_since) == ("", None)


def test_trouble_is_told_and_taken_back_and_leaves_the_figures(scene: Scene) -> None:
    scene.has(0, pool())
    (change,) = scene.trouble(0, A, "It has not answered.")
    assert change.fields["trouble"] == "It has not answered."
    assert StoragePool.objects.get().capacity_bytes == 10 * GIB
    scene.trouble(0, A, "")
    assert StoragePool.objects.get().trouble == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"pool_type": "dir"},
        {"pool_type": "fs", "source": "/dev/sdb1"},
        {"pool_type": "netfs", "source": "nas1:/export"},
        {"pool_type": "rbd", "source": "mon1,mon2:images", "target_path": ""},
        {"pool_type": "gluster", "source": "g1:images", "target_path": ""},
        {"pool_type": "iscsi", "source": "san:iqn.2020-01.org:disks", "target_path": "/dev/disk/by-path"},
    ],
)
def test_what_looks_the_same_on_two_hosts_is_a_candidate_for_sharing(scene: Scene, fields: dict[str, str]) -> None:
    scene.has(0, pool(A, **fields))
    assert not SharedStorage.objects.exists(), "one host alone shares with nobody"
    scene.has(1, pool(B, **fields))
    shared = SharedStorage.objects.get()
    assert shared.proved_at is None, "looking alike proves nothing"
    assert set(StoragePool.objects.values_list("shared_storage", flat=True)) == {shared.pk}
    first = StoragePool.objects.get(uuid=A)
    assert StoragePool.objects.same_storage_as(first).count() == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"target_path": "/srv/a"}, {"target_path": "/srv/b"}),
        ({"name": "a"}, {"name": "b"}),
        ({"pool_type": "netfs", "source": "nas1:/a"}, {"pool_type": "netfs", "source": "nas1:/b"}),
        ({"pool_type": "logical", "source": "vg0"}, {"pool_type": "logical", "source": "vg0"}),
        ({"pool_type": "dir"}, {"pool_type": "fs"}),
    ],
)
def test_what_differs_or_is_local_is_not_shared(scene: Scene, one: dict[str, str], other: dict[str, str]) -> None:
    scene.has(0, pool(A, **one))
    scene.has(1, pool(B, **other))
    assert not SharedStorage.objects.exists()


def test_a_candidate_outlives_a_storage_pool_that_is_away_for_a_while(scene: Scene) -> None:
    scene.has(0, pool())
    scene.has(1, pool(B))
    shared = SharedStorage.objects.get()
    scene.has(1)
    assert StoragePool.objects.get(uuid=A).shared_storage == shared
    scene.has(1, pool(B))
    assert SharedStorage.objects.get().pk == shared.pk


def test_a_host_that_moves_to_another_pool_shares_no_longer(scene: Scene) -> None:
    scene.has(0, pool())
    scene.has(1, pool(B))
    elsewhere = HypervisorPool.objects.create(name="elsewhere")
    former = Hypervisor.objects.get(pk=scene.hosts[0]).hypervisor_pool_id
    for host in scene.hosts:
        Hypervisor.objects.filter(pk=host).update(hypervisor_pool=elsewhere)
    scene.mirror.note_hypervisor_pools({scene.hosts[0]: former, scene.hosts[1]: elsewhere.pk})
    Hypervisor.objects.filter(pk=scene.hosts[0]).update(hypervisor_pool=former)
    scene.save()
    assert StoragePool.objects.get(uuid=B).shared_storage is None


def test_two_hypervisor_pools_share_nothing(scene: Scene, make_hypervisor: Callable[..., Hypervisor]) -> None:
    other = make_hypervisor(hypervisor_pool=HypervisorPool.objects.create(name="elsewhere"))
    both = Scene([Hypervisor.objects.get(pk=scene.hosts[0]), other])
    both.has(0, pool())
    both.has(1, pool(B))
    assert not SharedStorage.objects.exists()


def test_thousands_of_volumes_are_read_again_in_few_queries(scene: Scene, django_assert_max_num_queries: Any) -> None:
    scene.has(0, pool())
    many = [volume(f"v{number}.qcow2") for number in range(2000)]
    scene.volumes(0, A, *many)
    many[7] = replace(many[7], allocation_bytes=5)
    with django_assert_max_num_queries(3):
        scene.volumes(0, A, *many)
    assert Volume.objects.get(name="v7.qcow2").allocation_bytes == 5


def test_a_mirror_that_begins_anew_compares_with_the_rows(scene: Scene) -> None:
    scene.has(0, pool())
    scene.volumes(0, A, volume("a"), volume("b"), volume("c"))
    scene.mirror.clear()
    scene.mirror.note_hypervisor_pools(dict(Hypervisor.objects.values_list("pk", "hypervisor_pool")))
    scene.has(0, pool())
    assert scene.volumes(0, A, volume("a"), volume("b"), volume("c")) == []
    scene.mirror.clear()
    scene.has(0, pool())
    assert len(scene.volumes(0, A, volume("a", allocation_bytes=7), volume("d"))) == 1
    assert names() == ["a", "d"]
