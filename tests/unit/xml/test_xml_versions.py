"""Every definition that is seen is kept once, with whose doing it was; and not for ever."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisors.administration.retention import remove_expired
from hypervisors.inventory.xml_versions import MADE_SHA256, note_versions
from hypervisors.models import Domain, Network, XmlVersion
from hypervisors.models.xml_versions import digest, packed
from hypervisors.states import OperationState
from tests.rows import make_operation

pytestmark = pytest.mark.django_db


def _xmls(domain: Domain) -> list[str]:
    return [version.xml for version in XmlVersion.objects.of(domain)]


def test_a_return_to_what_was_is_a_version_and_a_repetition_is_none(domain: Domain) -> None:
    for xml in ("<a/>", "<a/>", "<b/>", "<a/>", "<a/>", ""):
        note_versions("domain_id", {domain.pk: xml})
    assert _xmls(domain) == ["<a/>", "<b/>", "<a/>"]
    assert [version.is_first for version in XmlVersion.objects.of(domain)] == [False, False, True]


def test_many_are_noted_at_once_each_by_itself(make_domain: Callable[..., Domain]) -> None:
    one, other = make_domain(), make_domain()
    note_versions("domain_id", {one.pk: "<a/>", other.pk: "<a/>"})
    note_versions("domain_id", {one.pk: "<b/>", other.pk: "<a/>"})
    assert (_xmls(one), _xmls(other)) == (["<b/>", "<a/>"], ["<a/>"])


def test_what_was_under_way_is_whose_doing_it_was(domain: Domain, alice: User) -> None:
    note_versions("domain_id", {domain.pk: "<a/>"})
    operation = make_operation(
        domain=domain, kind="define_xml", state=OperationState.RUNNING, requested_by=alice, started_at=timezone.now()
    )
    note_versions("domain_id", {domain.pk: "<b/>"})
    newest = XmlVersion.objects.of(domain)[0]
    assert (newest.operation, newest.operation_kind, newest.changed_by) == (operation, "define_xml", "alice")


def test_so_is_what_ended_a_moment_ago_and_nothing_older(domain: Domain, alice: User) -> None:
    note_versions("domain_id", {domain.pk: "<a/>"})
    ended = {"domain": domain, "kind": "define_xml", "state": OperationState.SUCCEEDED, "requested_by": alice}
    now = timezone.now()
    make_operation(**ended, started_at=now - timedelta(hours=1), ended_at=now - timedelta(minutes=1))
    note_versions("domain_id", {domain.pk: "<b/>"})
    make_operation(**ended, started_at=now, ended_at=now)
    note_versions("domain_id", {domain.pk: "<c/>"})
    assert [version.changed_by for version in XmlVersion.objects.of(domain)] == ["alice", "", ""]


def test_what_says_what_it_made_has_made_that_alone(domain: Domain, alice: User) -> None:
    note_versions("domain_id", {domain.pk: "<a/>"})
    now = timezone.now()
    make_operation(
        domain=domain,
        kind="define_xml",
        state=OperationState.SUCCEEDED,
        requested_by=alice,
        started_at=now,
        ended_at=now - timedelta(seconds=50),
        progress={MADE_SHA256: digest("<b/>")},
    )
    note_versions("domain_id", {domain.pk: "<b/>"})
    note_versions("domain_id", {domain.pk: "<c/>"})
    assert [version.changed_by for version in XmlVersion.objects.of(domain)] == ["", "alice", ""]


def test_a_start_changes_no_definition_and_what_waits_has_changed_nothing(domain: Domain, alice: User) -> None:
    note_versions("domain_id", {domain.pk: "<a/>"})
    starting = make_operation(
        domain=domain, kind="start", state=OperationState.RUNNING, requested_by=alice, started_at=timezone.now()
    )
    note_versions("domain_id", {domain.pk: "<b/>"})
    starting.delete()
    make_operation(domain=domain, kind="define_xml", state=OperationState.QUEUED, requested_by=alice)
    note_versions("domain_id", {domain.pk: "<c/>"})
    assert {version.changed_by for version in XmlVersion.objects.of(domain)} == {""}


def test_the_last_hundred_of_each_are_kept(make_domain: Callable[..., Domain]) -> None:
    many, few = make_domain(), make_domain()
    for number in range(103):
        note_versions("domain_id", {many.pk: f"<a{number}/>"})
    note_versions("domain_id", {few.pk: "<a/>"})
    assert remove_expired()["versions of definitions"] == 3
    assert _xmls(many)[-1] == "<a3/>"
    assert _xmls(few) == ["<a/>"]


def test_a_round_removes_more_than_anybody_writes_meanwhile(domain: Domain) -> None:
    many = [XmlVersion(domain=domain, sha256=f"{number:064}", xml_zlib=packed("<a/>")) for number in range(1500)]
    XmlVersion.objects.bulk_create(many)
    remove_expired()
    assert XmlVersion.objects.of(domain).count() == 100


def test_what_is_older_than_a_year_goes_but_for_the_last_of_it(domain: Domain) -> None:
    for xml in ("<a/>", "<b/>", "<c/>"):
        note_versions("domain_id", {domain.pk: xml})
    long_ago = timezone.now() - timedelta(days=400)
    XmlVersion.objects.filter(domain=domain).exclude(sha256=digest("<c/>")).update(seen_at=long_ago)
    remove_expired()
    # What stood a year ago stays: it is what the next one differs from.
    assert _xmls(domain) == ["<c/>", "<b/>"]


def test_versions_go_with_what_they_are_of(domain: Domain, hypervisor: object) -> None:
    network = Network.objects.create(
        hypervisor=domain.hypervisor, uuid=domain.uuid, name="n", active=True, autostart=True, forward_mode="nat"
    )
    note_versions("network_id", {network.pk: "<network/>"})
    note_versions("domain_id", {domain.pk: "<a/>"})
    network.delete()
    assert [version.domain for version in XmlVersion.objects.all()] == [domain]


def test_it_is_kept_small() -> None:
    xml = "<domain>" + "<disk type='file'><source file='/x'/></disk>" * 200 + "</domain>"
    version = XmlVersion(xml_zlib=packed(xml))
    assert version.xml == xml
    assert len(version.xml_zlib) < len(xml) / 6
