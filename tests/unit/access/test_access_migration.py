"""The migration from account flags and grants to roles, forwards and back: nobody gains or loses a right."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

AFTER = ("hypervisors", "0006_access")
GIVEN_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def migrate(target: tuple[str, str]) -> Any:
    """The models as of then."""
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    return executor.loader.project_state(target).apps


def before() -> tuple[str, str]:
    parents = MigrationExecutor(connection).loader.graph.node_map[AFTER].parents
    return next(node.key for node in sorted(parents) if node.key[0] == "hypervisors")


@pytest.fixture
def _leaves_the_latest(transactional_db: None) -> Iterator[None]:
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.usefixtures("_leaves_the_latest")
def test_everybody_keeps_their_rights_forwards_and_back() -> None:
    apps = migrate(before())
    User, Domain, Grant = (
        apps.get_model("auth", "User"),
        apps.get_model("hypervisors", "Domain"),
        apps.get_model("hypervisors", "DomainGrant"),
    )
    people = {
        "root": User.objects.create(username="root", is_superuser=True),
        "alice": User.objects.create(username="alice", is_staff=True, is_active=False),
        "bob": User.objects.create(username="bob"),
        "charlie": User.objects.create(username="charlie"),
    }
    domains = [
        Domain.objects.create(uuid=uuid4(), name=name, state="shutoff", state_since=timezone.now())
        for name in ("web1", "web2")
    ]
    for right, domain in zip(("view", "operate"), domains, strict=True):
        Grant.objects.create(domain=domain, user=people["bob"], right=right, granted_by=people["root"])
    Grant.objects.update(granted_at=GIVEN_AT)

    apps = migrate(AFTER)
    bindings = apps.get_model("hypervisors", "RoleBinding").objects.order_by("user__username", "domain__name")
    assert list(bindings.values_list("user__username", "role__key", "scope", "domain__name")) == [
        ("alice", "operator", "everything", None),
        ("bob", "viewer", "domain", "web1"),
        ("bob", "vm-user", "domain", "web2"),
        ("root", "administrator", "everything", None),
    ]
    given = bindings.get(role__key="viewer")
    assert (given.granted_by.username, given.granted_at) == ("root", GIVEN_AT)

    apps = migrate(before())
    flags = apps.get_model("auth", "User").objects.order_by("username")
    assert list(flags.values_list("username", "is_staff", "is_superuser")) == [
        ("alice", True, False),
        ("bob", False, False),
        ("charlie", False, False),
        ("root", True, True),
    ]
    grants = apps.get_model("hypervisors", "DomainGrant").objects.order_by("domain__name")
    assert list(grants.values_list("user__username", "domain__name", "right", "granted_by__username")) == [
        ("bob", "web1", "view", "root"),
        ("bob", "web2", "operate", "root"),
    ]
    assert set(grants.values_list("granted_at", flat=True)) == {GIVEN_AT}


@pytest.mark.usefixtures("_leaves_the_latest")
def test_what_grants_cannot_say_becomes_the_next_smaller_right() -> None:
    apps = migrate(AFTER)
    get = apps.get_model
    pool = get("hypervisors", "HypervisorPool").objects.create(name="rack one")
    host = get("hypervisors", "Hypervisor").objects.create(name="h", uri="qemu:///system", hypervisor_pool=pool)
    _inside, outside = (
        get("hypervisors", "Domain").objects.create(
            uuid=uuid4(), name=name, state="shutoff", state_since=timezone.now(), hypervisor=where
        )
        for name, where in (("inside", host), ("outside", None))
    )
    roles = {role.key: role for role in get("hypervisors", "Role").objects.all()}
    group = get("auth", "Group").objects.create(name="team")
    erin, frank = (get("auth", "User").objects.create(username=name) for name in ("erin", "frank"))
    erin.groups.add(group)
    bind = get("hypervisors", "RoleBinding").objects.create
    bind(user=frank, role=roles["operator"], scope="hypervisor_pool", hypervisor_pool=pool)
    bind(group=group, role=roles["viewer"], scope="everything")
    bind(group=group, role=roles["vm-user"], scope="domain", domain=outside)

    apps = migrate(before())
    grants = apps.get_model("hypervisors", "DomainGrant").objects.order_by("user__username", "domain__name")
    assert list(grants.values_list("user__username", "domain__name", "right")) == [
        ("erin", "inside", "view"),
        ("erin", "outside", "operate"),
        ("frank", "inside", "operate"),
    ]
    assert not apps.get_model("auth", "User").objects.filter(is_staff=True).exists()
