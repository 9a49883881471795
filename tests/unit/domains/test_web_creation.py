"""The page of a new virtual machine: what it suggests, what it says against what is filled in, what it asks for."""

from typing import Any

import pytest
from django.test import Client

from hypervisors.models import Domain, Hypervisor
from tests.creation_forms import URL, Form, creation_scene

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]


@pytest.fixture
def scene(hypervisor: Hypervisor) -> dict[str, Any]:
    return creation_scene(hypervisor)


@pytest.fixture
def form(operator: Client, scene: dict[str, Any]) -> Form:
    return Form(operator, operator.get(URL))


def test_the_system_is_seen_in_the_chosen_image_and_everything_follows_it(form: Form, scene: dict[str, Any]) -> None:
    assert form.values["system"] == "Generic"
    chosen = form.send(iso=str(scene["iso"].pk))
    assert chosen.values["system"] == "Debian 11"
    assert chosen.values["name"] == "debian11"
    assert (chosen.values["memory"], chosen.values["memory_unit"]) == ("1", "GiB")
    assert "from debian-11.6.0-amd64-netinst.iso" in chosen.summary()
    windows = chosen.send(iso=str(scene["windows"].pk))
    assert windows.values["system"] == "Microsoft Windows 11"
    assert (windows.values["memory"], windows.values["disk-1-size"]) == ("8", "128")
    assert "drivers" in windows.values


def test_what_somebody_changed_stays_is_marked_and_can_be_taken_back(form: Form, scene: dict[str, Any]) -> None:
    changed = form.send(memory="1536", memory_unit="MiB", name="mine")
    assert "reset:memory" in changed.text
    followed = changed.send(iso=str(scene["iso"].pk))
    assert (followed.values["memory"], followed.values["memory_unit"]) == ("1536", "MiB")
    assert followed.values["name"] == "mine"
    assert "1.5 GiB" in followed.summary()
    taken_back = followed.send("reset:memory")
    assert (taken_back.values["memory"], taken_back.values["memory_unit"]) == ("1", "GiB")
    assert "reset:memory" not in taken_back.text
    assert taken_back.values["name"] == "mine"


def test_a_name_that_exists_is_said_while_it_is_typed(form: Form, domain: Domain) -> None:
    assert "exists already" in form.send(name="web1").error("name")
    assert "“/”" in form.send(name="a/b").error("name")
    assert form.send(name="a, <b> & 'c' \"d\"").error("name") == ""
    assert "exists already" in form.send(name="web{n}", count="3").error("name")


def test_names_of_several_are_numbered(form: Form) -> None:
    assert "web-1, web-2, web-3" in form.send(name="web", count="3").text
    assert "a01z, a02z" in form.send(name="a{nn}z", count="10").text
    assert form.send(count="0").error("count")
    assert form.send(count="1000").error("count")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", "0"),
        ("memory", "nan"),
        ("memory", "1e999"),
        ("memory", "99999999"),
        ("memory", "-1"),
        ("vcpus", "0"),
        ("vcpus", "1.5"),
        ("vcpus", "²"),
        ("disk-1-size", "0"),
        ("disk-1-size", "abc"),
        ("disk-1-size", "99999999"),
        ("interface-1-mac", "zz:zz"),
        ("interface-1-mac", "01:00:00:00:00:00"),
        ("system", "no such system"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(form: Form, field: str, value: str) -> None:
    assert form.send(**{field: value}).error(field)


def test_an_empty_field_is_no_error_before_it_is_to_be_made(form: Form) -> None:
    looked = form.send()
    assert looked.error("iso") == ""
    assert "Still needed: an ISO image" in looked.summary()
    made = form.send("run")
    assert made.answer.status_code == 422
    assert made.error("iso") == "This is needed."


def test_disks_and_cards_are_added_and_taken_away(form: Form) -> None:
    two = form.send("add-disk").send("add-interface")
    assert (two.values["disk-2-size"], two.values["interface-2-network"]) == ("20", "network:default")
    assert "disk-1-size" not in two.send("remove-disk:1").values
    assert "interface-2-model" not in two.send("remove-interface:2").values


def test_a_disk_of_an_image_is_at_least_as_large(form: Form, scene: dict[str, Any]) -> None:
    sent = form.send(method="cloud_image", image=str(scene["image"].pk))
    assert "cannot be smaller" in sent.send(**{"disk-1-size": "1"}).error("disk-1-size")
    assert sent.error("disk-1-size") == ""
    assert "on top of debian-11-genericcloud-amd64.qcow2" in sent.summary()
    foreign = form.send(method="cloud_image", image=str(scene["vmdk"].pk))
    assert "copy it" in foreign.error("image_way")


def test_each_host_says_why_it_cannot_take_it(form: Form) -> None:
    sent = form.send(memory="15")
    assert "15.0 GiB are needed" in sent.error("host")
    Hypervisor.objects.update(admin_state="maintenance")
    assert "maintenance" in form.send().text


def test_an_image_or_a_host_can_be_named_in_the_address(operator: Client, scene: dict[str, Any]) -> None:
    host = Hypervisor.objects.get()
    named = Form(operator, operator.get(URL, {"image": scene["iso"].pk, "host": host.pk}))
    assert (named.values["method"], named.values["iso"]) == ("iso", str(scene["iso"].pk))
    assert named.values["host"] == str(host.pk)
    cloud = Form(operator, operator.get(URL, {"image": scene["image"].pk}))
    assert (cloud.values["method"], cloud.values["image"]) == ("cloud_image", str(scene["image"].pk))


def test_quotes_and_commas_come_back_as_they_were_typed(form: Form) -> None:
    hostile = "a,b='\"<&]]>;$(x)`\\"
    fields = {"title": hostile, "description": hostile, "user": hostile, "cmdline": hostile, "user_data": hostile}
    sent = form.send(**fields)
    assert {name: sent.values[name] for name in fields} == fields


def test_nobody_without_the_right_gets_the_page(client: Client, bob: Any, charlie: Any) -> None:
    for user in (bob, charlie):
        client.force_login(user)
        assert client.get(URL).status_code == 404
        assert client.post(URL, {"do": "run"}).status_code == 404
