"""Volumes written as XML through the dialog, and one volume's page with its XML: does it work, and who may not."""

import time
from typing import Any
from uuid import UUID

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import HostSecret, Hypervisor, Operation, StoragePool, Volume
from hypervisors.models.xml_versions import digest
from hypervisors.operations.storage.volume_xml_readings import VolumeXml, keep_xml
from hypervisors.states import HypervisorStatus

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
GIB = 1024**3
SECRET = "11111111-2222-4333-8444-555555555501"


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
        capacity_bytes=100 * GIB,
        available_bytes=50 * GIB,
    )


@pytest.fixture
def base(storage_pool: StoragePool) -> Volume:
    return Volume.objects.create(
        storage_pool=storage_pool, name="base.qcow2", path="/images/base.qcow2", format="qcow2", capacity_bytes=GIB
    )


def xml(*, name: str = "new.qcow2", size: str = "2", inside: str = "", target: str = "") -> str:
    return (
        f"<volume><name>{name}</name><capacity unit='GiB'>{size}</capacity>{inside}"
        f"<target><format type='qcow2'/>{target}</target></volume>"
    )


def on_top_of(path: str, format_: str = "qcow2") -> str:
    return xml(inside=f"<backingStore><path>{path}</path><format type='{format_}'/></backingStore>")


def encrypted(secret: str) -> str:
    return xml(target=f"<encryption format='luks'><secret type='passphrase' {secret}/></encryption>")


class Dialog:
    def __init__(self, client: Client, storage_pool: StoragePool) -> None:
        self.client, self.url = client, f"/storage/{storage_pool.pk}/volumes/create/xml/"

    def send(self, text: str, **values: str) -> Any:
        return self.client.post(self.url, {"xml": text, **values}, headers=HTMX)

    def apply(self, text: str, **values: str) -> Any:
        return self.send(text, apply="1", reviewed=digest(text), **values)


@pytest.fixture
def dialog(operator: Client, storage_pool: StoragePool) -> Dialog:
    return Dialog(operator, storage_pool)


def test_it_begins_with_what_the_fields_say_and_goes_back_to_them(dialog: Dialog, base: Volume) -> None:
    fields = {"name": "a<b>.qcow2", "size": "3", "unit": "GiB", "format": "qcow2", "backing": str(base.pk)}
    begun = dialog.client.post(dialog.url, fields, headers=HTMX).content.decode()
    assert "&lt;name&gt;a&amp;lt;b&amp;gt;.qcow2&lt;/name&gt;" in begun
    assert f"&lt;path&gt;{base.path}&lt;/path&gt;" in begun
    assert f"{3 * GIB}" in begun
    back = dialog.send(on_top_of(base.path), to="fields").content.decode()
    assert 'value="new.qcow2"' in back
    assert f'<option value="{base.pk}" selected>' in back


def test_what_is_half_filled_in_begins_too(dialog: Dialog) -> None:
    for fields in ({}, {"name": "a/b", "size": "x", "format": "odd"}):
        assert "new.qcow2" in dialog.client.post(dialog.url, fields, headers=HTMX).content.decode()
    assert "new.qcow2" in dialog.client.get(dialog.url).content.decode()


def test_it_is_reviewed_and_then_made(dialog: Dialog, base: Volume) -> None:
    text = on_top_of(base.path)
    assert "applied" not in dialog.send(text, apply="1").content.decode()
    assert not Operation.objects.exists()
    review = dialog.send(text, review="1").content.decode()
    assert f'name="reviewed" value="{digest(text)}"' in review
    assert "new.qcow2" in review
    assert dialog.apply(text).status_code == 204
    operation = Operation.objects.get()
    assert (operation.kind, operation.subject_name) == ("create_volume_xml", "images/new.qcow2")
    assert operation.parameters["backing_volume_id"] == base.pk
    assert operation.parameters["capacity_bytes"] == 2 * GIB


def test_one_that_is_encrypted_needs_a_secret_of_its_host(dialog: Dialog, hypervisor: Hypervisor) -> None:
    assert "has no secret" in dialog.apply(encrypted(f"uuid='{SECRET}'")).content.decode()
    HostSecret.objects.create(hypervisor=hypervisor, uuid=UUID(SECRET), usage_type="volume", usage="vault")
    assert dialog.apply(encrypted("usage='vault'")).status_code == 204
    parameters = Operation.objects.get().parameters
    assert (parameters["encryption"], parameters["encryption_secret"]) == ("luks", SECRET)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<volume>", "cannot be read: line 1"),
        (xml(name="base.qcow2"), "There is a volume called “base.qcow2” in this storage pool already"),
        (
            xml(target="<path>/etc/cron.d/x</path>"),
            "A volume lies where its storage pool is, here as “/images/new.qcow2”",
        ),
        (xml(target="<path>/images/base.qcow2</path>"), "leave it out"),
        (on_top_of("/etc/shadow", "raw"), "It can only be on top of a volume that host1 has; “/etc/shadow” is none."),
        (on_top_of("/images/gone.qcow2"), "It can only be on top of a volume"),
        (on_top_of("/images/elsewhere.qcow2"), "It can only be on top of a volume"),
        (on_top_of("/images/base.qcow2", "raw"), "“/images/base.qcow2” is qcow2, and not raw."),
        (on_top_of("/images/odd.qcow2"), "It cannot be on top of that volume. Its content is not trusted. Not trusted"),
        (on_top_of("/images/base.qcow2").replace(">2<", ">0<"), "between 1 MiB and 1 PiB"),
        (xml(size="60"), "It can grow to 60.0 GiB, and 50.0 GiB are free"),
        (xml(size="60").replace("qcow2'", "raw'"), "50.0 GiB are free, 60.0 GiB are needed"),
    ],
)
def test_what_cannot_be_is_said_and_not_asked_for(
    text: str, reason: str, dialog: Dialog, base: Volume, hypervisor: Hypervisor
) -> None:
    more = {"storage_pool": base.storage_pool, "format": "qcow2"}
    Volume.objects.create(name="gone.qcow2", path="/images/gone.qcow2", vanished_at="2026-01-01T00:00:00Z", **more)
    Volume.objects.create(name="odd.qcow2", path="/images/odd.qcow2", quarantine="Not trusted", **more)
    other = Hypervisor.objects.create(hypervisor_pool=hypervisor.hypervisor_pool, name="other", uri="test:///default")
    pool = StoragePool.objects.create(
        hypervisor=other, uuid=UUID(int=2), name="images", pool_type="dir", active=True, autostart=True
    )
    Volume.objects.create(storage_pool=pool, name="elsewhere.qcow2", path="/images/elsewhere.qcow2", format="qcow2")
    answer = dialog.apply(text)
    assert answer.status_code == 200
    assert reason in answer.content.decode()
    assert not Operation.objects.exists()


def test_one_larger_than_what_is_free_is_made_when_that_is_meant(dialog: Dialog) -> None:
    assert 'name="overcommitted"' in dialog.send(xml(size="60")).content.decode()
    assert dialog.apply(xml(size="60"), overcommitted="1").status_code == 204


def test_what_the_schema_does_not_know_is_hinted_at(dialog: Dialog) -> None:
    assert "<code>target/compat</code>" in dialog.send(xml(target="<compat>new</compat>")).content.decode()


def test_a_volume_has_a_page(operator: Client, base: Volume) -> None:
    top = Volume.objects.create(
        storage_pool=base.storage_pool, name="<t>", path="/images/t", backing_path=base.path, encryption="luks"
    )
    page = operator.get(base.get_absolute_url()).content.decode()
    assert f'href="{top.get_absolute_url()}">&lt;t&gt;</a>' in page
    page = operator.get(top.get_absolute_url()).content.decode()
    assert f'href="{base.get_absolute_url()}">base.qcow2</a>' in page
    assert "LUKS" in page


class TestXml:
    def url(self, volume: Volume) -> str:
        return f"/storage/volumes/{volume.pk}/xml/"

    def test_it_is_asked_for_and_shown_when_it_has_come(
        self, operator: Client, base: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []
        monkeypatch.setattr(current_app, "send_task", lambda name, **_: sent.append(name))
        for _time in range(3):
            page = operator.get(self.url(base)).content.decode()
            assert "Its host is asked…" in page
            assert "load delay" in page
        # However many look, it is asked once.
        assert sent == ["hypervisors.read_volume_xml"]
        keep_xml(base.pk, VolumeXml(xml="<volume><name>x&amp;y</name></volume>", read_at=time.time()))
        part = operator.get(self.url(base), headers=HTMX).content.decode()
        assert "&lt;volume&gt;&lt;name&gt;x&amp;amp;y" in part
        assert "load delay" not in part
        assert "libvirt cannot change what a volume is defined as" in part

    def test_what_keeps_it_from_being_read_is_said(self, operator: Client, base: Volume) -> None:
        keep_xml(base.pk, VolumeXml(problem="No such <volume>", read_at=time.time()))
        assert "No such &lt;volume&gt;" in operator.get(self.url(base)).content.decode()
        Hypervisor.objects.update(status=HypervisorStatus.OFFLINE)
        assert "host1 is offline" in operator.get(self.url(base)).content.decode()
        Volume.objects.update(vanished_at="2026-01-01T00:00:00Z")
        assert "The volume is gone" in operator.get(self.url(base)).content.decode()

    def test_the_wrong_person_or_method(self, client: Client, bob: User, charlie: User, base: Volume) -> None:
        client.force_login(charlie)
        assert client.get(self.url(base)).status_code == 404
        client.force_login(bob)
        assert client.post(self.url(base)).status_code == 405
        assert client.post(f"/storage/{base.storage_pool_id}/volumes/create/xml/", {"xml": xml()}).status_code == 404
