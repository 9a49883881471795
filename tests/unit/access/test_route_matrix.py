"""Who gets in: every route, socket and kind of console, for every role, by every method.

A route without a row fails, and so does a row without a route. `ROWS` has one line for each: the answers to GET and to
POST of what is in the person's reach, and the answers to GET and POST of what is not. A letter for each of `PEOPLE`:

    i  let in                    s  sent to sign in
    r  refused: may see it, but not do this (403)
    h  hidden, like what does not exist (404)
    m  no such method (405)
"""

from typing import Any, get_args
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from hypervisors.console.access import find_domain
from hypervisors.live.routing import websocket_urlpatterns
from hypervisors.models import (
    Domain,
    DomainDefinition,
    DomainSnapshot,
    DomainTemplate,
    HostSecret,
    Hypervisor,
    HypervisorPool,
    Network,
    NetworkFilter,
    SharedStorage,
    SnapshotSchedule,
    StoragePool,
    Volume,
)
from hypervisors.models.consoles.grants import ConsoleMode
from hypervisors.states import DomainState
from tests.doors import address, all_routes, arguments_of
from tests.roles import bind
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")

PEOPLE = ["anonymous", "stranger", "viewer", "vm_user", "pool_viewer", "pool_operator", "operator", "administrator"]

ROWS = {
    "healthz": "iiiiiiii mmmmmmmm",
    "accounts/signup/": "hhhhhhhh hhhhhhhh",
    "accounts/email/": "hhhhhhhh hhhhhhhh",
    "accounts/confirm-email/": "hhhhhhhh hhhhhhhh",
    "accounts/confirm-email/<str:key>/": "hhhhhhhh hhhhhhhh",
    "accounts/password/reset/": "hhhhhhhh hhhhhhhh",
    "accounts/password/reset/<path:rest>": "hhhhhhhh hhhhhhhh",
    "accounts/password/set/": "hhhhhhhh hhhhhhhh",
    "accounts/login/code/confirm/": "hhhhhhhh hhhhhhhh",
    "accounts/login/": "iiiiiiii iiiiiiii",
    "accounts/logout/": "iiiiiiii iiiiiiii",
    "accounts/inactive/": "iiiiiiii mmmmmmmm",
    "accounts/reauthenticate/": "siiiiiii siiiiiii",
    "accounts/password/change/": "siiiiiii siiiiiii",
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": "hhhhhhhh hhhhhhhh",
    "accounts/password/reset/key/done/": "hhhhhhhh hhhhhhhh",
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": "hhhhhhhh hhhhhhhh",
    "accounts/password/reset/done/": "hhhhhhhh hhhhhhhh",
    "accounts/2fa/": "siiiiiii smmmmmmm",
    "accounts/2fa/authenticate/": "siiiiiii siiiiiii",
    "accounts/2fa/reauthenticate/": "siiiiiii siiiiiii",
    "accounts/2fa/totp/activate/": "siiiiiii siiiiiii",
    "accounts/2fa/totp/deactivate/": "shhhhhhh shhhhhhh",
    "accounts/2fa/recovery-codes/": "shhhhhhh smmmmmmm",
    "accounts/2fa/recovery-codes/generate/": "siiiiiii siiiiiii",
    "accounts/2fa/recovery-codes/download/": "shhhhhhh shhhhhhh",
    "": "siiiiiii smmmmmmm",
    "search/": "siiiiiii smmmmmmm",
    "tree/": "siiiiiii smmmmmmm",
    "tree/hypervisors/<row:pk>/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/": "siiiiiii smmmmmmm",
    "vms/places/": "siiiiiii smmmmmmm",
    "vms/new/": "shhhhiii shhhhiii",
    "vms/usage.json": "siiiiiii smmmmmmm",
    "vms/operations/<str:kind>/": "smmmmmmm siiiiiii",
    "vms/operations/<str:kind>/preflight/": "smmmmmmm siiiiiii",
    "vms/<uuid:uuid>/operations/<str:kind>/": "smmmmmmm shririii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/forms/<str:kind>/": "shririii smmmmmmm shhhhhii smmmmmmm",
    "vms/delete/": "smmmmmmm siiiiiii",
    "vms/<uuid:uuid>/clone/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/template/": "shrrriii shrrriii shhhhhii shhhhhii",
    "templates/": "siiiiiii smmmmmmm",
    "templates/<row:pk>/edit/": "shrrriii shrrriii shhhhhii shhhhhii",
    "templates/<row:pk>/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/delete/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/leftovers/": "shrrriii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/delete-protection/": "smmmmmmm shririii smmmmmmm shhhhhii",
    "appliances/new/": "shhhhiii smmmmmmm",
    "storage/volumes/<row:pk>/appliance/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/volumes/<row:pk>/import/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/export/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/migrate/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/screen/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/disks/move/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/disks/images/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/guest/channel/": "smmmmmmm shririii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/screen-picture/": "shiiiiii shiiiiii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/history/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/access/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/hardware/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/hardware/list/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/hardware/part/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/hardware/pending/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/hardware/timing/": "smmmmmmm shririii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/hardware/change/": "smmmmmmm shririii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/hardware/media/": "smmmmmmm shririii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/hardware/remove/": "shririii shririii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/snapshots/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/snapshots/take/": "shrrriii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/snapshots/schedule/": "shrrriii shrrriii shhhhhii shhhhhii",
    "snapshots/<row:pk>/picture/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "snapshots/<row:pk>/revert/": "shrrriii shrrriii shhhhhii shhhhhii",
    "snapshots/<row:pk>/delete/": "shrrriii shrrriii shhhhhii shhhhhii",
    "snapshots/<row:pk>/xml/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "snapshots/<row:pk>/xml/news/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "snapshots/<row:pk>/xml/versions/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "snapshots/<row:pk>/xml/outcome/<uuid:operation_id>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "snapshots/<row:pk>/describe/": "shrrriii shrrriii shhhhhii shhhhhii",
    "snapshot-schedules/<row:pk>/": "shrrriii shrrriii shhhhhii shhhhhii",
    "snapshot-schedules/<row:pk>/take-over/": "smmmmmmm shrrriii smmmmmmm shhhhhii",
    "snapshot-schedules/<row:pk>/remove/": "smmmmmmm shrrriii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/xml/": "shiiiiii shrrriii shhhhhii shhhhhii",
    "vms/<uuid:uuid>/xml/news/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/xml/versions/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/xml/outcome/<uuid:operation_id>/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/buttons/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/band/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/installation/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/menu/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/usage.json": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/console/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/console/grant/": "smmmmmmm shiiiiii smmmmmmm shhhhhii",
    "vms/<uuid:uuid>/console/viewers/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/console/disconnect/": "smmmmmmm shhhhhhh smmmmmmm shhhhhhh",
    "tasks/": "siiiiiii smmmmmmm",
    "operations/": "siiiiiii smmmmmmm",
    "operations/<uuid:operation_id>/": "shiiiiii smmmmmmm shhhhhii smmmmmmm",
    "operations/<uuid:operation_id>/cancel/": "smmmmmmm shrrriii smmmmmmm shhhhhii",
    "hypervisors/add/": "shhhhiii shhhhiii",
    "hypervisors/test/": "smmmmmmm shhhhiii",
    "hypervisors/tests/<token:test_id>/": "shhhhiii smmmmmmm",
    "hypervisors/key-pair/": "smmmmmmm shhhhiii",
    "hypervisors/<row:pk>/edit/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "hypervisors/<row:pk>/test/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "hypervisors/<row:pk>/admin-state/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "hypervisors/<row:pk>/remove/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "hypervisors/": "shhhhiii smmmmmmm",
    "hypervisors/<row:pk>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/<row:pk>/vms/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/<row:pk>/storage/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/<row:pk>/networks/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/<row:pk>/usage.json": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/pools/add/": "shhhhrii shhhhrii",
    "hypervisors/pools/<row:pk>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/pools/<row:pk>/edit/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "hypervisors/pools/<row:pk>/remove/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/": "shhhhiii smmmmmmm",
    "storage/pools/create/": "shhhhiii shhhhiii",
    "storage/shared/<row:pk>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/<row:pk>/start/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/<row:pk>/stop/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/<row:pk>/autostart/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/<row:pk>/refresh/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/<row:pk>/prove/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/<row:pk>/delete/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/edit/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/xml/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/xml/news/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/<row:pk>/xml/versions/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/<row:pk>/xml/outcome/<uuid:operation_id>/": "shhhhhhh smmmmmmm shhhhhhh smmmmmmm",
    "storage/volumes/<row:pk>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "networks/map/": "shhhhiii smmmmmmm",
    "networks/filters/": "shhhhiii smmmmmmm",
    "networks/filters/create/<row:pk>/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "networks/filters/<row:pk>/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "networks/filters/<row:pk>/delete/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "hypervisors/<row:pk>/devices/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/<row:pk>/secrets/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "hypervisors/<row:pk>/secrets/create/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/secrets/<row:pk>/value/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/secrets/<row:pk>/delete/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "networks/": "shhhhiii smmmmmmm",
    "networks/create/": "shhhhiii shhhhiii",
    "networks/<row:pk>/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "networks/<row:pk>/operations/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "networks/<row:pk>/entries/add/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "networks/<row:pk>/entries/remove/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "networks/<row:pk>/start/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "networks/<row:pk>/stop/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "networks/<row:pk>/restart/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "networks/<row:pk>/autostart/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "networks/<row:pk>/delete/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "networks/<row:pk>/edit/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "networks/<row:pk>/xml/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "networks/<row:pk>/xml/news/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "networks/<row:pk>/xml/versions/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "networks/<row:pk>/xml/outcome/<uuid:operation_id>/": "shhhhhhh smmmmmmm shhhhhhh smmmmmmm",
    "hypervisors/processes/": "shhhhhii smmmmmmm",
    "vms/<uuid:uuid>/roles/": "smmmmmmm shrrriii smmmmmmm shhhhhii",
    "profile/": "siiiiiii smmmmmmm",
    "people/": "shhhhhhi smmmmmmm",
    "people/add/": "shhhhhhi shhhhhhi",
    "people/<row:pk>/": "shhhhhhi smmmmmmm shhhhhhi smmmmmmm",
    "people/<row:pk>/role/": "smmmmmmm shhhhhhi smmmmmmm shhhhhhi",
    "people/<row:pk>/roles/": "smmmmmmm shhhhhhi smmmmmmm shhhhhhi",
    "people/<row:pk>/active/": "smmmmmmm shhhhhhi smmmmmmm shhhhhhi",
    "people/<row:pk>/password/": "smmmmmmm shhhhhhi smmmmmmm shhhhhhi",
    "people/<row:pk>/second-factor/": "smmmmmmm shhhhhhi smmmmmmm shhhhhhi",
    "audit/": "shhhhhhi smmmmmmm",
    "storage/<row:pk>/volumes/create/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/volumes/create/xml/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/uploads/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/<row:pk>/fetch/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/uploads/<token:token>/": "shhhhhhh smmmmmmm",
    "storage/<row:pk>/operations/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/volumes/<row:pk>/xml/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/volumes/<row:pk>/menu/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/volumes/<row:pk>/resize/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/volumes/<row:pk>/clone/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/volumes/<row:pk>/convert/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/volumes/<row:pk>/wipe/": "shhhhiii shhhhiii shhhhhii shhhhhii",
    "storage/volumes/<row:pk>/trust/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "storage/volumes/<row:pk>/image/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
    "images/": "shhhhiii smmmmmmm",
    "storage/<row:pk>/image-upload/": "shhhhiii smmmmmmm shhhhhii smmmmmmm",
    "storage/volumes/<row:pk>/delete/": "smmmmmmm shhhhiii smmmmmmm shhhhhii",
}

ROUTES = all_routes()


@pytest.fixture
def scene(db: None) -> dict[str, dict[str, Any]]:
    """Two pools with one of everything: by the routes' arguments, what is in reach of scoped roles and what not."""
    places = {}
    for name in ("near", "far"):
        pool = HypervisorPool.objects.create(name=f"{name} pool")
        host = Hypervisor.objects.create(
            hypervisor_pool=pool, name=f"{name}-host", uri=f"qemu+tcp://{name}/system", status="online"
        )
        domain = Domain.objects.create(
            uuid=uuid4(), hypervisor=host, name=f"{name}-vm", state=DomainState.RUNNING, state_since="2026-01-01T00:00Z"
        )
        DomainDefinition.objects.create(domain=domain)
        storage = StoragePool.objects.create(
            hypervisor=host, uuid=uuid4(), name=f"{name}-images", pool_type="dir", active=True, autostart=True
        )
        shared = SharedStorage.objects.create(hypervisor_pool=pool, name="images", pool_type="dir", identity=name)
        volume = Volume.objects.create(storage_pool=storage, name=f"{name}.img", key=name, path=f"/{name}")
        network = Network.objects.create(
            hypervisor=host, uuid=uuid4(), name=f"{name}-lan", active=True, autostart=True, forward_mode="nat"
        )
        network_filter = NetworkFilter.objects.create(hypervisor=host, uuid=uuid4(), name=f"{name}-filter")
        secret = HostSecret.objects.create(hypervisor=host, uuid=uuid4(), usage=f"{name}-secret")
        template = DomainTemplate.objects.create(hypervisor_pool=pool, name=name, domain=domain)
        operation = make_operation(domain=domain, hypervisor=host, kind="migrate", state="running")
        snapshot = DomainSnapshot.objects.create(domain=domain, name=f"{name} one", kind="internal")
        schedule = SnapshotSchedule.objects.create(
            domain=domain, prefix=f"{name}-auto", frequency="daily", mode="internal", next_run_at=timezone.now()
        )
        person = User.objects.create_user(f"{name}-somebody")
        places[name] = {
            "hypervisors/pools": pool.pk,
            "hypervisors": host.pk,
            "tree": host.pk,
            "storage/volumes": volume.pk,
            "storage/shared": shared.pk,
            "storage/secrets": secret.pk,
            "storage": storage.pk,
            "networks/filters/create": host.pk,
            "networks/filters": network_filter.pk,
            "networks": network.pk,
            "people": person.pk,
            "templates": template.pk,
            "snapshots": snapshot.pk,
            "snapshot-schedules": schedule.pk,
            "uuid": domain.uuid,
            "operation_id": operation.pk,
            "kind": "rename",
            "test_id": "nothing",
            "key": "x",
            "rest": "x",
            "domain": domain,
            "pool": pool,
        }
    return places


@pytest.fixture
def people(scene: dict[str, dict[str, Any]]) -> dict[str, User | None]:
    near = scene["near"]
    users = {name: User.objects.create_user(name, password=f"{name}-has-a-password") for name in PEOPLE[1:]}
    bind(users["viewer"], "viewer", near["domain"])
    bind(users["vm_user"], "vm-user", near["domain"])
    bind(users["pool_viewer"], "viewer", near["pool"])
    bind(users["pool_operator"], "operator", near["pool"])
    bind(users["operator"], "operator")
    bind(users["administrator"], "administrator")
    return {"anonymous": None, **users}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert sorted(ROWS) == sorted(ROUTES)


@pytest.mark.parametrize(("route", "pattern"), ROUTES.items(), ids=ROUTES)
def test_who_gets_in(
    route: str, pattern: URLPattern, scene: dict[str, dict[str, Any]], people: dict[str, User | None]
) -> None:
    assert " ".join(measured(route, scene, people)) == ROWS[route]


def measured(route: str, scene: dict[str, dict[str, Any]], people: dict[str, User | None]) -> list[str]:
    """As in ROWS. HEAD answers like GET."""
    has_reach = {"pk", "uuid", "operation_id"} & {*arguments_of(route)}
    found = []
    for place in ("near", "far") if has_reach else ("near",):
        got = answers(route, "get", scene[place], people)
        assert answers(route, "head", scene[place], people) == got
        found += [got, answers(route, "post", scene[place], people)]
    return found


def answers(route: str, method: str, place: dict[str, Any], people: dict[str, User | None]) -> str:
    """A letter for each of PEOPLE, in their order. What one of them changed is undone for the next."""
    found = ""
    for name in PEOPLE:
        # Limits are counted there.
        cache.clear()
        point = transaction.savepoint()
        answer = getattr(browser_of(people[name]), method)(path_of(route, place))
        transaction.savepoint_rollback(point)
        found += letter(answer)
    return found


def letter(answer: Any) -> str:
    if answer.status_code == 302 and answer["Location"].startswith("/accounts/login/"):
        return "s"
    # healthz says 503 of a portal without processes, to whoever asks.
    assert answer.status_code < 500 or answer.status_code == 503
    return {403: "r", 404: "h", 405: "m"}.get(answer.status_code, "i")


def path_of(route: str, place: dict[str, Any]) -> str:
    row = next((key for prefix, key in place.items() if "pk" in arguments_of(route) and route.startswith(prefix)), None)
    kind = "start" if route.startswith("vms/operations/<str:kind>/") else "rename"
    return address(route, place | {"pk": row, "kind": kind})


def browser_of(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


# --- what pages say of what is out of reach


FAR_NAMES = ["far-vm", "far-host", "far pool", "far-images", "far.img"]


@pytest.mark.parametrize("name", ["stranger", "viewer", "vm_user", "pool_viewer", "pool_operator"])
@pytest.mark.parametrize(("route", "pattern"), ROUTES.items(), ids=ROUTES)
def test_no_page_names_what_is_out_of_reach(
    route: str, pattern: URLPattern, name: str, scene: dict[str, dict[str, Any]], people: dict[str, User | None]
) -> None:
    far = scene["far"]
    browser = browser_of(people[name])
    for query in ("", f"?host={far['hypervisors']}", f"?pool={far['hypervisors/pools']}", "?q=far", "?q=host"):
        for place in (scene["near"], far):
            for headers in ({}, {"HX-Request": "true"}):
                text = browser.get(path_of(route, place) + query, headers=headers).content.decode()
                text = text.replace('value="far"', "")
                assert not [
                    word for word in ("far-vm", "far-host", "far pool", "far-images", "far.img") if word in text
                ]


@pytest.mark.parametrize("name", ["viewer", "vm_user", "pool_viewer"])
def test_who_may_not_see_the_host_reads_no_reasons_of_it(
    name: str, scene: dict[str, dict[str, Any]], people: dict[str, User | None]
) -> None:
    near = scene["near"]
    for state, reason in (("disabled", "secret reason"), ("maintenance", "secret reason")):
        Hypervisor.objects.filter(name="near-host").update(
            admin_state=state, admin_state_reason=reason, admin_state_by="somebody-else", status_reason="secret address"
        )
        for route in ROUTES:
            text = browser_of(people[name]).get(path_of(route, near)).content.decode()
            assert not [word for word in ("secret reason", "somebody-else", "secret address") if word in text], route


def test_a_taken_name_does_not_tell_where(scene: dict[str, dict[str, Any]], people: dict[str, User | None]) -> None:
    near = scene["near"]
    other = Hypervisor.objects.create(hypervisor_pool=near["pool"], name="hidden-host", uri="qemu+tcp://x/system")
    Domain.objects.create(uuid=uuid4(), hypervisor=other, name="taken", state="shutoff", state_since=timezone.now())
    path = address("vms/<uuid:uuid>/operations/<str:kind>/", near | {"kind": "rename"})
    answer = browser_of(people["vm_user"]).post(path, {"name": "taken"}, headers={"HX-Request": "true"})
    assert "The name “taken” is taken" in answer.content.decode()
    assert "hidden-host" not in answer.content.decode()


def test_which_people_there_are_is_told_to_who_may_give_roles_alone(
    scene: dict[str, dict[str, Any]], people: dict[str, User | None]
) -> None:
    path = address("vms/<uuid:uuid>/roles/", scene["near"])
    for name in ("viewer", "vm_user", "pool_viewer"):
        for holder in ("operator", "no-such-person"):
            answer = browser_of(people[name]).post(path, {"holder": holder, "role": "viewer"})
            assert answer.status_code == 403
            assert holder not in answer.content.decode()


# --- sockets and consoles

# i: accepted, -: closed. What a socket passes on is asked for each message: see test_live_consumer.py.
SOCKETS = {"ws/live/": "-iiiiiii"}
# By the console's mode: who may have it of what is in reach, and of what is not.
CONSOLES: dict[ConsoleMode, str] = {"view": "--iiiiii ------ii", "control": "---i-iii ------ii"}


def test_every_socket_has_a_row_and_every_row_a_socket() -> None:
    assert sorted(SOCKETS) == sorted(str(route.pattern) for route in websocket_urlpatterns)


def test_every_mode_of_a_console_has_a_row() -> None:
    assert set(CONSOLES) == set(get_args(ConsoleMode))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("route", SOCKETS)
@pytest.mark.parametrize("name", PEOPLE)
def test_who_gets_a_socket(
    route: str, name: str, scene: dict[str, dict[str, Any]], people: dict[str, User | None]
) -> None:
    client = browser_of(people[name])
    cookie = "; ".join(f"{key}={morsel.value}" for key, morsel in client.cookies.items())
    scope = {
        "type": "websocket",
        "path": f"/{route}",
        "query_string": b"",
        "headers": [(b"cookie", cookie.encode())],
        "subprotocols": [],
    }

    async def scenario() -> str:
        socket = ApplicationCommunicator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), scope)
        await socket.send_input({"type": "websocket.connect"})
        first = await socket.receive_output(10)
        await socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await socket.wait(10)
        return str(first["type"])

    accepted = async_to_sync(scenario)() == "websocket.accept"
    assert accepted == (SOCKETS[route][PEOPLE.index(name)] == "i")


@pytest.mark.parametrize("mode", CONSOLES)
def test_who_gets_a_console(
    mode: ConsoleMode, scene: dict[str, dict[str, Any]], people: dict[str, User | None]
) -> None:
    found = []
    for place in ("near", "far"):
        domains = [
            None if (user := people[name]) is None else find_domain(user, scene[place]["uuid"], mode) for name in PEOPLE
        ]
        found.append("".join("-" if domain is None else "i" for domain in domains))
    assert " ".join(found) == CONSOLES[mode]
