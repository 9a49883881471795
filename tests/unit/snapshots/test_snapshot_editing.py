"""A snapshot's XML as somebody types it: what may be other, what may not, and why."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.gateway.domains.snapshots import SnapshotFacts
from hypervisors.inventory.domains.snapshots import save_snapshots
from hypervisors.inventory.xml_versions import MADE_SHA256
from hypervisors.libvirtxml.domain_snapshots import parse_snapshot
from hypervisors.models import Domain, DomainSnapshot, Operation, StoragePool, Volume, XmlVersion
from hypervisors.models.xml_versions import digest
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import OperationState
from tests.roles import bind
from tests.rows import define, domain_xml, make_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

XML = """<domainsnapshot>
  <name>one</name>
  <state>disk-snapshot</state>
  <creationTime>1795739397</creationTime>
  <parent><name>zero</name></parent>
  <memory snapshot='no'/>
  <disks>
    <disk name='vda' snapshot='external' type='file'><source file='/images/a.one.qcow2'/></disk>
    <disk name='vdb' snapshot='no'/>
  </disks>
  {domain}
</domainsnapshot>"""


def _xml(*disks: str) -> str:
    return XML.format(domain=domain_xml(*disks))


@pytest.fixture
def snapshot(domain: Domain) -> DomainSnapshot:
    """Of two disks, of which it holds the first."""
    Domain.objects.filter(pk=domain.pk).update(has_snapshots=True)
    domain.refresh_from_db()
    define(domain, inactive_xml=domain_xml("/images/a.one.qcow2", "/images/data.qcow2"))
    xml = _xml("/images/a.qcow2", "/images/data.qcow2")
    save_snapshots(domain.pk, [SnapshotFacts(parsed=parse_snapshot(xml), is_current=True, xml=xml)])
    return DomainSnapshot.objects.get()


def _ask(user: User, snapshot: DomainSnapshot, xml: str, **given: Any) -> Operation:
    parameters = {"name": "one", "xml": xml, "base_sha256": digest(snapshot.xml)} | given
    return request_operation(user=user, subject=snapshot.domain, kind="edit_snapshot", parameters=parameters)


def test_what_is_said_of_it_may_change_and_the_machine_that_comes_back(alice: User, snapshot: DomainSnapshot) -> None:
    xml = snapshot.xml.replace("<state>", "<description>why</description><state>", 1)
    operation = _ask(alice, snapshot, xml.replace("<devices>", "<title>then</title><devices>", 1))
    assert operation.state == OperationState.QUEUED
    assert "<title>then</title>" in operation.parameters["xml"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<name>one<", "<name>two<", "Its name stays “one”"),
        ("a.one.qcow2", "b.qcow2", "<disks> stays"),
        ("<memory snapshot='no'/>", "<memory snapshot='internal'/>", "<memory> stays"),
        ("<parent><name>zero</name></parent>", "", "What it was taken from stays"),
        ("1795739397", "1795739398", "<creationTime> stays"),
        ("<state>disk-snapshot<", "<state>running<", "<state> stays"),
        ("/images/a.qcow2", "/images/b.qcow2", "holds the disk “vda”"),
        ('type="qcow2"', 'type="raw"', "holds the disk “vda”"),
        ("/images/data.qcow2", "/images/thief.qcow2", "“thief.qcow2”: It is in use"),
        ("<name>one<", " <name>one<", "Nothing is changed"),
        ("</domainsnapshot>", "", "line"),
    ],
)
def test_what_data_would_be_orphaned_by_is_refused_with_the_reason(
    alice: User, snapshot: DomainSnapshot, domain: Domain, old: str, new: str, why: str
) -> None:
    pool = StoragePool.objects.create(
        hypervisor=domain.hypervisor,
        uuid="00000000-0000-4000-8000-000000000001",
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
    )
    Volume.objects.create(
        storage_pool=pool, name="thief.qcow2", path="/images/thief.qcow2", volume_type="file", format="qcow2"
    )
    other = Domain.objects.create(
        hypervisor=domain.hypervisor,
        uuid="11111111-2222-4333-8444-555555555555",
        name="web2",
        state="shutoff",
        state_since=timezone.now(),
    )
    define(other, live_xml="", inactive_xml=domain_xml("/images/thief.qcow2", name="web2"))
    xml = snapshot.xml.replace("'", '"')
    typed = xml.replace(old.replace("'", '"'), new.replace("'", '"'), 1)
    assert typed != xml
    with pytest.raises(NotPossible, match=why):
        _ask(alice, snapshot, typed)


def test_it_takes_the_right_to_manage_the_host_and_the_xml_that_was_seen(alice: User, snapshot: DomainSnapshot) -> None:
    typed = snapshot.xml.replace("<state>", "<description>why</description><state>", 1)
    user = User.objects.create_user("erin", password="erin-has-one-machine")
    bind(user, "operator", snapshot.domain, granted_by=alice)
    with pytest.raises(NotPermitted):
        _ask(user, snapshot, typed)
    with pytest.raises(Conflict, match="changed since you opened it"):
        _ask(alice, snapshot, typed, base_sha256=digest("another"))


def test_each_version_is_kept_and_whose_doing_it_is(alice: User, snapshot: DomainSnapshot) -> None:
    assert [one.is_first for one in XmlVersion.objects.of(snapshot)] == [True]
    other = snapshot.xml.replace("<state>", "<description>why</description><state>", 1)
    made = {MADE_SHA256: digest(other)}
    make_operation(
        domain=snapshot.domain,
        hypervisor=snapshot.domain.hypervisor,
        kind="edit_snapshot",
        state=OperationState.SUCCEEDED,
        requested_by=alice,
        progress=made,
        started_at=timezone.now(),
        ended_at=timezone.now(),
    )
    save_snapshots(snapshot.domain_id, [SnapshotFacts(parsed=parse_snapshot(other), is_current=True, xml=other)])
    newest, first = XmlVersion.objects.of(snapshot)
    assert (newest.xml, newest.operation_kind, newest.changed_by) == (other, "edit_snapshot", "alice")
    assert first.xml == snapshot.xml


def test_the_page_reviews_applies_and_tells_of_conflicts(operator: Client, snapshot: DomainSnapshot) -> None:
    url = f"/snapshots/{snapshot.pk}/xml/"
    typed = snapshot.xml.replace("<state>", "<description>why</description><state>", 1)
    sent = {"xml": typed, "base": digest(snapshot.xml)}
    assert "What changes" in operator.post(url, sent).content.decode()
    assert not Operation.objects.exists()
    answer = operator.post(url, sent | {"apply": "1", "reviewed": digest(typed)})
    assert "The host is asked" in answer.content.decode()
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters["name"]) == ("edit_snapshot", "one")
    assert operator.get(f"{url}outcome/{operation.pk}/").status_code == 200
    answer = operator.post(url, sent | {"base": digest("other"), "apply": "1", "reviewed": digest(typed)})
    assert "It was changed since you opened it." in answer.content.decode()
    assert operator.get(f"{url}versions/").status_code == 200
