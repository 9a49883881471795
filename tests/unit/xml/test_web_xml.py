"""The XML page: who may edit, what is seen before it is applied, conflicts, versions, and hostile text."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hypervisors.errors import NotPossible
from hypervisors.inventory.xml_versions import note_versions
from hypervisors.models import (
    Domain,
    DomainDefinition,
    Hypervisor,
    Network,
    Operation,
    StoragePool,
    Volume,
    XmlVersion,
)
from hypervisors.models.xml_versions import digest
from hypervisors.operations.engine.records import without_secrets
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import HypervisorStatus
from tests.roles import bind
from tests.rows import define, domain_xml

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

UUID = "5f1d1f0e-0000-4000-8000-00000000000a"
XML = f"""<domain type='kvm'>
  <name>web1</name>
  <uuid>{UUID}</uuid>
  <memory unit='KiB'>65536</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
  </devices>
</domain>
"""


class Editor:
    """alice before the XML of web1."""

    def __init__(self, client: Client, domain: Domain) -> None:
        self.client, self.domain = client, domain
        self.url = f"/vms/{domain.uuid}/xml/"
        self.base = digest(XML)
        stands(domain, XML)

    def send(self, text: str, **values: str) -> Any:
        return self.client.post(self.url, {"xml": text, "base": self.base, **values})

    def apply(self, text: str, **values: str) -> Any:
        return self.send(text, apply="1", reviewed=digest(text), **values)

    def asked(self) -> Operation | None:
        return Operation.objects.filter(kind="define_xml").first()


def stands(domain: Domain, xml: str) -> None:
    """As the inventory would have it."""
    define(domain, inactive_xml=xml)
    DomainDefinition.objects.filter(domain=domain).update(inactive_sha256=digest(xml))
    note_versions("domain_id", {domain.pk: xml})


@pytest.fixture
def editor(operator: Client, domain: Domain, hypervisor: Hypervisor) -> Editor:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(status=HypervisorStatus.ONLINE)
    return Editor(operator, domain)


def text_of(response: Any) -> str:
    return str(response.content.decode())


def test_what_changes_is_seen_before_it_is_asked_for(editor: Editor) -> None:
    shown = text_of(editor.send(XML.replace("65536", "131072")))
    assert "is-changed" in shown
    assert "It fits libvirt" in shown
    assert 'name="apply"' in shown
    assert editor.asked() is None


def test_what_was_looked_over_is_applied(editor: Editor) -> None:
    typed = XML.replace("65536", "131072")
    assert 'id="xml-outcome"' in text_of(editor.apply(typed))
    operation = editor.asked()
    assert operation is not None
    assert operation.parameters["base_sha256"] == editor.base
    assert "131072" in operation.parameters["xml"]


def test_another_text_than_was_looked_over_is_not_applied(editor: Editor) -> None:
    typed = XML.replace("65536", "131072")
    shown = text_of(editor.send(typed, apply="1", reviewed=digest(XML)))
    assert editor.asked() is None
    assert 'name="apply"' in shown


def test_a_change_by_others_is_shown_beside_and_nothing_is_overwritten(editor: Editor) -> None:
    theirs = XML.replace("<name>", "<title>theirs</title><name>")
    stands(editor.domain, theirs)
    typed = XML.replace("65536", "131072")
    response = editor.apply(typed)
    shown = text_of(response)
    assert (response.status_code, editor.asked()) == (422, None)
    assert "It was changed since you opened it" in shown
    assert "theirs" in shown
    assert "131072" in shown
    # Knowing that, it can be looked over against what stands now.
    assert 'name="apply"' in text_of(editor.send(typed, adopt="1"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("</devices>", "", "line 9"),
        ("<name>web1", "<name>web2", "rename it"),
        (UUID, UUID.replace("a", "b"), "Its UUID stays"),
        ("<name>", "<!-- a word --><name>", "Nothing is changed"),
        ("<domain", "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain", "no entities"),
        ("<domain type='kvm'>", "<network>", "line 9"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_asked(editor: Editor, old: str, new: str, said: str) -> None:
    response = editor.apply(XML.replace(old, new))
    assert response.status_code == 422
    assert said in text_of(response)
    assert editor.asked() is None


def test_malformed_xml_is_marked_at_its_line(editor: Editor) -> None:
    assert 'error-line="9"' in text_of(editor.send(XML.replace("</devices>", "")))


def test_what_the_schema_does_not_know_is_named_and_can_be_applied_all_the_same(editor: Editor) -> None:
    typed = XML.replace("<os>", "<odd/><os>")
    shown = text_of(editor.send(typed))
    assert "<code>odd</code>" in shown
    assert 'name="apply"' in shown
    editor.apply(typed, without_schema="1")
    operation = editor.asked()
    assert operation is not None
    assert operation.parameters["by_schema"] is False


def test_a_disk_of_another_machine_is_refused(editor: Editor, hypervisor: Hypervisor, make_domain: Any) -> None:
    volume(hypervisor, "a.qcow2")
    other = make_domain(name="db1")
    define(other, inactive_xml=domain_xml("/images/a.qcow2", name="db1"))
    shown = text_of(editor.apply(with_disk("/images/a.qcow2")))
    assert "It is in use: vda of “db1”" in shown
    assert editor.asked() is None
    # Read only it may be had, for nothing is written to it.
    editor.apply(with_disk("/images/a.qcow2", "<readonly/>"))
    assert editor.asked() is not None


def test_so_is_it_in_xml_that_a_machine_is_made_of(editor: Editor, hypervisor: Hypervisor, alice: User) -> None:
    volume(hypervisor, "a.qcow2")
    define(editor.domain, inactive_xml=domain_xml("/images/a.qcow2"))
    pasted = with_disk("/images/a.qcow2").replace(UUID, str(uuid4())).replace("web1", "new").replace("00:01'", "00:02'")
    given = {"kind": "create_domain_from_xml", "subject": hypervisor, "user": alice}
    with pytest.raises(NotPossible, match="It is in use: vda of “web1”"):
        request_operation(**given, parameters={"xml": pasted})
    request_operation(**given, parameters={"xml": pasted.replace("/images/a.qcow2", "/images/b.qcow2")})


def test_a_disk_that_all_share_may_be_had(editor: Editor, hypervisor: Hypervisor, make_domain: Any) -> None:
    volume(hypervisor, "a.qcow2")
    define(
        make_domain(name="db1"), inactive_xml=domain_xml("/images/a.qcow2").replace("<target", "<shareable/><target")
    )
    assert "It is in use" in text_of(editor.send(with_disk("/images/a.qcow2")))
    assert "It is in use" not in text_of(editor.send(with_disk("/images/a.qcow2", "<shareable/>")))


def test_a_raw_disk_is_not_read_as_another_format(editor: Editor, hypervisor: Hypervisor) -> None:
    volume(hypervisor, "a.img", format="raw")
    assert "takes it for qcow2, and it is raw" in text_of(editor.send(with_disk("/images/a.img")))


def test_what_is_not_trusted_is_refused(editor: Editor, hypervisor: Hypervisor) -> None:
    volume(hypervisor, "a.qcow2", quarantine="It was raw.")
    assert "content is not trusted" in text_of(editor.send(with_disk("/images/a.qcow2")))


def with_disk(path: str, more: str = "") -> str:
    disk = f"<driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='vda'/>{more}"
    return XML.replace("<devices>", f"<devices><disk type='file' device='disk'>{disk}</disk>")


def volume(hypervisor: Hypervisor, name: str, **fields: Any) -> Volume:
    pool, _made = StoragePool.objects.get_or_create(
        hypervisor=hypervisor,
        name="images",
        defaults={"uuid": uuid4(), "pool_type": "dir", "active": True, "autostart": True, "target_path": "/images"},
    )
    return Volume.objects.create(storage_pool=pool, name=name, path=f"/images/{name}", **({"format": "qcow2"} | fields))


def test_who_does_not_manage_the_host_only_reads(client: Client, editor: Editor, bob: User, charlie: User) -> None:
    bind(charlie, "vm-user", editor.domain)
    for person in (bob, charlie):
        client.force_login(person)
        shown = text_of(client.get(editor.url))
        assert "65536" in shown
        assert 'id="xml-form"' not in shown
        assert client.post(editor.url, {"xml": XML, "base": editor.base, "apply": "1"}).status_code == 403
    assert editor.asked() is None


def test_versions_are_listed_compared_and_restored(editor: Editor) -> None:
    stands(editor.domain, XML.replace("65536", "131072"))
    newest, first = XmlVersion.objects.of(editor.domain)
    url = f"{editor.url}versions/"
    listed = text_of(editor.client.get(url))
    assert "outside of vmportal" in listed
    assert "first seen" in listed
    compared = text_of(editor.client.get(url, {"from": first.pk, "to": newest.pk}))
    assert "131072" in compared
    alone = text_of(editor.client.get(url, {"to": newest.pk}))
    assert alone.partition("vp-xml-versions")[2] == compared.partition("vp-xml-versions")[2]
    restored = text_of(editor.client.get(editor.url, {"version": first.pk}))
    assert "65536" in restored
    assert "This is the version of" in restored


@pytest.mark.parametrize("number", ["999999999", "9" * 60, "x"])
def test_a_version_that_is_not_there_is_none(editor: Editor, number: str) -> None:
    answers = {editor.client.get(f"{editor.url}versions/?to={number}").status_code}
    assert answers == ({200} if number == "x" else {404})


def test_a_version_of_another_machine_is_not_shown(editor: Editor, make_domain: Any) -> None:
    other = make_domain(name="secret")
    note_versions("domain_id", {other.pk: XML.replace("web1", "secret")})
    version = XmlVersion.objects.of(other)[0]
    assert editor.client.get(editor.url, {"version": version.pk}).status_code == 404
    assert editor.client.get(f"{editor.url}versions/", {"to": version.pk}).status_code == 404


def test_who_has_it_open_hears_of_a_change(editor: Editor) -> None:
    url = reverse("domain_xml_news", args=[editor.domain.uuid])
    assert "It was changed" not in text_of(editor.client.get(url, {"base": editor.base}))
    stands(editor.domain, XML.replace("65536", "131072"))
    assert "It was changed" in text_of(editor.client.get(url, {"base": editor.base}))


def test_the_text_leaves_the_row_with_the_operations_end(editor: Editor) -> None:
    editor.apply(XML.replace("<devices>", "<devices><graphics type='vnc' passwd='s3cret'/>"))
    operation = editor.asked()
    assert operation is not None
    assert "s3cret" not in str(without_secrets(operation)["parameters"])


POOL = """<pool type='dir'>
  <name>images</name>
  <uuid>{uuid}</uuid>
  <target>
    <path>{path}</path>
  </target>
</pool>
"""


def test_a_storage_pools_xml_is_edited_by_the_same_page(editor: Editor, hypervisor: Hypervisor) -> None:
    pool = volume(hypervisor, "a").storage_pool
    xml = POOL.format(uuid=pool.uuid, path="/images")
    StoragePool.objects.filter(pk=pool.pk).update(definition_xml=xml)
    url, typed = f"/storage/{pool.pk}/xml/", xml.replace("/images", "/other")
    values = {"xml": typed, "base": digest(xml)}
    assert "is-changed" in text_of(editor.client.post(url, values))
    editor.client.post(url, values | {"apply": "1", "reviewed": digest(typed)})
    operation = Operation.objects.get(kind="edit_storage_pool")
    assert "/other" in operation.parameters["xml"]
    assert editor.client.get(f"{url}versions/").status_code == 200


NETWORK = "<network>\n  <name>net</name>\n  <uuid>{uuid}</uuid>\n  <bridge name='virbr7'/>\n</network>\n"


def test_so_is_a_networks(editor: Editor, hypervisor: Hypervisor) -> None:
    row = Network.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="net", active=False, autostart=False, forward_mode="isolated"
    )
    xml = NETWORK.format(uuid=row.uuid)
    Network.objects.filter(pk=row.pk).update(definition_xml=xml, kind="isolated")
    url, typed = f"/networks/{row.pk}/xml/", xml.replace("virbr7", "virbr8")
    values = {"xml": typed, "base": digest(xml)}
    assert "is-changed" in text_of(editor.client.post(url, values))
    editor.client.post(url, values | {"apply": "1", "reviewed": digest(typed)})
    assert "virbr8" in Operation.objects.get(kind="edit_network").parameters["xml"]
