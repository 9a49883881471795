"""Storage pools' pages: lists, the form, actions, deletion, editing, and shared storage."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.libvirtxml.storage_pool_builder import build_storage_pool, definition_digest
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec
from hypervisors.models import Domain, DomainDefinition, Hypervisor, Operation, SharedStorage, StoragePool, Volume
from hypervisors.models.xml_versions import digest
from hypervisors.states import HypervisorStatus
from tests.roles import bind

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
GIB = 1024**3
NEW = "/storage/pools/create/"
SPEC = StoragePoolSpec(pool_type="dir", name="images", target_path="/images", uuid=str(UUID(int=1)))
HOSTILE = """a'b"c,d <script>&"""


@pytest.fixture
def make_pool(hypervisor: Hypervisor) -> Callable[..., StoragePool]:
    def make(**values: Any) -> StoragePool:
        number = StoragePool.objects.count() + 1
        given: dict[str, Any] = {
            "hypervisor": hypervisor,
            "uuid": UUID(int=number),
            "name": "images",
            "pool_type": "dir",
            "active": True,
            "autostart": True,
            "target_path": "/images",
            "capacity_bytes": 100 * GIB,
            "allocation_bytes": 40 * GIB,
            "available_bytes": 60 * GIB,
            "definition_xml": build_storage_pool(SPEC),
        }
        return StoragePool.objects.create(**(given | values))

    return make


@pytest.fixture
def shared(make_pool: Callable[..., StoragePool], make_hypervisor: Callable[..., Hypervisor]) -> SharedStorage:
    """Seen by host1 and another, not by a third; a fourth has nothing of it."""
    hosts = [make_hypervisor() for _ in range(3)]
    storage = SharedStorage.objects.create(
        hypervisor_pool=hosts[0].hypervisor_pool, name="images", pool_type="dir", identity="x", proved_at=timezone.now()
    )
    proof = {"proved_at": timezone.now(), "proved_since": timezone.now(), "looked_at": timezone.now()}
    make_pool(shared_storage=storage, **proof)
    make_pool(shared_storage=storage, hypervisor=hosts[0], **proof)
    make_pool(shared_storage=storage, hypervisor=hosts[1], is_another=True, unproved_reason="It is another.")
    return storage


def filled(hypervisor: Hypervisor, **values: object) -> dict[str, object]:
    return {
        "place": f"host-{hypervisor.pk}",
        "pool_type": "dir",
        "name": "images",
        "target_path": "/images",
        "building": "folder",
        "start": "on",
    } | values


def test_the_form_shows_the_fields_of_its_type(operator: Client, hypervisor: Hypervisor) -> None:
    page = operator.get(NEW).content.decode()
    assert 'name="target_path"' in page
    assert 'name="hosts"' not in page
    answer = operator.post(NEW, filled(hypervisor, pool_type="rbd", to="check"), headers=HTMX).content.decode()
    assert "<html" not in answer
    for name in ("hosts", "source_name", "auth_username", "secret"):
        assert f'name="{name}"' in answer
    assert 'name="target_path"' not in answer


@pytest.mark.parametrize("pool_type", ["dir", "fs", "netfs", "logical", "disk", "iscsi", "iscsi-direct", "scsi"])
def test_what_is_missing_is_said_when_it_is_asked_for_and_not_before(
    pool_type: str, operator: Client, hypervisor: Hypervisor
) -> None:
    values = {"place": f"host-{hypervisor.pk}", "pool_type": pool_type}
    answer = operator.post(NEW, values | {"to": "check"}, headers=HTMX).content.decode()
    assert "A storage pool needs a name." not in answer
    answer = operator.post(NEW, values, headers=HTMX).content.decode()
    assert "A storage pool needs a name." in answer
    assert not Operation.objects.exists()


def test_one_is_asked_for_on_a_host(operator: Client, hypervisor: Hypervisor) -> None:
    answer = operator.post(NEW, filled(hypervisor, name=HOSTILE), headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/hypervisors/{hypervisor.pk}/storage/"
    operation = Operation.objects.get()
    assert (operation.kind, operation.hypervisor, operation.subject_name) == (
        "create_storage_pool",
        hypervisor,
        HOSTILE,
    )
    assert operation.parameters == {
        "name": HOSTILE,
        "spec": {"pool_type": "dir", "name": HOSTILE, "target_path": "/images"},
        "xml": "",
        "building": "folder",
        "start": True,
        "autostart": False,
    }


def test_fields_become_the_spec_of_their_type(operator: Client, hypervisor: Hypervisor) -> None:
    values = filled(
        hypervisor,
        pool_type="rbd",
        building="",
        hosts="mon1:6789, 2001:db8::2 [2001:db8::3]:7",
        source_name="vms",
        auth_username="libvirt",
        secret="2ec115d7-3a88-3ceb-bc12-0ac909a6fd87",
    )
    assert operator.post(NEW, values).status_code == 302
    assert Operation.objects.get().parameters["spec"] == {
        "pool_type": "rbd",
        "name": "images",
        "hosts": [
            {"name": "mon1", "port": 6789},
            {"name": "2001:db8::2", "port": None},
            {"name": "2001:db8::3", "port": 7},
        ],
        "source_name": "vms",
        "auth_username": "libvirt",
        "secret_uuid": "2ec115d7-3a88-3ceb-bc12-0ac909a6fd87",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "a/b"}, "has no “/”"),
        ({"target_path": "images"}, "A path begins with “/”"),
        ({"target_path": "/a/../b"}, "Write the path without"),
        ({"pool_type": "netfs", "hosts": "-o", "directory": "/x"}, "neither a host"),
        ({"pool_type": "floppy"}, "Select a valid choice"),
        ({"view": "xml", "xml": "<pool"}, "cannot be read"),
        ({"view": "xml", "xml": "<network/>"}, "begins with &lt;pool&gt;"),
        ({"view": "xml", "xml": "<pool type='dir'><name>a/b</name></pool>"}, "has no “/”"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, object], said: str, operator: Client, hypervisor: Hypervisor) -> None:
    for to in ({}, {"to": "check"}):
        answer = operator.post(NEW, filled(hypervisor, **values) | to, headers=HTMX)
        assert (answer.status_code, said in answer.content.decode()) == (200, True)
    assert operator.post(NEW, filled(hypervisor, **values)).status_code == 422
    assert not Operation.objects.exists()


def test_fields_turn_into_xml_and_back(operator: Client, hypervisor: Hypervisor) -> None:
    values = filled(hypervisor, pool_type="netfs", hosts="nas1", directory="/export", name=HOSTILE)
    as_xml = operator.post(NEW, values | {"to": "xml"}, headers=HTMX).content.decode()
    assert "&lt;host name=&quot;nas1&quot;/&gt;" in as_xml
    assert "&lt;script&gt;" not in as_xml.replace("&amp;lt;script", "")
    xml = "<pool type='netfs'><name>n2</name><source><host name='nas2'/><dir path='/e'/></source></pool>"
    as_fields = operator.post(NEW, values | {"view": "xml", "xml": xml, "to": "form"}, headers=HTMX).content.decode()
    assert 'value="nas2"' in as_fields
    assert 'value="n2"' in as_fields
    unknown = "<pool type='sheepdog'><name>s</name></pool>"
    kept = operator.post(NEW, values | {"view": "xml", "xml": unknown, "to": "form"}, headers=HTMX).content.decode()
    assert "has no fields for a storage pool of the type “sheepdog”" in kept


def test_every_host_of_a_pool_is_asked_and_those_that_cannot_are_named(
    operator: Client,
    hypervisor: Hypervisor,
    make_hypervisor: Callable[..., Hypervisor],
    make_pool: Callable[..., StoragePool],
) -> None:
    second, away = make_hypervisor(), make_hypervisor(status=HypervisorStatus.OFFLINE)
    make_pool(hypervisor=second)
    make_hypervisor()
    values = filled(hypervisor, place=f"pool-{hypervisor.hypervisor_pool_id}")
    shown = operator.post(NEW, values | {"to": "check"}, headers=HTMX).content.decode()
    assert f"{second.name} has a storage pool called “images” already." in shown
    assert f"{away.name} is offline" in shown
    assert "Create on 2 hosts" in shown
    assert operator.post(NEW, values, headers=HTMX).headers["HX-Redirect"] == "/storage/"
    parent = Operation.objects.get(kind="bulk")
    assert parent.children.count() == 2
    assert {entry["name"] for entry in parent.parameters["refused"]} == {second.name, away.name}


def test_all_hosts_refusing_is_said_in_the_form(
    operator: Client, hypervisor: Hypervisor, make_pool: Callable[..., StoragePool]
) -> None:
    make_pool()
    answer = operator.post(NEW, filled(hypervisor), headers=HTMX).content.decode()
    assert "has a storage pool called “images” already" in answer
    assert not Operation.objects.exists()


def test_one_may_make_them_where_one_manages_storage_and_nowhere_else(
    client: Client, charlie: User, hypervisor: Hypervisor, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    bind(charlie, "operator", hypervisor.hypervisor_pool)
    far = make_hypervisor(hypervisor_pool=type(hypervisor.hypervisor_pool).objects.create(name="far"))
    client.force_login(charlie)
    page = client.get(NEW)
    if page.status_code == 200:
        assert far.name not in page.content.decode()
        assert client.post(NEW, filled(far)).status_code == 404
    assert not Operation.objects.exists()


def test_the_list_shows_shared_storage_once(operator: Client, shared: SharedStorage) -> None:
    page = operator.get("/storage/").content.decode()
    assert page.count(f'data-href="{shared.get_absolute_url()}"') == 1
    # What was proved to be another storage is a line of its own.
    assert page.count("data-href=") == 2
    assert "2 hosts" in page
    found = operator.get("/storage/?q=nothing").content.decode()
    assert "No storage here is called “nothing”." in found


def test_the_list_says_what_is_promised_beyond_what_there_is(
    operator: Client, make_pool: Callable[..., StoragePool]
) -> None:
    row = make_pool()
    Volume.objects.create(storage_pool=row, name="a", capacity_bytes=250 * GIB)
    assert "2.5 × what there is" in operator.get("/storage/").content.decode()
    assert "2.5 × what there is" in operator.get(f"/hypervisors/{row.hypervisor_id}/storage/").content.decode()
    assert "2.5 × what there is" in operator.get(row.get_absolute_url()).content.decode()


def test_lists_without_anything_say_what_to_do(operator: Client, hypervisor: Hypervisor) -> None:
    page = operator.get("/storage/").content.decode()
    assert "No storage pools yet." in page
    assert f"{NEW}?pool={hypervisor.hypervisor_pool_id}" in page


def test_the_page_of_shared_storage_says_who_sees_it_and_why_not(operator: Client, shared: SharedStorage) -> None:
    page = operator.get(shared.get_absolute_url()).content.decode()
    assert "Seen by 2 of 4 hosts" in page
    assert page.count("seen since") == 2
    assert "It is another." in page
    assert "It has no such storage pool." in page
    there = re.search(r'href="(/storage/pools/create/[^"]*like=[^"]*)"', page)
    assert there is not None
    form = operator.get(there[1].replace("&amp;", "&")).content.decode()
    assert 'value="images"' in form
    assert 'value="/images"' in form
    row = StoragePool.objects.filter(proved_at__isnull=False).first()
    assert row is not None
    assert operator.post(f"/storage/{row.pk}/prove/", headers=HTMX).status_code == 204
    assert Operation.objects.get().kind == "prove_sharing"
    # Of the table alone.
    part = operator.get(shared.get_absolute_url(), headers=HTMX | {"HX-Target": "volumes"}).content.decode()
    assert "Who sees it" not in part


def test_what_can_be_done_is_in_the_menu_with_reasons(operator: Client, make_pool: Callable[..., StoragePool]) -> None:
    row = make_pool()
    domain = Domain.objects.create(
        uuid=UUID(int=5), hypervisor=row.hypervisor, name="web1", state="running", state_since=timezone.now()
    )
    DomainDefinition.objects.create(domain=domain, live_xml="<domain><disk><source file='/images/a'/></disk></domain>")
    page = operator.get(row.get_absolute_url()).content.decode()
    assert "Virtual machines use volumes in it: “web1” on host1 (running)." in page
    assert "Running machines have disks in it and go on with them: “web1” on host1 (running)." in page
    assert operator.post(f"/storage/{row.pk}/stop/", headers=HTMX).status_code == 204
    StoragePool.objects.update(active=False)
    Operation.objects.all().delete()
    page = operator.get(row.get_absolute_url()).content.decode()
    assert "Create the folder and start" in page
    assert operator.post(f"/storage/{row.pk}/start/", {"makes_folder": "1"}, headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters == {"makes_folder": True}
    answer = operator.post(f"/storage/{row.pk}/start/", headers=HTMX)
    assert (answer.status_code, "“Start storage pool”, asked for by alice" in answer.content.decode()) == (409, True)


def test_it_is_deleted_and_with_all_in_it_only_by_its_name(
    operator: Client, make_pool: Callable[..., StoragePool]
) -> None:
    row = make_pool()
    url = f"/storage/{row.pk}/delete/"
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert "Delete the storage pool “<bdi>images</bdi>”?" in dialog
    for typed in ("", "Images"):
        answer = operator.post(url, {"deletes_volumes": "1", "typed_name": typed}, headers=HTMX)
        assert "Type the storage pool’s name" in answer.content.decode().replace("&#x27;", "’")
    assert not Operation.objects.exists()
    assert operator.post(url, {"deletes_volumes": "1", "typed_name": "images"}, headers=HTMX).status_code == 204
    assert Operation.objects.get().parameters == {"deletes_volumes": True}


def test_it_is_edited_in_fields_or_as_xml_guarded_by_what_was_seen(
    operator: Client, make_pool: Callable[..., StoragePool]
) -> None:
    row = make_pool()
    url, seen = f"/storage/{row.pk}/edit/", definition_digest(row.definition_xml)
    page = operator.get(url).content.decode()
    assert f'value="{seen}"' in page
    assert 'value="/images"' in page
    assert "counts from its next start on" in page
    values = {"digest": seen, "target_path": "/new"}
    turned = operator.post(url, values | {"to": "xml"}, headers=HTMX).content.decode()
    assert "&lt;path&gt;/new&lt;/path&gt;" in turned
    answer = operator.post(url, {"digest": seen, "target_path": "new"}, headers=HTMX).content.decode()
    assert "A path begins with “/”" in answer
    answer = operator.post(url, {"digest": "x", "target_path": "/new"}, headers=HTMX).content.decode()
    assert "Somebody changed its definition meanwhile" in answer
    assert operator.post(url, values, headers=HTMX).headers["HX-Redirect"] == row.get_absolute_url()
    operation = Operation.objects.get()
    assert (operation.kind, "<path>/new</path>" in operation.parameters["xml"]) == ("edit_storage_pool", True)


def test_what_the_fields_say_goes_on_into_the_editor_of_xml(
    operator: Client, make_pool: Callable[..., StoragePool]
) -> None:
    row = make_pool()
    url, seen = f"/storage/{row.pk}/edit/", definition_digest(row.definition_xml)
    page = operator.get(url).content.decode()
    assert f'href="/storage/{row.pk}/xml/"' in page
    assert 'name="xml"' not in page
    answer = operator.post(url, {"digest": seen, "target_path": "/new", "to": "xml"})
    assert answer.headers["HX-Push-Url"] == f"/storage/{row.pk}/xml/"
    page = answer.content.decode()
    assert "This is what the fields say." in page
    # What nobody changed is written as libvirt writes it: it would be told as a change.
    StoragePool.objects.update(definition_xml=row.definition_xml.replace('"', "'"))
    answer = operator.post(url, {"digest": seen, "target_path": "/new", "to": "xml"})
    assert "&lt;pool type=&#x27;dir&#x27;&gt;" in answer.content.decode()
    assert f'value="{digest(row.definition_xml)}"' in page
    # Not of what somebody changed meanwhile, and not while it is wrong: then the form stays.
    stale = operator.post(url, {"digest": "x", "target_path": "/new", "to": "xml"}).content.decode()
    assert "Somebody changed its definition meanwhile" in stale
    wrong = operator.post(url, {"digest": seen, "target_path": "new", "to": "xml"}).content.decode()
    assert "A path begins with “/”" in wrong
    assert 'name="xml"' not in wrong


def test_typed_xml_of_a_new_one_is_held_against_the_schema(operator: Client, hypervisor: Hypervisor) -> None:
    xml = "<pool type='dir'><name>n</name><target><path>/n</path></target></pool>"
    values = filled(hypervisor, view="xml", to="check")
    assert "It fits libvirt" in operator.post(NEW, values | {"xml": xml}, headers=HTMX).content.decode()
    odd = xml.replace("<target>", "<odd/><target>")
    assert "<code>odd</code>" in operator.post(NEW, values | {"xml": odd}, headers=HTMX).content.decode()
    broken = xml.replace("</target>", "")
    assert 'error-line="1"' in operator.post(NEW, values | {"xml": broken}, headers=HTMX).content.decode()


def test_a_type_without_fields_is_edited_as_xml(operator: Client, make_pool: Callable[..., StoragePool]) -> None:
    xml = "<pool type='sheepdog'><name>images</name></pool>"
    row = make_pool(pool_type="sheepdog", definition_xml=xml)
    page = operator.get(f"/storage/{row.pk}/edit/").content.decode()
    assert "sheepdog" in page
    assert 'name="xml"' in page


def test_the_wrong_method_person_or_id(
    client: Client, bob: User, charlie: User, operator: Client, make_pool: Callable[..., StoragePool]
) -> None:
    row = make_pool()
    urls = [f"/storage/{row.pk}/{word}/" for word in ("start", "stop", "autostart", "refresh", "prove")]
    assert [operator.get(url).status_code for url in urls] == [405] * 5
    assert operator.post("/storage/99999/stop/").status_code == 404
    other = Client()
    for person in (bob, charlie):
        other.force_login(person)
        assert [other.post(url, headers=HTMX).status_code for url in urls] == [404] * 5
        assert other.post(f"/storage/{row.pk}/delete/", headers=HTMX).status_code == 404
    assert not Operation.objects.exists()
