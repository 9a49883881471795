"""Who uses a secret, and that nothing becomes unreadable before its name was typed."""

from uuid import UUID

import pytest
from django.test import Client

from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.inventory.storage.mirror import save_volumes
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.libvirtxml.secret_uses import EncryptedPart, encrypted_parts
from hypervisors.libvirtxml.storage_volumes import parse_volume
from hypervisors.models import Domain, HostSecret, Hypervisor, Operation, StoragePool, Volume
from hypervisors.operations.storage.secret_uses import encrypted_things, needing_users, secret_users
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
UUID_TEXT = "11111111-2222-4333-8444-555555555501"


@pytest.fixture
def secret(hypervisor: Hypervisor) -> HostSecret:
    return HostSecret.objects.create(
        hypervisor=hypervisor, uuid=UUID(UUID_TEXT), usage_type="volume", usage="/images/vault.luks"
    )


@pytest.fixture
def storage_pool(hypervisor: Hypervisor) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=UUID(int=1),
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
    )


def facts(name: str, **values: str) -> VolumeFacts:
    known = {"key": "", "path": f"/images/{name}", "volume_type": "file", "format": "raw"}
    sizes = {"capacity_bytes": 1, "allocation_bytes": 1}
    return VolumeFacts(name=name, backing_path="", backing_format="", **(known | values), **sizes)  # type: ignore[arg-type]


def test_a_volume_says_what_it_is_encrypted_with() -> None:
    parsed = parse_volume(
        "<volume><target><encryption format='luks'><secret type='passphrase' uuid='u'/></encryption></target></volume>"
    )
    assert (parsed.encryption, parsed.encryption_secret) == ("luks", "u")
    assert parse_volume("<volume/>").encryption == ""


def test_tpm_and_disks_are_encrypted_and_a_ceph_login_is_not() -> None:
    xml = f"""<domain><devices>
      <tpm><backend type='emulator'><encryption secret='{UUID_TEXT.upper()}'/></backend></tpm>
      <disk><source protocol='rbd'><auth><secret type='ceph' uuid='other'/></auth></source><target dev='vdb'/></disk>
      <disk><source><encryption format='luks'><secret type='passphrase' usage='/x'/></encryption></source>
        <target dev='vda'/></disk></devices></domain>"""
    assert encrypted_parts(xml) == (
        EncryptedPart(kind="tpm", secret_uuid=UUID_TEXT),
        EncryptedPart(kind="disk", target="vda", secret_usage="/x"),
    )


@pytest.mark.parametrize("by", ["its XML", "its path", "what it was made as"])
def test_a_volume_that_no_machine_has_uses_its_secret(by: str, secret: HostSecret, storage_pool: StoragePool) -> None:
    assert secret_users(secret) == []
    name = {"its path": "vault.luks"}.get(by, "other.luks")
    said = UUID_TEXT if by == "its XML" else ""
    save_volumes(storage_pool, [facts(name, encryption="luks", encryption_secret=said), facts("plain.raw")])
    if by == "what it was made as":
        note_origin(storage_pool, name, format_="raw", encryption_secret=UUID_TEXT)
    assert secret_users(secret) == [f"images/{name}"]
    assert needing_users(secret) == []
    assert encrypted_things(secret) == [f"the volume “images/{name}”"]
    Volume.objects.update(vanished_at="2026-01-01T00:00:00Z")
    assert secret_users(secret) == []


def test_a_secret_that_libvirt_has_forgotten_is_remembered(secret: HostSecret, storage_pool: StoragePool) -> None:
    named = facts("other.luks", encryption="luks", encryption_secret=UUID_TEXT)
    save_volumes(storage_pool, [named])
    save_volumes(storage_pool, [facts("other.luks", encryption="luks")], {named.name: named})
    assert secret_users(secret) == ["images/other.luks"]
    save_volumes(storage_pool, [facts("other.luks")])
    assert secret_users(secret) == []


def test_a_value_is_not_replaced_before_its_name_is_typed(
    operator: Client, secret: HostSecret, domain: Domain, storage_pool: StoragePool
) -> None:
    save_volumes(storage_pool, [facts("vault.luks", encryption="luks")])
    tpm = f"<tpm><backend><encryption secret='{UUID_TEXT}'/></backend></tpm>"
    define(domain, live_xml="", inactive_xml=f"<domain><name>web1</name><devices>{tpm}</devices></domain>")
    url = f"/storage/secrets/{secret.pk}/value/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert "the volume “images/vault.luks”, the TPM of “web1”" in dialog
    assert "Type “/images/vault.luks” to confirm" in dialog
    for typed in ({}, {"confirmed_name": "vault"}):
        assert "cannot be read any more" in operator.post(url, {"value": "v", **typed}, headers=HTMX).content.decode()
    assert not Operation.objects.exists()
    assert operator.post(url, {"value": "v", "confirmed_name": secret.name}, headers=HTMX).status_code == 204
    assert Operation.objects.get().kind == "set_secret_value"


def test_a_secret_of_a_volume_is_deleted_once_its_name_is_typed(
    operator: Client, secret: HostSecret, storage_pool: StoragePool
) -> None:
    save_volumes(storage_pool, [facts("vault.luks", encryption="luks")])
    url = f"/storage/secrets/{secret.pk}/delete/"
    page = operator.get(f"/hypervisors/{secret.hypervisor_id}/secrets/").content.decode()
    assert "images/vault.luks" in page
    assert f'hx-get="{url}"' in page
    assert "the volume “images/vault.luks”" in operator.get(url, headers=HTMX).content.decode()
    assert operator.post(url, headers=HTMX).status_code == 422
    assert "cannot be read any more" in operator.post(url, {"confirmed_name": "x"}, headers=HTMX).content.decode()
    assert not Operation.objects.exists()
    assert operator.post(url, {"confirmed_name": secret.name}, headers=HTMX).status_code == 204
    assert Operation.objects.get().kind == "delete_secret"
