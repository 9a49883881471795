"""The Hardware tab: who sees and changes what, what a form shows and sends, and what they are told who come late."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.sections import SECTIONS
from hypervisors.models import Domain, DomainDefinition, Hypervisor, StoragePool, Volume
from hypervisors.states import DomainState
from hypervisors.web.domains.hardware.device_labels import DEVICE_LABELS, OWN_LABELS
from hypervisors.web.domains.hardware.entries import SECTION_ENTRIES
from hypervisors.web.domains.hardware.helps import HELPS
from hypervisors.web.domains.hardware.section_labels import SECTION_LABELS
from hypervisors.web.domains.hardware.type_words import TYPES
from tests.roles import bind
from tests.rows import define, domain_xml

pytestmark = pytest.mark.usefixtures("redis_client")

MACHINE = Path(__file__).with_name("hardware-machine.xml").read_text()
HTMX = {"HX-Request": "true"}


def give_hardware(domain: Domain, *, live: str = "", stored: str = MACHINE, sha256: str = "a" * 64) -> Domain:
    values = {"live_xml": live, "inactive_xml": stored, "inactive_sha256": sha256}
    DomainDefinition.objects.update_or_create(domain=domain, defaults=values)
    return domain


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """One that is off."""
    return give_hardware(make_domain(name="web7"))


def part(browser: Client, domain: Domain, show: str, **query: str) -> str:
    answer = browser.get(f"/vms/{domain.uuid}/hardware/part/", {"show": show, **query}, headers=HTMX)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_names_each_part_of_the_machine(operator: Client, machine: Domain) -> None:
    page = operator.get(f"/vms/{machine.uuid}/hardware/").content.decode()
    for text in ("Disk vda", "CD drive sda", "Network card 52:54:00:00:00:01", "Screen vnc", "General", "Add hardware"):
        assert text in page


def test_each_part_has_a_form_that_can_be_bookmarked(operator: Client, machine: Domain) -> None:
    page = operator.get(f"/vms/{machine.uuid}/hardware/", {"show": "disk:vda"}).content.decode()
    assert 'data-show="disk:vda" aria-labelledby="hardware-title"' in page
    assert "/srv/images/web1.qcow2" in part(operator, machine, "disk:vda")
    assert "this machine does not have it" in part(operator, machine, "disk:vdz").lower()


@pytest.mark.parametrize("show", [f"add:{key}" for key in DEVICE_TYPES] + [f"section:{key}" for key in SECTIONS])
def test_every_type_and_section_has_a_form(operator: Client, machine: Domain, show: str) -> None:
    assert 'name="base_sha256"' in part(operator, machine, show)


def test_every_section_stands_in_the_list() -> None:
    assert set(SECTIONS) <= set(SECTION_ENTRIES)


def test_every_type_has_words_and_every_field_a_label() -> None:
    assert set(DEVICE_TYPES) <= set(TYPES)
    tables = {key: kind.fields for key, kind in DEVICE_TYPES.items()} | {
        key: section.fields for key, section in SECTIONS.items()
    }
    missing = [
        (key, field.name)
        for key, fields in tables.items()
        for field in fields
        if (key, field.name) not in SECTION_LABELS
        and (key, field.name) not in OWN_LABELS
        and (key in SECTIONS or field.name not in DEVICE_LABELS)
    ]
    assert missing == []


def test_labels_and_help_are_of_fields_that_exist() -> None:
    known = {(key, field.name) for key, kind in DEVICE_TYPES.items() for field in kind.fields}
    known |= {(key, field.name) for key, section in SECTIONS.items() for field in section.fields}
    assert set(OWN_LABELS) | set(SECTION_LABELS) | set(HELPS) <= known
    assert set(DEVICE_LABELS) <= {name for _key, name in known}
    for key, words in TYPES.items():
        assert {(key, name) for name in words.tells} <= known


def test_a_field_says_when_it_shows(operator: Client, machine: Domain) -> None:
    form = part(operator, machine, "add:interface")
    assert 'id="field-source_bridge" data-only-if="[[&quot;type&quot;, [&quot;bridge&quot;]]]"' in form


def test_what_waits_is_marked_and_listed(operator: Client, make_domain: Callable[..., Domain]) -> None:
    stored = MACHINE.replace("</devices>", "<sound model='ich9'/></devices>")
    machine = give_hardware(make_domain(name="runs", state=DomainState.RUNNING), live=MACHINE, stored=stored)
    listed = operator.get(f"/vms/{machine.uuid}/hardware/list/", headers=HTMX).content.decode()
    sound = listed[listed.index("Sound card ich9") :]
    assert sound.index("at next start") < sound.index("</a>")


def test_who_may_only_look_gets_no_way_to_change(client: Client, bob: User, domain: Domain) -> None:
    give_hardware(domain)
    client.force_login(bob)
    form = part(client, domain, "disk:vda")
    assert "<fieldset disabled>" in form
    assert "Apply" not in form
    assert "Remove" not in form
    for door in ("change/", "media/", "remove/", "timing/"):
        answer = client.post(f"/vms/{domain.uuid}/hardware/{door}", {"show": "disk:vda"}, headers=HTMX)
        assert answer.status_code == 403


def test_a_person_without_the_storage_sees_none_of_it(
    client: Client, charlie: User, machine: Domain, hypervisor: Hypervisor
) -> None:
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True
    )
    Volume.objects.create(storage_pool=pool, name="payroll.qcow2", path="/x", key="x", format="qcow2")
    bind(charlie, "vm-user", machine)
    client.force_login(charlie)
    form = part(client, machine, "add:disk")
    assert "payroll" not in form
    assert "images" not in form.replace("/srv/images", "")


def test_a_volume_of_another_machine_is_named_so_and_cannot_be_chosen(
    operator: Client, machine: Domain, make_domain: Callable[..., Domain], hypervisor: Hypervisor
) -> None:
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True,
        target_path="/images",
    )  # fmt: skip
    for name in ("a.qcow2", "free.qcow2"):
        Volume.objects.create(storage_pool=pool, name=name, path=f"/images/{name}", key=name, format="qcow2")
    define(make_domain(name="db1"), inactive_xml=domain_xml("/images/a.qcow2", name="db1"))
    form = part(operator, machine, "add:disk")
    taken = form[: form.index("used by db1")].rpartition("<option")[2]
    assert "disabled" in taken
    assert "free.qcow2" in form
