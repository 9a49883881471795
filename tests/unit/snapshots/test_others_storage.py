"""A snapshot is neither merged nor gone back to where somebody else would lose data by it."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.errors import NotPermitted, NotPossible
from hypervisors.gateway.domains.snapshots import MOST_SNAPSHOTS
from hypervisors.models import Domain, DomainSnapshot, OperationLock, StoragePool, Volume
from hypervisors.operations.domains.snapshotting.reasons import tree_of, why_no_new
from hypervisors.operations.engine.requests import request_operation
from tests.roles import bind
from tests.rows import define, domain_xml

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

BASE, OVERLAY = "/images/a.qcow2", "/images/a.one.qcow2"
USB = (
    "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0x5678'/></source></hostdev>"
    "</devices>"
)


@pytest.fixture
def storage_pool(domain: Domain) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=domain.hypervisor,
        uuid="00000000-0000-4000-8000-000000000001",
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
    )


def _volume(storage_pool: StoragePool, path: str, backing_path: str = "") -> Volume:
    return Volume.objects.create(
        storage_pool=storage_pool,
        name=path.rpartition("/")[2],
        path=path,
        volume_type="file",
        format="qcow2",
        backing_path=backing_path,
    )


def _other_machine(domain: Domain, *disks: str) -> Domain:
    other = Domain.objects.create(
        hypervisor=domain.hypervisor,
        uuid="11111111-2222-4333-8444-555555555555",
        name="web2",
        state="shutoff",
        state_since=timezone.now(),
    )
    define(other, live_xml="", inactive_xml=domain_xml(*disks, name="web2"))
    return other


def _snapshot(domain: Domain, then: str, **values: Any) -> DomainSnapshot:
    Domain.objects.filter(pk=domain.pk).update(has_snapshots=True)
    stored = then.replace("<domain ", "<inactiveDomain ").replace("</domain>", "</inactiveDomain>")
    xml = f"<domainsnapshot><name>one</name>{then}{stored}</domainsnapshot>"
    given = {"kind": "internal", "created_at": timezone.now(), "is_current": True} | values
    return DomainSnapshot.objects.create(domain=domain, name="one", xml=xml, **given)


@pytest.fixture
def external(domain: Domain, storage_pool: StoragePool) -> DomainSnapshot:
    """Of a machine that goes on in a file on top of its first one."""
    _volume(storage_pool, BASE)
    _volume(storage_pool, OVERLAY, backing_path=BASE)
    define(domain, live_xml="", inactive_xml=domain_xml(OVERLAY))
    disks = [{"target": "vda", "kind": "external", "overlay": OVERLAY}]
    return _snapshot(domain, domain_xml(BASE), kind="external", disks=disks)


@pytest.fixture
def internal(domain: Domain, storage_pool: StoragePool) -> DomainSnapshot:
    """Of a machine that had two disks then, and has one now."""
    for path in (BASE, "/images/data.qcow2"):
        _volume(storage_pool, path)
    define(domain, live_xml="", inactive_xml=domain_xml(BASE))
    return _snapshot(domain, domain_xml(BASE, "/images/data.qcow2"))


def _ask(user: User, domain: Domain, kind: str) -> None:
    domain.refresh_from_db()
    request_operation(user=user, subject=domain, kind=kind, parameters={"name": "one"})


def test_a_snapshot_that_nobody_else_needs_is_merged(alice: User, domain: Domain, external: DomainSnapshot) -> None:
    _ask(alice, domain, "delete_snapshot")


def test_a_linked_clones_snapshot_is_merged_above_the_image_that_many_share(
    alice: User, domain: Domain, external: DomainSnapshot, storage_pool: StoragePool
) -> None:
    image = "/images/template.qcow2"
    _volume(storage_pool, image)
    _volume(storage_pool, "/images/clone.qcow2", backing_path=image)
    Volume.objects.filter(path=BASE).update(backing_path=image)
    below = f"<backingStore type='file'><format type='qcow2'/><source file='{image}'/></backingStore><target"
    then = external.xml.replace("<target", below)
    DomainSnapshot.objects.filter(pk=external.pk).update(xml=then)
    _ask(alice, domain, "delete_snapshot")


def test_a_file_that_others_are_on_top_of_is_not_merged_into(
    alice: User, domain: Domain, external: DomainSnapshot, storage_pool: StoragePool
) -> None:
    _volume(storage_pool, "/images/clone.qcow2", backing_path=BASE)
    with pytest.raises(NotPossible, match=r"“a\.qcow2”: Other volumes are on top of it.*“clone\.qcow2”"):
        _ask(alice, domain, "delete_snapshot")


def test_a_file_that_another_machine_has_is_not_merged_into(
    alice: User, domain: Domain, external: DomainSnapshot
) -> None:
    _other_machine(domain, BASE)
    with pytest.raises(NotPossible, match=r"“a\.qcow2”: It is in use.*“web2”"):
        _ask(alice, domain, "delete_snapshot")


def test_a_machine_gets_a_disk_back_that_nobody_else_has(alice: User, domain: Domain, internal: DomainSnapshot) -> None:
    _ask(alice, domain, "revert_snapshot")


def test_a_disk_that_another_machine_has_by_now_does_not_go_back(
    alice: User, domain: Domain, internal: DomainSnapshot
) -> None:
    _other_machine(domain, "/images/data.qcow2")
    with pytest.raises(NotPossible, match=r"“data\.qcow2”: It is in use.*“web2”"):
        _ask(alice, domain, "revert_snapshot")


def test_a_device_of_the_host_comes_back_for_who_manages_that(
    alice: User, domain: Domain, storage_pool: StoragePool
) -> None:
    _volume(storage_pool, BASE)
    with_device = domain_xml(BASE).replace("</devices>", USB)
    define(domain, live_xml="", inactive_xml=domain_xml(BASE))
    _snapshot(domain, with_device)
    user = User.objects.create_user("erin", password="erin-has-one-machine")
    bind(user, "operator", domain, granted_by=alice)
    with pytest.raises(NotPermitted):
        _ask(user, domain, "revert_snapshot")
    define(domain, inactive_xml=with_device)
    _ask(user, domain, "revert_snapshot")


def test_a_disk_that_others_are_on_top_of_does_not_go_back(
    alice: User, domain: Domain, internal: DomainSnapshot, storage_pool: StoragePool
) -> None:
    """Also one that the machine has now: what is written to it is lost for who reads through it."""
    _volume(storage_pool, "/images/clone.qcow2", backing_path=BASE)
    with pytest.raises(NotPossible, match=r"“a\.qcow2”: Other volumes are on top of it.*“clone\.qcow2”"):
        _ask(alice, domain, "revert_snapshot")


def test_files_that_are_merged_are_held_meanwhile(alice: User, domain: Domain, external: DomainSnapshot) -> None:
    _ask(alice, domain, "delete_snapshot")
    held = {key.rpartition("/")[2] for key in OperationLock.objects.values_list("key", flat=True)}
    assert {"a.qcow2", "a.one.qcow2"} <= held


def test_one_into_which_a_merge_was_broken_off_waits_for_that(
    alice: User, domain: Domain, external: DomainSnapshot
) -> None:
    disks = [{"target": "vda", "kind": "external", "overlay": OVERLAY, "is_unfinished": True}]
    DomainSnapshot.objects.filter(pk=external.pk).update(disks=disks, is_current=False)
    values: dict[str, Any] = {"kind": "external", "created_at": timezone.now(), "is_current": True, "disks": []}
    DomainSnapshot.objects.create(domain=domain, name="two", parent_name="one", **values)
    Domain.objects.filter(pk=domain.pk).update(state="running")
    with pytest.raises(NotPossible, match="Finish deleting “two” first"):
        _ask(alice, domain, "delete_snapshot")
    domain.refresh_from_db()
    request_operation(user=alice, subject=domain, kind="delete_snapshot", parameters={"name": "one", "children": True})


TUNED = "<cputune><shares>128</shares></cputune><devices>"


def test_what_a_machine_may_take_of_its_host_comes_back_for_who_manages_that(
    alice: User, domain: Domain, storage_pool: StoragePool
) -> None:
    """A limit that was set since is not shaken off by going back."""
    _volume(storage_pool, BASE)
    limited = domain_xml(BASE).replace("<devices>", TUNED)
    define(domain, live_xml="", inactive_xml=limited)
    snapshot = _snapshot(domain, domain_xml(BASE))
    user = User.objects.create_user("erin", password="erin-has-one-machine")
    bind(user, "operator", domain, granted_by=alice)
    with pytest.raises(NotPermitted):
        _ask(user, domain, "revert_snapshot")
    DomainSnapshot.objects.filter(pk=snapshot.pk).update(xml=snapshot.xml.replace("<devices>", TUNED))
    _ask(user, domain, "revert_snapshot")


def test_an_address_that_another_machine_has_by_now_does_not_come_back(
    alice: User, domain: Domain, storage_pool: StoragePool
) -> None:
    _volume(storage_pool, BASE)
    card = "<interface type='network'><mac address='52:54:00:00:00:42'/><source network='default'/></interface>"
    with_card = domain_xml(BASE).replace("</devices>", f"{card}</devices>")
    define(domain, live_xml="", inactive_xml=domain_xml(BASE))
    _snapshot(domain, with_card)
    other = _other_machine(domain)
    define(other, inactive_xml=with_card.replace(BASE, "/images/web2.qcow2"))
    with pytest.raises(NotPossible, match="52:54:00:00:00:42 is in use"):
        _ask(alice, domain, "revert_snapshot")
    define(other, inactive_xml=domain_xml("/images/web2.qcow2"))
    _ask(alice, domain, "revert_snapshot")


def test_no_snapshot_is_taken_beyond_those_that_are_looked_after(
    alice: User, domain: Domain, internal: DomainSnapshot
) -> None:
    """What is not read cannot speak against going back or deleting."""
    assert "no more are looked after" not in why_no_new(tree_of(domain.snapshots.all()), external=False)
    DomainSnapshot.objects.bulk_create(
        DomainSnapshot(domain=domain, name=f"s{number}", kind="internal") for number in range(MOST_SNAPSHOTS)
    )
    with pytest.raises(NotPossible, match="no more are looked after"):
        request_operation(
            user=alice, subject=domain, kind="create_snapshot", parameters={"name": "one more", "mode": "internal"}
        )
