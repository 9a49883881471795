"""The Hardware tab: who sees and changes what, what a form shows and sends, and what they are told who come late."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from lxml import html

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.sections import SECTIONS
from hypervisors.models import Domain, Hypervisor, Network, NodeDevice, Operation, StoragePool, Volume
from hypervisors.states import DomainState
from hypervisors.web.domains.hardware.device_labels import DEVICE_LABELS, OWN_LABELS
from hypervisors.web.domains.hardware.entries import SECTION_ENTRIES
from hypervisors.web.domains.hardware.helps import HELPS
from hypervisors.web.domains.hardware.section_labels import SECTION_LABELS
from hypervisors.web.domains.hardware.type_words import TYPES
from tests.hardware_pages import HTMX, MACHINE, change, form_of, give_hardware, part
from tests.roles import bind
from tests.rows import define, domain_xml

pytestmark = pytest.mark.usefixtures("redis_client")

MOST_QUERIES = 24


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """One that is off."""
    return give_hardware(make_domain(name="web7"))


def test_the_list_names_each_part_of_the_machine(operator: Client, machine: Domain) -> None:
    page = operator.get(f"/vms/{machine.uuid}/hardware/").content.decode()
    for text in ("Disk vda", "CD drive sda", "Network card 52:54:00:00:00:01", "Screen VNC", "General", "Add hardware"):
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


# --- changing


def asked() -> Operation:
    return Operation.objects.get()


def test_a_change_sends_what_was_changed_on_top_of_what_is(operator: Client, machine: Domain) -> None:
    fields = form_of(operator, machine, "disk:vda") | {"v-cache": "writeback", "v-serial": "data-1"}
    assert change(operator, machine, fields).status_code == 204
    found = asked()
    assert found.kind == "change_device"
    assert found.parameters["device_id"] == "disk:vda"
    assert found.parameters["base_sha256"] == "a" * 64
    values = found.parameters["values"]
    assert (values["cache"], values["serial"], values["discard"]) == ("writeback", "data-1", "unmap")
    assert values["source_file"] == "/srv/images/web1.qcow2"


def test_a_section_is_changed_by_its_form(operator: Client, machine: Domain) -> None:
    fields = form_of(operator, machine, "section:memory")
    assert (fields["v-current_memory_kib"], fields["v-current_memory_kib-unit"]) == ("2", "GiB")
    assert change(operator, machine, fields | {"v-current_memory_kib": "1.5"}).status_code == 204
    assert asked().parameters["section"] == "memory"
    assert asked().parameters["values"]["current_memory_kib"] == 3 * 2**19
    assert asked().parameters["when"] == "next_start"


def test_what_is_wrong_comes_back_beside_what_was_typed(operator: Client, machine: Domain) -> None:
    fields = form_of(operator, machine, "section:memory") | {"v-current_memory_kib": "much", "v-slots": "7"}
    answer = change(operator, machine, fields)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "A number is meant here" in page
    assert 'name="v-current_memory_kib" value="much"' in page
    assert 'name="v-slots" value="7"' in page
    assert not Operation.objects.exists()


def test_what_contradicts_itself_is_said_in_the_form(operator: Client, machine: Domain) -> None:
    fields = form_of(operator, machine, "section:processor") | {"v-vcpus_current": "9"}
    answer = change(operator, machine, fields)
    assert answer.status_code == 422
    assert 'name="v-vcpus_current" value="9"' in answer.content.decode()
    assert "alert-danger" in answer.content.decode()


def test_a_new_card_is_asked_for_with_all_of_its_form(
    operator: Client, machine: Domain, hypervisor: Hypervisor
) -> None:
    Network.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="lab", active=True, autostart=True, forward_mode="nat"
    )
    fields = form_of(operator, machine, "add:interface")
    assert change(operator, machine, fields | {"v-source_network": "lab"}).status_code == 204
    found = asked()
    assert (found.kind, found.parameters["device_type"]) == ("add_device", "interface")
    assert (found.parameters["values"]["source_network"], found.parameters["values"]["model"]) == ("lab", "virtio")


def test_a_device_of_the_host_is_picked_by_its_name_and_says_who_has_it(
    operator: Client, machine: Domain, make_domain: Callable[..., Domain], hypervisor: Hypervisor
) -> None:
    make_domain(name="db1", parsed={"host_devices": ["pci 0000:03:00.0"]})
    for place, product in (("0000:03:00.0", "Network <card>"), ("0000:04:00.0", "Other card")):
        NodeDevice.objects.create(
            hypervisor=hypervisor, name=place, capability="pci", product=product, host_device=f"pci {place}"
        )
    form = part(operator, machine, "add:hostdev_pci")
    assert "Network &lt;card&gt; · 0000:03:00.0 · held by db1" in form
    fields = form_of(operator, machine, "add:hostdev_pci") | {"host-device": "pci 0000:04:00.0"}
    assert change(operator, machine, fields).status_code == 204
    values = asked().parameters["values"]
    assert [values[name] for name in ("domain", "bus", "slot", "function")] == ["0x0000", "0x04", "0x00", "0x0"]


def test_a_new_disk_is_asked_for_with_its_volume(operator: Client, machine: Domain, hypervisor: Hypervisor) -> None:
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True,
        target_path="/images", available_bytes=2**40, capacity_bytes=2**41,
    )  # fmt: skip
    fields = form_of(operator, machine, "add:disk") | {"disk-size": "0.5"}
    assert (fields["disk-way"], fields["disk-storage"]) == ("new", str(pool.pk))
    assert change(operator, machine, fields).status_code == 204
    wanted = asked().parameters["new_disk"]
    assert (wanted["storage_pool_id"], wanted["capacity_bytes"]) == (pool.pk, 2**29)


def test_who_comes_late_is_told_what_changed_and_keeps_what_was_typed(operator: Client, machine: Domain) -> None:
    fields = form_of(operator, machine, "disk:vda") | {"v-serial": "mine"}
    give_hardware(machine, stored=MACHINE.replace("cache='none'", "cache='unsafe'"), sha256="b" * 64)
    answer = change(operator, machine, fields)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "It was changed since you opened it" in page
    assert "Cache: none, now unsafe" in page
    assert not Operation.objects.exists()
    again = html.fromstring(page)
    [form] = again.xpath("//form[contains(@class, 'vp-hardware-form')]")
    kept = {name: value or "" for name, value in form.form_values()}
    # Their change stands in the form, and mine on top of it.
    assert (kept["v-cache"], kept["v-serial"], kept["base_sha256"]) == ("unsafe", "mine", "b" * 64)
    assert change(operator, machine, kept).status_code == 204
    assert asked().parameters["values"]["cache"] == "unsafe"


def test_lines_that_nobody_has_touched_are_not_taken_for_changed(operator: Client, machine: Domain) -> None:
    lines = MACHINE.replace("<memory ", "<description>one\ntwo</description><memory ", 1)
    give_hardware(machine, stored=lines)
    fields = form_of(operator, machine, "section:general")
    # As browsers send them.
    sent = {name: value.replace("\n", "\r\n") for name, value in fields.items()} | {"v-title": "mine"}
    assert sent["v-description"] == "one\r\ntwo"
    give_hardware(machine, stored=lines.replace("one\ntwo", "theirs"), sha256="b" * 64)
    page = change(operator, machine, sent).content.decode()
    assert "Description: one" in page
    assert ">theirs</textarea>" in page


def test_a_password_is_not_sent_back_with_what_is_wrong(operator: Client, machine: Domain) -> None:
    fields = form_of(operator, machine, "graphics:vnc:0") | {"v-password": "kept-to-myself", "v-keymap": "?!"}
    answer = change(operator, machine, fields)
    assert answer.status_code == 422
    assert "kept-to-myself" not in answer.content.decode()


def test_a_device_is_removed_by_a_question_that_names_it_and_the_machine(operator: Client, machine: Domain) -> None:
    url = f"/vms/{machine.uuid}/hardware/remove/"
    question = operator.get(url, {"show": "disk:vda"}, headers=HTMX).content.decode()
    for text in ("Remove Disk vda of “<bdi>web7</bdi>”?", "/srv/images/web1.qcow2", "is kept"):
        assert text in question
    assert operator.post(url, {"show": "disk:vda", "when": "next_start"}, headers=HTMX).status_code == 204
    assert (asked().kind, asked().parameters["device_id"]) == ("remove_device", "disk:vda")


def test_a_medium_is_put_in_and_taken_out(operator: Client, machine: Domain, hypervisor: Hypervisor) -> None:
    url = f"/vms/{machine.uuid}/hardware/media/"
    assert operator.post(url, {"show": "disk:sda", "do": "insert"}, headers=HTMX).status_code == 422
    assert operator.post(url, {"show": "disk:sda", "do": "eject", "force": "on"}, headers=HTMX).status_code == 204
    assert (asked().kind, asked().parameters["force"]) == ("change_media", True)


def test_when_a_change_applies_is_told_as_it_is_typed(operator: Client, make_domain: Callable[..., Domain]) -> None:
    machine = give_hardware(make_domain(name="runs", state=DomainState.RUNNING), live=MACHINE)
    url = f"/vms/{machine.uuid}/hardware/timing/"
    fields = form_of(operator, machine, "disk:vda")
    changed = operator.post(url, fields | {"v-cache": "unsafe"}, headers=HTMX).content.decode()
    assert "Applies at the next start" in changed
    sound = part(operator, machine, "add:sound")
    assert "Applies at the next start" in sound
    assert 'name="when" value="next_start"' in sound
    card = part(operator, machine, "add:interface")
    assert "Applies now" in card


def test_what_waits_is_said_on_every_tab_and_can_be_thrown_away(
    operator: Client, make_domain: Callable[..., Domain]
) -> None:
    stored = MACHINE.replace("cache='none'", "cache='unsafe'")
    machine = give_hardware(make_domain(name="runs", state=DomainState.RUNNING), live=MACHINE, stored=stored)
    for tab in ("", "hardware/", "history/"):
        page = operator.get(f"/vms/{machine.uuid}/{tab}").content.decode()
        assert "1 change waits for the next start." in page
        assert f"/vms/{machine.uuid}/operations/shut_down_and_start/" in page
        assert f"/vms/{machine.uuid}/operations/revert_pending/" in page
    table = part(operator, machine, "pending")
    for text in ("Disk vda", "Cache", "none: past", "unsafe: lost"):
        assert text in table


def test_what_is_thrown_away_is_what_was_shown(operator: Client, make_domain: Callable[..., Domain]) -> None:
    stored = MACHINE.replace("cache='none'", "cache='unsafe'")
    machine = give_hardware(make_domain(name="runs", state=DomainState.RUNNING), live=MACHINE, stored=stored)
    [form] = html.fromstring(operator.get(f"/vms/{machine.uuid}/hardware/pending/", headers=HTMX).content).xpath(
        "//form[contains(@action, 'revert_pending')]"
    )
    shown = {"base_sha256": form.fields["base_sha256"]}
    assert form.get("data-confirm-of") == form.fields["base_sha256"] == "a" * 64
    url = form.get("action")
    assert operator.post(url, headers=HTMX).status_code == 422
    give_hardware(machine, live=MACHINE, stored=stored.replace("unsafe", "directsync"), sha256="b" * 64)
    refusal = operator.post(url, shown, headers=HTMX)
    assert (refusal.status_code, b"It was changed since you opened it" in refusal.content) == (409, True)
    assert not Operation.objects.exists()
    give_hardware(machine, live=MACHINE, stored=stored)
    assert operator.post(url, shown, headers=HTMX).status_code == 204
    assert (asked().kind, asked().parameters) == ("revert_pending", shown)


def test_a_machine_with_forty_devices_costs_no_more_queries_than_one_with_few(
    operator: Client, make_domain: Callable[..., Domain]
) -> None:
    many = "".join(
        f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/d{number}.qcow2'/>"
        f"<target dev='vd{chr(98 + number // 20)}{chr(97 + number % 20)}' bus='virtio'/></disk>"
        for number in range(40)
    )
    xml = MACHINE.replace("</devices>", f"{many}</devices>")
    few = give_hardware(make_domain(name="few", state=DomainState.RUNNING), live=MACHINE)
    lots = give_hardware(make_domain(name="lots", state=DomainState.RUNNING), live=xml, stored=xml)
    counts = []
    for machine in (few, lots):
        operator.get(f"/vms/{machine.uuid}/hardware/", {"show": "disk:vda"})
        with CaptureQueriesContext(connection) as queries:
            assert operator.get(f"/vms/{machine.uuid}/hardware/", {"show": "disk:vda"}).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= MOST_QUERIES
