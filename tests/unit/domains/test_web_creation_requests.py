"""What the page of a new virtual machine asks for, by each method: once, and only for who may."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import (
    Domain,
    DomainTemplate,
    GuestLogin,
    Hypervisor,
    HypervisorPool,
    Operation,
    Role,
    Volume,
    VolumeHead,
)
from hypervisors.privileges import Privilege
from tests.creation_forms import GIB, HTMX, URL, Form, creation_scene
from tests.roles import bind

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDpX235ytvSD2WGdcRID3mWlplnMDx455TgVBNFbzCrK anna@desk"
XML = (
    "<domain type='qemu'><name>pasted</name><memory unit='MiB'>64</memory>"
    "<os><type arch='x86_64'>hvm</type></os></domain>"
)


@pytest.fixture
def scene(hypervisor: Hypervisor) -> dict[str, Any]:
    return creation_scene(hypervisor)


@pytest.fixture
def form(operator: Client, scene: dict[str, Any]) -> Form:
    return Form(operator, operator.get(URL))


def made(form: Form, do: str = "run", **fields: str) -> Operation:
    """What was asked for, once it was: the page leads on to it."""
    sent = form.send(**fields)
    answer = sent.post(do)
    assert answer.status_code == 204, Form(form.client, answer).problems()
    operation = Operation.objects.get(parent=None)
    assert answer["HX-Redirect"] == f"/operations/{operation.pk}/"
    return operation


def test_an_image_is_installed_from(form: Form, scene: dict[str, Any]) -> None:
    operation = made(form, method="iso", iso=str(scene["iso"].pk), name="installed")
    given = operation.parameters
    assert (operation.kind, operation.subject_name) == ("create_domain", "installed")
    assert (given["method"], given["media"], given["start"]) == ("iso", [scene["iso"].pk], True)
    assert given["install"] is True
    assert given["placement_reason"]
    disk = given["disks"][0]
    assert (disk["action"], disk["storage_pool_id"]) == ("new", scene["storage"].pk)
    assert disk["capacity_bytes"] >= 8 * GIB


def test_a_cloud_image_is_put_under_a_disk_and_the_guest_told(form: Form, scene: dict[str, Any]) -> None:
    chosen = form.send(method="cloud_image", image=str(scene["image"].pk))
    fields = {"interface-1-addressing": "static", "interface-1-address": "198.51.100.7/24"}
    fields |= {"user": "anna", "ssh_keys": f"{KEY}\n", "hostname": "web.example", "packages": "vim, htop"}
    operation = made(chosen, "edit", name="cloudy", password="geheim", user_data="timezone: UTC", **fields)
    given = operation.parameters
    assert (given["start"], given["install"]) == (False, False)
    assert (given["disks"][0]["action"], given["disks"][0]["source_volume_id"]) == ("overlay", scene["image"].pk)
    seed = given["cloud_init"]
    assert (seed["user"], seed["ssh_keys"], seed["hostname"]) == ("anna", [KEY], "web.example")
    assert (seed["packages"], seed["user_data"]) == (["vim", "htop"], "timezone: UTC")
    assert seed["networks"][0]["addresses"] == ["198.51.100.7/24"]
    assert "geheim" not in str(given)


def test_the_last_login_is_remembered_for_the_next_guest(form: Form, scene: dict[str, Any], dora: User) -> None:
    fields = {"method": "cloud_image", "image": str(scene["image"].pk), "user": "anna", "ssh_keys": KEY}
    made(form, "edit", name="first", password="geheim", **fields)
    following = Form(form.client, form.client.get(URL, {"method": "cloud_image"}))
    assert (following.values["user"], following.values["ssh_keys"].strip()) == ("anna", KEY)
    assert following.values["password"] == ""
    assert GuestLogin.objects.get().user.username == "alice"
    form.client.force_login(dora)
    others = Form(form.client, form.client.get(URL, {"method": "cloud_image"}))
    assert (others.values["user"], others.values["ssh_keys"].strip()) == ("", "")


def test_a_disk_is_taken_as_it_is_or_copied(form: Form, scene: dict[str, Any]) -> None:
    sent = form.send(method="import", imported=str(scene["image"].pk), name="imported")
    assert "debian-11-genericcloud-amd64.qcow2" in sent.summary()
    as_it_is = made(sent, imported_way="existing").parameters["disks"][0]
    assert (as_it_is["action"], as_it_is["source_volume_id"]) == ("existing", scene["image"].pk)


def test_a_foreign_image_is_converted(form: Form, scene: dict[str, Any]) -> None:
    disk = {"path": "/images/old.vdi", "format": "vdi", "capacity_bytes": GIB}
    image = Volume.objects.create(storage_pool=scene["storage"], name="old.vdi", **disk)
    fields = {"method": "cloud_image", "image": str(image.pk), "image_way": "copy", "name": "converted"}
    assert made(form, **fields).parameters["disks"][0]["action"] == "import"


def test_the_network_boots_it(form: Form) -> None:
    given = made(form, method="pxe", name="booted").parameters
    assert (given["method"], given["media"], given["install"]) == ("pxe", [], True)
    assert given["spec"]["interfaces"][0]["source"] == "default"


def test_a_tree_is_installed_from(form: Form) -> None:
    url = "http://deb.example/debian/dists/bookworm/main/installer-amd64/"
    given = made(form, method="url_tree", tree_url=url, cmdline="auto=true", name="treed").parameters
    assert (given["tree_url"], given["cmdline"]) == (url, "auto=true")


def test_an_installer_is_answered(form: Form) -> None:
    fields = {"method": "url_tree", "tree_url": "http://deb.example/", "system": "Debian 12", "name": "answered"}
    asked = form.send(answered="on", user="anna", ssh_keys=KEY, timezone="Europe/Prague", **fields)
    assert "a password for the new system" in asked.summary()
    given = made(asked, password="geheim").parameters
    assert (given["method"], given["start"], given.get("cloud_init")) == ("unattended", True, None)
    answers = given["unattended"]
    assert (answers["user"], answers["ssh_keys"], answers["timezone"]) == ("anna", [KEY], "Europe/Prague")
    assert "geheim" not in str(given)
    assert answers["password_hash"]


def test_an_installer_that_cannot_be_answered_from_its_image_says_so(form: Form, scene: dict[str, Any]) -> None:
    sent = form.send(method="iso", iso=str(scene["iso"].pk), answered="on", password="geheim", user="anna")
    assert "from a URL" in sent.error("answered")
    assert form.send(method="iso", iso=str(scene["windows"].pk), answered="on").error("password") == ""


def test_a_tree_has_the_url_of_a_web_server(form: Form) -> None:
    for url in ("file:///etc", "ftp://x/", "http://", "http://[", "no url"):
        assert form.send(method="url_tree", tree_url=url).error("tree_url")


def test_several_are_parts_of_one_operation(form: Form) -> None:
    operation = made(form, "edit", method="pxe", name="web", count="3")
    assert operation.kind == "bulk"
    names = Operation.objects.filter(parent=operation).values_list("subject_name", flat=True)
    assert sorted(names) == ["web-1", "web-2", "web-3"]


def test_several_disks_and_cards_are_asked_for(form: Form) -> None:
    sent = form.send("add-disk", method="pxe", name="wide").send("add-interface")
    given = made(
        sent, **{"disk-2-size": "3", "disk-2-format": "raw", "interface-2-mac": "52:54:00:AA:BB:CC"}
    ).parameters
    assert [disk["format"] for disk in given["disks"]] == ["qcow2", "raw"]
    assert given["disks"][1]["capacity_bytes"] == 3 * GIB
    assert given["spec"]["interfaces"][1]["mac"] == "52:54:00:aa:bb:cc"


def test_pasted_xml_is_defined(form: Form) -> None:
    wrong = form.send(method="xml", xml="<domain>")
    assert wrong.error("xml")
    operation = made(wrong, "edit", method="xml", xml=XML)
    assert (operation.kind, operation.subject_name) == ("create_domain_from_xml", "pasted")


def test_xml_is_for_who_manages_its_host(client: Client, scene: dict[str, Any], charlie: User) -> None:
    privileges = [Privilege.DOMAIN_VIEW, Privilege.DOMAIN_CREATE, Privilege.STORAGE_VIEW, Privilege.HYPERVISOR_VIEW]
    Role.objects.create(key="maker", name="Maker", privileges=privileges)
    bind(charlie, "maker")
    client.force_login(charlie)
    form = Form(client, client.get(URL))
    assert "method-xml" not in form.text
    refused = form.send("run", method="xml", xml=XML)
    assert refused.answer.status_code == 422
    assert "only who manages that" in refused.summary()
    assert not Operation.objects.exists()
    assert made(form, method="pxe", name="allowed").subject_name == "allowed"


def test_a_template_leads_on_to_the_dialog_that_clones_it(form: Form, make_domain: Callable[..., Domain]) -> None:
    source = make_domain(name="golden", is_template=True)
    template = DomainTemplate.objects.create(name="golden", hypervisor_pool=HypervisorPool.objects.get(), domain=source)
    assert "create-next" not in form.send(method="template").text
    chosen = form.send(method="template", template=str(template.pk))
    assert f"/vms/{source.uuid}/clone/" in chosen.page.get_element_by_id("create-next").get("href")


def test_an_appliance_leads_on_to_its_page(form: Form, scene: dict[str, Any]) -> None:
    chosen = form.send(method="appliance", appliance=str(scene["vmdk"].pk))
    assert chosen.page.get_element_by_id("create-next").get("href") == f"/appliances/new/?volume={scene['vmdk'].pk}"


def test_the_history_leads_to_what_is_made_and_not_to_its_host(form: Form) -> None:
    operation = made(form, method="pxe", name="listed")
    assert f'href="/operations/{operation.pk}/"' in form.client.get("/operations/").content.decode()
    task = form.client.get("/tasks/").json()["tasks"][0]
    assert task["url"] == f"/operations/{operation.pk}/"


def test_the_page_of_an_operation_knows_what_was_told_before_it_was_read(form: Form) -> None:
    operation = made(form, method="pxe", name="quick")
    assert "data-seq=" in form.client.get(f"/operations/{operation.pk}/").content.decode()


def test_the_second_click_leads_to_what_the_first_asked_for(form: Form) -> None:
    sent = form.send(method="pxe", name="once")
    first, second = sent.post("run"), sent.post("run")
    assert first["HX-Redirect"] == second["HX-Redirect"]
    assert Operation.objects.count() == 1


def test_what_is_refused_can_be_sent_again(form: Form, make_domain: Callable[..., Domain]) -> None:
    sent = form.send(method="pxe", name="taken")
    other = make_domain(name="taken")
    refused = sent.send("run")
    assert refused.answer.status_code == 422
    assert "exists already" in refused.error("name")
    assert (refused.values["name"], refused.values["method"]) == ("taken", "pxe")
    other.delete()
    assert refused.post("run").status_code == 204


def test_without_script_a_browser_is_redirected(form: Form) -> None:
    sent = form.send(method="pxe", name="plain")
    answer = form.client.post(URL, {**sent.values, "do": "run"})
    assert (answer.status_code, answer["Location"]) == (302, f"/operations/{Operation.objects.get().pk}/")


def test_an_image_that_is_refused_says_why_and_is_not_used(form: Form, scene: dict[str, Any]) -> None:
    VolumeHead.objects.create(
        volume=scene["iso"], read_at=timezone.now(), format="gzip", problem="It is packed with gzip."
    )
    sent = form.send("run", method="iso", iso=str(scene["iso"].pk), name="packed")
    assert sent.error("iso") == "It is packed with gzip."
    assert not Operation.objects.exists()


def test_the_xml_that_is_shown_is_what_libvirt_is_given(form: Form) -> None:
    shown = form.send(method="pxe", name="a, <b> & 'c'").post("show-xml")
    assert shown["HX-Retarget"] == "#dialog-content"
    text = shown.content.decode()
    assert "a, &amp;lt;b&amp;gt; &amp;amp; " in text
    assert not Operation.objects.exists()


def test_what_failed_is_filled_in_again_without_its_secrets(form: Form, scene: dict[str, Any]) -> None:
    fields = {"method": "cloud_image", "image": str(scene["image"].pk), "image_way": "copy", "user": "anna"}
    sent = form.send("add-disk", memory="1536", memory_unit="MiB", **fields)
    operation = made(sent, name="again", password="geheim", **{"disk-2-size": "5"})
    again = Form(form.client, form.client.get(URL, {"again": operation.pk}))
    expected = {"name": "again", "image": str(scene["image"].pk), "image_way": "copy", "memory": "1.5"}
    expected |= {"memory_unit": "GiB", "disk-2-size": "5", "disk-2-unit": "GiB", "password": "", "host": "best"}
    assert {name: again.values[name] for name in expected} == expected


def test_nothing_is_filled_in_of_what_one_may_not_see(form: Form, client: Client, charlie: User) -> None:
    operation = made(form, method="pxe", name="secret-name")
    elsewhere = HypervisorPool.objects.create(name="elsewhere")
    bind(charlie, "operator", elsewhere)
    client.force_login(charlie)
    for again in (operation.pk, "no-uuid"):
        answer = client.get(URL, {"again": again})
        assert answer.status_code == 200
        assert "secret-name" not in answer.content.decode()


def test_a_pool_that_one_may_not_make_machines_in_cannot_be_named(
    form: Form, client: Client, charlie: User, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    elsewhere = HypervisorPool.objects.create(name="elsewhere")
    make_hypervisor(hypervisor_pool=elsewhere, name="far")
    bind(charlie, "operator", elsewhere)
    client.force_login(charlie)
    values = form.values | {"method": "pxe", "name": "smuggled", "do": "run"}
    client.post(URL, values, headers=HTMX)
    assert not Operation.objects.filter(
        subject_name="smuggled", hypervisor=Hypervisor.objects.get(name="host1")
    ).exists()
