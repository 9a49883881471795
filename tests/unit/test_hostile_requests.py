"""Whatever a browser sends, no route answers 5xx: ids, parameters, forms, encodings and cookies that nobody means."""

import random
import re
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from hypervisors.models import (
    Domain,
    DomainSnapshot,
    HostSecret,
    Hypervisor,
    Network,
    NetworkFilter,
    SnapshotSchedule,
    StoragePool,
    Volume,
)
from tests.doors import address, all_routes, arguments_of, field_names
from tests.hardware_pages import MACHINE
from tests.rows import define, make_operation

ROUTES = all_routes()
NUMBERS = ["0", "-1", "2147483648", "9223372036854775807", "9223372036854775808", "9" * 20, "9" * 5000, "٣"]
TEXTS = ["", "\0", "a\0b", "x" * 20_000, "\u202egpj.\u2066", "\ud7ff\U0010ffff", "'\"><b>", "\r\nSet-Cookie: a=b"]
ODD = [
    "NaN",
    "inf",
    "[]",
    "{}",
    "../../etc/passwd",
    "2026-13-45",
    "0001-01-01",
    "9999-12-31",
    "on",
    "%(name)s {0}",
    "²",
]
HOSTILE = NUMBERS + TEXTS + ODD
BYTES = ["%00", "%ff%fe", "%ed%a0%80", "%c0%80", "%", "%zz", "%u0000", ";", "&&=&", "a[]=1&a[]=2", "%2e%2e%2f"]
FIELD = re.compile(rb'name="([^"]+)"')
ROUNDS = 12

pytestmark = pytest.mark.usefixtures("redis_client")
# It answers 503 while something is not well, as nothing is in a test.
ROUTES.pop("healthz")
every_route = pytest.mark.parametrize(("route", "pattern"), ROUTES.items(), ids=ROUTES)


@pytest.fixture
def scene(domain: Domain, hypervisor: Hypervisor) -> dict[str, Any]:
    """What exists, by the names of the URLs' arguments: no route is turned away for that alone."""
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True
    )
    Volume.objects.create(storage_pool=pool, name="disk.qcow2", key="/x", path="/x")
    operation = make_operation(domain=domain, kind="start", state="queued")
    return {"uuid": domain.uuid, "operation_id": operation.pk, "test_id": "nothing", "kind": "rename"}


@pytest.fixture
def full_scene(scene: dict[str, Any], domain: Domain, hypervisor: Hypervisor) -> dict[str, Any]:
    """With hardware, networks, snapshots and what else a host lists: more code is reached, and pages take longer."""
    define(domain, live_xml=MACHINE, inactive_xml=MACHINE)
    listed = {"hypervisor": hypervisor, "uuid": uuid4()}
    network = "<network><name>lab</name><ip address='10.9.0.1' prefix='24'/></network>"
    Network.objects.create(
        **listed, name="lab", active=True, autostart=True, forward_mode="nat", kind="nat", definition_xml=network
    )
    NetworkFilter.objects.create(**listed, name="clean", xml="<filter name='clean'/>")
    HostSecret.objects.create(**listed, usage_type="ceph", usage="client.a")
    DomainSnapshot.objects.create(domain=domain, name="one", kind="internal", xml="<domainsnapshot/>")
    SnapshotSchedule.objects.create(
        domain=domain, prefix="auto", mode="internal", frequency="daily", next_run_at=timezone.now()
    )
    return scene


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("admin", password="an-administrator-of-all")


@pytest.fixture
def browser(admin: User, client: Client) -> Client:
    """An administrator's: whoever may most meets most code."""
    client.raise_request_exception = False
    client.force_login(admin)
    return client


def given_for(route: str, scene: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """Arguments that mostly exist: the first storage pool, volume, host and pool, or the second person."""
    keys = {
        "networks/filters/create": Hypervisor.objects.get(),
        "networks/filters": NetworkFilter.objects.first(),
        "networks": Network.objects.first(),
        "snapshots": DomainSnapshot.objects.first(),
        "snapshot-schedules": SnapshotSchedule.objects.first(),
        "storage/secrets": HostSecret.objects.first(),
        "people": User.objects.order_by("pk").last(),
        "hypervisors/pools": Hypervisor.objects.get().hypervisor_pool,
        "hypervisors": Hypervisor.objects.get(),
        "tree": Hypervisor.objects.get(),
        "storage/volumes": Volume.objects.first(),
        "storage": StoragePool.objects.first(),
    }
    row = next((row for prefix, row in keys.items() if route.startswith(prefix)), None)
    kinds = ["start", "rename", "describe", "set_autostart", "force_off", "migrate", "create_volume"]
    return scene | {"pk": getattr(row, "pk", 1), "kind": draw.choice(kinds)}


@every_route
def test_hostile_arguments(route: str, pattern: URLPattern, browser: Client, scene: dict[str, Any], bob: User) -> None:
    for name in arguments_of(route):
        for value in HOSTILE:
            path = address(route, scene | {name: value})
            for method in (browser.get, browser.head, browser.post):
                assert method(path).status_code < 500, (method, path[:200])
        for raw in BYTES:
            path = address(route, scene | {name: "RAW"}).replace("RAW", raw.replace("?", ""))
            assert browser.get(path).status_code < 500, path


@every_route
def test_hostile_parameters(route: str, pattern: URLPattern, browser: Client, scene: dict[str, Any], bob: User) -> None:
    draw = random.Random(route)
    path = address(route, given_for(route, scene, draw))
    page = browser.get(path)
    names = field_names() + sorted({name.decode() for name in FIELD.findall(page.content)})
    for name in names:
        value = draw.choice(HOSTILE)
        assert browser.get(path, {name: value}).status_code < 500, (path, name, value[:50])
    for raw in BYTES:
        assert browser.get(f"{path}?q={raw}&page={raw}&{raw}").status_code < 500, (path, raw)


@every_route
def test_hostile_forms(
    route: str, pattern: URLPattern, browser: Client, admin: User, full_scene: dict[str, Any], bob: User
) -> None:
    draw = random.Random(route)
    names = field_names()
    for _round in range(ROUNDS):
        browser.force_login(admin)
        path = address(route, given_for(route, full_scene, draw))
        names += sorted({name.decode() for name in FIELD.findall(browser.get(path).content)} - {*names})
        values = {name: draw.choice(HOSTILE) for name in draw.sample(names, min(len(names), 12))}
        headers = {"HX-Request": "true"} if draw.random() < 0.5 else {}
        for content in (values, {name: value.replace("\0", "") for name, value in values.items()}):
            answer = browser.post(path, content, headers=headers)
            assert answer.status_code < 500, (path, {name: value[:40] for name, value in content.items()})


FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'


@pytest.mark.parametrize("charset", ["utf-7", "utf-16", "latin-1", "no-such", "'"])
@pytest.mark.parametrize(("kind", "body"), [(FORM, b"name=+AGEA-&title=%ff"), (PARTS, PART)])
def test_other_encodings_are_refused(charset: str, kind: str, body: bytes, browser: Client, domain: Domain) -> None:
    content_type = f"{kind}; charset={charset}"
    for path in ("/vms/", "/accounts/login/", f"/vms/{domain.uuid}/operations/rename/", "/no/such/page"):
        for url in (path, f"{path}?q=+AGEA-%ff"):
            for method in ("GET", "POST"):
                assert browser.generic(method, url, body, content_type=content_type).status_code == 400
    assert browser.generic("POST", "/vms/", body, content_type=f"{kind}; charset=UTF-8").status_code == 405


@pytest.mark.parametrize("body", [b"", b"--x", PART.replace(b'"a"', b'"a\0"'), PART[:-6]])
@pytest.mark.parametrize("boundary", ["", "; boundary=x", "; boundary=\xff", "; boundary=" + "x" * 300])
def test_broken_bodies_are_no_fault_of_ours(body: bytes, boundary: str, browser: Client) -> None:
    answer = browser.generic("POST", "/hypervisors/add/", body, content_type=f"multipart/form-data{boundary}")
    assert answer.status_code < 500


@pytest.mark.parametrize(
    "path", ["/vms/?q=%00", "/vms/?%00=1", "/vms/%00/", "/audit/?q=a%00b", "/accounts/login/?next=%00"]
)
def test_nul_is_refused(path: str, browser: Client) -> None:
    assert browser.get(path).status_code == 400
    assert Client().get(path).status_code == 400
    assert browser.post("/accounts/login/", {"login": "a\0b", "password": "x"}).status_code == 400


def test_nul_in_a_cookie_is_refused(db: None) -> None:
    client = Client()
    client.cookies.load('sessionid="abcdefgh\\000ijkl"')
    assert client.get("/vms/").status_code == 400


@every_route
def test_head_answers_like_get(
    route: str, pattern: URLPattern, browser: Client, admin: User, scene: dict[str, Any], bob: User
) -> None:
    path = address(route, given_for(route, scene, random.Random(route)))
    for headers in ({}, {"HX-Request": "true"}):
        browser.force_login(admin)
        got = browser.get(path, headers=headers)
        browser.force_login(admin)
        head = browser.head(path, headers=headers)
        assert head.status_code == got.status_code
        assert head.content == b""
        assert head.get("Location") == got.get("Location")


@every_route
def test_nothing_is_kept_by_browsers(
    route: str, pattern: URLPattern, browser: Client, scene: dict[str, Any], bob: User
) -> None:
    path = address(route, given_for(route, scene, random.Random(route)))
    for method in (browser.get, browser.post, Client().get, Client(enforce_csrf_checks=True).post):
        assert "no-store" in method(path)["Cache-Control"]
