"""The watcher's storage readers against libvirt's test driver."""

from uuid import UUID

import pytest
import redis
from cryptography.fernet import Fernet
from django.conf import settings

from hypervisors.inventory.refresh_requests import request_hypervisors_refresh, request_storage_pool_refresh
from hypervisors.models import Hypervisor, HypervisorCredentials, StoragePool, Volume, encryption
from hypervisors.states import HypervisorStatus
from tests.fakehost.conftest import FakeHosts, domain_xml
from tests.watching import wait_for_status, wait_until

POOL = "00000000-0000-4000-8000-0000000000aa"
OTHER = "00000000-0000-4000-8000-0000000000bb"


def pool_xml(uuid: str = POOL, name: str = "images") -> str:
    return f"<pool type='dir'><name>{name}</name><uuid>{uuid}</uuid><target><path>/srv/{name}</path></target></pool>"


def volume_xml(name: str) -> str:
    return (
        f"<volume><name>{name}</name><capacity unit='MiB'>5</capacity><allocation unit='MiB'>1</allocation>"
        "<target><format type='qcow2'/></target></volume>"
    )


def present(**where: object) -> StoragePool | None:
    return StoragePool.objects.present().filter(**where).first()


def test_storage_pools_and_volumes_are_inventoried(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", pool_xml(), pool_xml(OTHER, "iso"))
    row = wait_until(lambda: present(hypervisor=host, name="images"))
    wait_until(lambda: present(hypervisor=host, name="iso"))
    assert (row.pool_type, row.active, row.target_path) == ("dir", True, "/srv/images")
    fake_hosts.libvirt(host).storagePoolLookupByUUIDString(POOL).createXML(volume_xml("web1.qcow2"))
    request_storage_pool_refresh(host.pk, UUID(POOL))
    volume = wait_until(lambda: row.volumes.present().first())
    assert (volume.name, volume.format, volume.capacity_bytes) == ("web1.qcow2", "qcow2", 5 * 2**20)
    fake_hosts.libvirt(host).storagePoolLookupByUUIDString(POOL).storageVolLookupByName("web1.qcow2").delete(0)
    request_storage_pool_refresh(host.pk, UUID(POOL))
    wait_until(lambda: Volume.objects.get(pk=volume.pk).vanished_at)


def test_a_storage_pool_that_goes_and_comes_back_keeps_its_row(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", pool_xml())
    before = wait_until(lambda: present(hypervisor=host))
    raw = fake_hosts.libvirt(host)
    raw.storagePoolLookupByUUIDString(POOL).createXML(volume_xml("web1.qcow2"))
    pool = raw.storagePoolLookupByUUIDString(POOL)
    pool.destroy()
    wait_until(lambda: present(hypervisor=host, active=False))
    pool.undefine()
    wait_until(lambda: StoragePool.objects.get(pk=before.pk).vanished_at)
    raw.storagePoolDefineXML(pool_xml(OTHER)).create()
    again = wait_until(lambda: present(hypervisor=host, active=True))
    assert (again.pk, str(again.uuid)) == (before.pk, OTHER)


def test_changes_of_storage_are_broadcast(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", pool_xml())
    wait_until(lambda: StoragePool.objects.filter(volumes_read_at__isnull=False).first())
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        before = int(client.get("vmportal:seq:fleet") or 0)
        fake_hosts.libvirt(host).storagePoolLookupByUUIDString(POOL).destroy()
        wait_until(lambda: int(client.get("vmportal:seq:fleet")) > before)


def test_a_wrong_key_costs_that_host_and_no_other(
    fake_hosts: FakeHosts, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    host = fake_hosts.add("h1", pool_xml())
    wait_until(lambda: present(hypervisor=host))
    locked = Hypervisor.objects.create(
        hypervisor_pool=host.hypervisor_pool, name="locked", uri="qemu+tcp://127.0.0.1:1/system"
    )
    HypervisorCredentials.objects.create(hypervisor=locked, sasl_password="s3cr3t")
    try:
        settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]  # type: ignore[attr-defined]
        encryption._fernet.cache_clear()
        Hypervisor.objects.filter(pk=locked.pk).update(revision=2)
        request_hypervisors_refresh()
        reason = wait_until(
            lambda: Hypervisor.objects.filter(
                pk=locked.pk, status_reason__startswith="Its stored credentials cannot be decrypted; enter them again"
            ).first()
        )
        assert reason.status == HypervisorStatus.OFFLINE
        fake_hosts.libvirt(host).createXML(domain_xml("web1", "00000000-0000-4000-8000-00000000000a"))
        wait_until(lambda: host.domains.filter(name="web1").exists())
        wait_for_status(host, HypervisorStatus.ONLINE)
    finally:
        encryption._fernet.cache_clear()
