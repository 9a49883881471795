"""Whatever a browser sends of a machine's hardware, the form comes back or it is asked for: no answer is a 5xx."""

import random

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import html

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import list_devices
from hypervisors.libvirtxml.hardware.sections import SECTIONS
from hypervisors.models import Domain, Operation
from tests.hardware_pages import MACHINE
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

PARTS = [
    *(f"section:{key}" for key in SECTIONS),
    *(f"device:{device.id}" for device in list_devices(MACHINE)),
    *(f"add:{key}" for key in DEVICE_TYPES),
    *("choose", "pending", "section:none", "device:none", "device:", "add:none", "::"),
]
HOSTILE = [
    *("", " ", "-1", "0x10", "9" * 17, "9" * 5000, "٣", "²", "1 2", "0 0 0\n0 0 0\n", "0-99999999999", "^1", "5-1"),
    *("a\nb", "x" * 20_000, "\u202egpj.\u2066", "\U0010ffff", "'\"><b>", "{}", "../../etc/passwd", "/../x", "NaN"),
    *("<a/>", "<disk/>", "<interface type='network'/>", "<?xml version='1.0'?><disk/>", "<a>" * 1000, "on", "now"),
    *("<graphics type='vnc'><listen/>", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><disk>&b;</disk>"),
    "next_start",
]
ROUNDS = 2


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("admin", password="an-administrator-of-all"))
    return client


def fields_of(browser: Client, domain: Domain, part: str) -> dict[str, str]:
    page = browser.get(f"/vms/{domain.uuid}/hardware/part/", {"show": part}).content
    controls = html.fromstring(page).iter("input", "select", "textarea") if page.strip() else ()
    return {str(one.get("name")): str(one.get("value") or "") for one in controls if one.get("name")} | {"show": part}


@pytest.mark.parametrize("is_running", [False, True], ids=["off", "running"])
@pytest.mark.parametrize("part", PARTS)
def test_hostile_forms_of_hardware(part: str, is_running: bool, browser: Client, domain: Domain) -> None:
    define(domain, live_xml=MACHINE if is_running else "", inactive_xml=MACHINE)
    draw, fields = random.Random(part), fields_of(browser, domain, part)
    others = [name for name in fields if name != "show"] or ["when"]
    at = f"/vms/{domain.uuid}/hardware/"
    for _round in range(ROUNDS):
        given = fields | {name: draw.choice(HOSTILE) for name in draw.sample(others, min(len(others), 3))}
        if draw.random() < 0.3:
            given |= {"tab": "xml", "xml": draw.choice(HOSTILE)}
        given.pop(draw.choice(others) if draw.random() < 0.2 else "", None)
        headers = {"HX-Request": "true"} if draw.random() < 0.5 else {}
        for path in ("timing/", "change/"):
            assert browser.post(at + path, given, headers=headers).status_code < 500, (path, given)
        # The next one is not refused for this one's sake.
        Operation.objects.all().delete()
    given = {"show": part.removeprefix("device:"), "do": "insert", "volume": draw.choice(HOSTILE)}
    for path in ("remove/", "media/"):
        assert browser.post(at + path, given).status_code < 500, (path, given)
