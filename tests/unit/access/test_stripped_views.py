"""Rights hold inside the services: with every decorator taken off the views, nobody changes what they may not.

Bob may view one machine, charlie is a stranger, and one is nobody at all.
"""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.sessions.backends.db import SessionStore
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import URLPattern, reverse

from hypervisors.errors import NotPermitted
from hypervisors.models import AuditRecord, Domain, Hypervisor, HypervisorPool, Operation, StoragePool, Volume
from hypervisors.web.permissions import AccessMiddleware
from hypervisors.web.urls import urlpatterns
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")

CAST = ["bob", "charlie", "nobody"]
# What they may do: their own account is theirs, and reading changes nothing.
READS = {"home"}
# What forms would send, all at once: views take what they know.
FIELDS = {
    "name": "intruder",
    "new_pool": "intruder",
    "description": "intruder",
    "title": "intruder",
    "uri_by_hand": "on",
    "uri": "qemu+tcp://intruder.example/system",
    "state": "disabled",
    "username": "intruder",
    "holder": "charlie",
    "role": "administrator",
    "active": "",
    "enabled": "1",
    "all": "",
    "capacity": "1",
    "capacity_gib": "1",
    "format": "qcow2",
    "volume_format": "qcow2",
}


@pytest.fixture
def scene(bob: User, charlie: User, domain: Domain, hypervisor: Hypervisor) -> dict[str, Any]:
    """One of everything, by the names of the URLs' arguments."""
    User.objects.create_superuser("root")
    empty = HypervisorPool.objects.create(name="empty pool")
    storage_pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True
    )
    volume = Volume.objects.create(storage_pool=storage_pool, name="disk.qcow2", key="/x", path="/x")
    operation = make_operation(domain=domain, kind="start", state="queued")
    return {
        "pks": sorted({hypervisor.pk, empty.pk, storage_pool.pk, volume.pk, bob.pk, charlie.pk}),
        "uuid": domain.uuid,
        "operation_id": operation.pk,
        "test_id": "nothing",
    }


def stripped(view: Callable[..., Any]) -> Callable[..., Any]:
    while hasattr(view, "__wrapped__"):
        view = view.__wrapped__
    return view


def arguments(pattern: URLPattern, scene: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every way to call the view."""
    names = list(pattern.pattern.converters)
    fixed = {name: scene[name] for name in names if name in scene}
    for pk in scene["pks"]:
        for kind in ("start", "force_off", "rename", "describe", "set_autostart", "migrate"):
            yield fixed | {name: kind if name == "kind" else pk for name in names if name not in fixed}


def request_of(user: User | AnonymousUser, path: str, data: dict[str, Any]) -> HttpRequest:
    request = RequestFactory().post(path, data, headers={"HX-Request": "true"})
    request.user = user
    request.session = SessionStore()
    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    return request


def answer(view: Callable[..., Any], request: HttpRequest, given: dict[str, Any]) -> int:
    """The status that the browser gets."""

    def get_response(request: HttpRequest) -> HttpResponse:
        try:
            response: HttpResponse = view(request, **given)
        except NotPermitted as error:
            refusal = middleware.process_exception(request, error)
            assert refusal is not None
            return refusal
        except Http404:
            return HttpResponse(status=404)
        return response

    middleware = AccessMiddleware(get_response)
    return middleware(request).status_code


def everything() -> dict[str, Any]:
    """All rows, without the audit and sessions."""
    models = [
        model for model in apps.get_models() if model is not AuditRecord and "session" not in model.__name__.lower()
    ]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


@pytest.mark.parametrize("who", CAST)
@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: pattern.name)
def test_without_its_decorators_a_view_lets_nobody_change_anything(
    pattern: URLPattern, who: str, scene: dict[str, Any]
) -> None:
    user = User.objects.filter(username=who).first() or AnonymousUser()
    data = FIELDS | {
        "uuid": str(scene["uuid"]),
        "pool": scene["pks"][0],
        "target": scene["pks"][0],
        "vm": scene["uuid"],
    }
    before = everything()
    statuses = set()
    for given in arguments(pattern, scene):
        path = reverse(str(pattern.name), kwargs=given)
        statuses.add(answer(stripped(pattern.callback), request_of(user, path, data), given | pattern.default_args))
    assert everything() == before
    assert not {status for status in statuses if status >= 500}
    if who != "bob" and pattern.name not in OPEN_TO_STRANGERS:
        assert statuses <= {302, 403, 404, 422}


# Lists that are empty for who may see nothing, and one's own account.
OPEN_TO_STRANGERS = {
    "home",
    "tree",
    "domains",
    "domain_places",
    "domains_usage",
    "operate_domains",
    "preflight_domains",
    "delete_domains",
    "domain_create",
    "appliance_new",
    "search",
    "storage",
    "images",
    "templates",
    "tasks",
    "operations",
    "profile",
    "hypervisors",
    "hypervisor_test_result",
    "networks",
    "network_map",
    "network_filters",
}


def test_the_audit_has_the_refusals(scene: dict[str, Any], bob: User, domain: Domain, hypervisor: Hypervisor) -> None:
    refused = {
        "hypervisor_remove": {"pk": hypervisor.pk},
        "hypervisor_pool_add": {},
        "person_add": {},
        "hypervisor_key_pair": {},
        "domain_roles": {"uuid": domain.uuid},
    }
    views = {pattern.name: pattern.callback for pattern in urlpatterns}
    for name, given in refused.items():
        answer(stripped(views[name]), request_of(bob, reverse(name, kwargs=given), FIELDS), given)
    records = AuditRecord.objects.filter(outcome="refused").order_by("pk")
    assert [(record.actor_name, record.action) for record in records if record.action != "sign in"] == [
        ("bob", "add a pool"),
        ("bob", "add a person"),
        ("bob", "make a key pair"),
        ("bob", "give a role"),
    ]
    assert Operation.objects.count() == 1
