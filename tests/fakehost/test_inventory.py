"""The watcher against libvirt's test driver: rows follow what libvirt has."""

from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.inventory.refresh_requests import request_domain_refresh
from hypervisors.models import Domain, Hypervisor, HypervisorCapabilities
from hypervisors.models.instances import read_instances
from hypervisors.states import AdminState, DomainState, HypervisorStatus
from tests.fakehost.conftest import FakeHosts, domain_xml
from tests.watching import wait_until

A, B, C = (f"00000000-0000-4000-8000-00000000000{n}" for n in "abc")


def _row(uuid: str) -> Domain | None:
    return Domain.objects.select_related("definition", "hypervisor").filter(uuid=uuid).first()


def _seen(uuid: str, **fields: object) -> Domain:
    """The row, once it has these values."""
    return wait_until(
        lambda: (row := _row(uuid)) is not None and all(getattr(row, k) == v for k, v in fields.items()) and row
    )


def test_all_domains_of_three_hosts_are_inventoried(fake_hosts: FakeHosts) -> None:
    hosts = [
        fake_hosts.add(
            f"h{n}", *(domain_xml(f"vm{n}-{i}", f"00000000-0000-4000-800{n}-0000000000{i:02}") for i in range(20))
        )
        for n in range(3)
    ]
    wait_until(lambda: Domain.objects.filter(definition__isnull=False).count() == 60)
    for host in hosts:
        assert host.domains.filter(state=DomainState.RUNNING, vcpu_count=2, memory_kib=65536).count() == 20
    row = _seen("00000000-0000-4000-8001-000000000007")
    assert (row.name, row.hypervisor) == ("vm1-7", hosts[1])
    assert "<name>vm1-7</name>" in row.definition.live_xml
    assert row.definition.parsed["vcpu_count"] == 2


def test_states_are_followed(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    _seen(A, state=DomainState.RUNNING)
    domain = fake_hosts.libvirt(host).lookupByUUIDString(A)
    domain.suspend()
    paused = _seen(A, state=DomainState.PAUSED, state_reason="by user")
    domain.resume()
    resumed = _seen(A, state=DomainState.RUNNING)
    assert resumed.state_since > paused.state_since
    domain.destroy()
    _seen(A, state=DomainState.SHUTOFF, persistent=True)
    wait_until(lambda: _row(A).definition.live_xml == "" and _row(A).definition.inactive_xml)


@pytest.mark.parametrize(
    "name", ['it\'s "quoted"', "100% <b>bold & co", "späße-🐧", "x" * 200, "; rm -rf $(HOME) `id`"]
)
def test_names_survive_exactly(fake_hosts: FakeHosts, name: str) -> None:
    host = fake_hosts.add("h1")
    escaped = name.replace("&", "&amp;").replace("<", "&lt;")
    fake_hosts.libvirt(host).defineXML(domain_xml(escaped, A, title=escaped))
    row = _seen(A, name=name, title=name)
    assert row.definition.parsed["name"] == name


def test_a_renamed_domain_stays_the_same_row(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    before = _seen(A, name="web1")
    domain = fake_hosts.libvirt(host).lookupByUUIDString(A)
    domain.destroy()
    domain.undefine()
    fake_hosts.libvirt(host).defineXML(domain_xml("web2", A))
    assert _seen(A, name="web2", vanished_at=None).pk == before.pk


def test_an_undefined_domain_becomes_a_tombstone_and_comes_back(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    before = _seen(A)
    domain = fake_hosts.libvirt(host).lookupByUUIDString(A)
    domain.destroy()
    domain.undefine()
    wait_until(lambda: _row(A).vanished_at is not None)
    fake_hosts.libvirt(host).defineXML(domain_xml("web1", A))
    assert _seen(A, vanished_at=None, state=DomainState.SHUTOFF).pk == before.pk


def test_a_transient_domain_is_gone_when_it_stops(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1")
    domain = fake_hosts.libvirt(host).createXML(domain_xml("passing", A))
    _seen(A, persistent=False, state=DomainState.RUNNING)
    domain.destroy()
    wait_until(lambda: _row(A).vanished_at is not None)


def test_a_domain_on_two_hosts_belongs_to_the_one_where_it_runs(fake_hosts: FakeHosts) -> None:
    source = fake_hosts.add("source", domain_xml("web1", A))
    target = fake_hosts.add("target")
    _seen(A, hypervisor=source, state=DomainState.RUNNING)
    fake_hosts.libvirt(target).createXML(domain_xml("web1", A))
    fake_hosts.libvirt(target).defineXML(domain_xml("other", B))
    _seen(B)  # by then the target's other domain was read too
    assert _row(A).hypervisor == source, "it runs on both: it stays where it was"
    fake_hosts.libvirt(source).lookupByUUIDString(A).suspend()
    _seen(A, hypervisor=target, state=DomainState.RUNNING)
    leftover = fake_hosts.libvirt(source).lookupByUUIDString(A)
    leftover.destroy()
    leftover.undefine()
    fake_hosts.libvirt(source).defineXML(domain_xml("marker", C))
    _seen(C)
    row = _row(A)
    assert (row.hypervisor, row.state, row.vanished_at) == (target, DomainState.RUNNING, None)


def test_what_changes_without_an_event_is_seen_after_a_refresh_request(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    _seen(A, autostart=False)
    fake_hosts.libvirt(host).lookupByUUIDString(A).setAutostart(True)
    request_domain_refresh(host.pk, UUID(A))
    _seen(A, autostart=True)


def test_changed_rows_are_picked_up(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    _seen(A)
    Hypervisor.objects.filter(pk=host.pk).update(uri="nonsense", revision=2)
    reason = wait_until(
        lambda: (
            Hypervisor.objects.filter(pk=host.pk, status=HypervisorStatus.OFFLINE).values_list("status_reason").first()
        )
    )
    assert "is not a hypervisor's URI" in reason[0]
    assert _row(A).vanished_at is None, "what an unreachable host has stays as it was last seen"
    Hypervisor.objects.filter(pk=host.pk).update(uri=host.uri, revision=3)
    wait_until(lambda: Hypervisor.objects.filter(pk=host.pk, status=HypervisorStatus.ONLINE).exists())
    Hypervisor.objects.filter(pk=host.pk).update(admin_state=AdminState.DISABLED)
    wait_until(lambda: _is_left_alone(fake_hosts, host))
    left_alone = {"status": HypervisorStatus.OFFLINE, "status_reason": ""}
    wait_until(lambda: Hypervisor.objects.filter(pk=host.pk, **left_alone).exists())
    Hypervisor.objects.filter(pk=host.pk).update(admin_state=AdminState.ENABLED)
    wait_until(lambda: Hypervisor.objects.filter(pk=host.pk, status=HypervisorStatus.ONLINE).exists())
    host.delete()
    wait_until(lambda: _row(A).vanished_at is not None)
    assert _row(A).hypervisor is None


def _is_left_alone(fake_hosts: FakeHosts, host: Hypervisor) -> bool:
    try:
        fake_hosts.libvirt(host)
    except AssertionError:
        return True
    return False


def test_a_row_that_was_deleted_behind_our_back_is_written_anew(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    _seen(A)
    Domain.objects.all().delete()
    fake_hosts.libvirt(host).lookupByUUIDString(A).suspend()
    _seen(A, name="web1", state=DomainState.PAUSED)


def test_changes_are_broadcast(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    _seen(A)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        before = wait_until(lambda: int(client.get("vmportal:seq:fleet") or 0))
        fake_hosts.libvirt(host).lookupByUUIDString(A).suspend()
        wait_until(lambda: int(client.get("vmportal:seq:fleet")) > before)


def test_the_watcher_announces_itself(fake_hosts: FakeHosts) -> None:
    assert wait_until(lambda: [instance.kind for instance in read_instances()]) == ["watcher"]


def test_clones_with_one_uuid_in_two_pools_are_two_machines(fake_hosts: FakeHosts, client: Client, alice: User) -> None:
    uuid = "6695eb01-f6a4-8304-79aa-97f2502e193f"
    ours = fake_hosts.add("one", domain_xml("ours", uuid), pool="rack one")
    wait_until(lambda: Domain.objects.filter(hypervisor=ours, name="ours").exists())
    theirs = fake_hosts.add("two", domain_xml("theirs", uuid), pool="rack two")
    second = wait_until(lambda: Domain.objects.filter(hypervisor=theirs, name="theirs").first())
    first = Domain.objects.get(hypervisor=ours)
    assert [str(row.libvirt_uuid) for row in (first, second)] == [uuid, uuid]
    assert (str(first.uuid) == uuid, str(second.uuid) == uuid) == (True, False)
    fake_hosts.libvirt(theirs).lookupByUUIDString(uuid).suspend()
    wait_until(lambda: Domain.objects.get(pk=second.pk).state == DomainState.PAUSED)
    assert Domain.objects.get(pk=first.pk).state == DomainState.RUNNING
    client.force_login(alice)
    page = client.get(f"/vms/{uuid}/").content.decode()
    assert f'<a href="/vms/{second.uuid}/">theirs</a>' in page
    assert "in the pool <bdi>rack two</bdi>: another machine" in page
    listed = client.get(f"/vms/?q={uuid}").content.decode()
    assert ">ours<" in listed
    assert ">theirs<" in listed


def test_what_a_host_can_give_guests_is_read_when_it_connects(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1")
    row = wait_until(lambda: HypervisorCapabilities.objects.filter(pk=host.pk).first())
    assert row.capabilities_xml.startswith("<capabilities>")
    assert row.host is not None
    assert [guest.arch for guest in row.host.guests] == ["i686"]


def test_snapshots_are_followed_though_no_event_tells_of_them(fake_hosts: FakeHosts) -> None:
    host = fake_hosts.add("h1", domain_xml("web1", A))
    row = _seen(A, state=DomainState.RUNNING)
    domain = fake_hosts.libvirt(host).lookupByUUIDString(A)
    for name in ("one", "two"):
        domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", 0)
    request_domain_refresh(host.pk, UUID(A))
    wait_until(lambda: set(row.snapshots.values_list("name", "parent_name")) == {("one", ""), ("two", "one")})
    assert row.snapshots.get(is_current=True).name == "two"
    # Nobody asks for this look: the summaries tell that their names differ.
    domain.snapshotLookupByName("one", 0).delete(0)
    wait_until(lambda: list(row.snapshots.values_list("name", flat=True)) == ["two"], seconds=60)
