"""What ends a person's sessions ends them for good: no old cookie ever works again."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore as DjangosStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.urls import reverse

from hypervisors.administration.people import reset_password, set_active
from hypervisors.administration.retention import remove_expired
from hypervisors.administration.role_bindings import give_role, take_roles
from hypervisors.models import Domain, LoginSession, Role, RoleBinding
from tests.roles import bind

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("admin", password="an-administrator-of-all")


def browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    return client.get(reverse("profile")).status_code == 200


def test_the_cookie_of_a_deactivated_person_does_not_come_back_to_life(admin: User, bob: User) -> None:
    browsers = [browser_of(bob), browser_of(bob)]
    others = browser_of(admin)
    set_active(admin, bob, active=False)
    set_active(admin, bob, active=True)
    assert not any(is_in(browser) for browser in browsers)
    assert is_in(others)
    assert is_in(browser_of(bob))


def test_nor_when_the_account_is_changed_by_hand(bob: User) -> None:
    browser = browser_of(bob)
    for active in (False, True):
        bob.is_active = active
        bob.save()
    assert not is_in(browser)


def test_a_reset_password_ends_sessions_although_the_old_one_comes_back(admin: User, bob: User) -> None:
    browser = browser_of(bob)
    old = bob.password
    reset_password(admin, bob)
    User.objects.filter(pk=bob.pk).update(password=old)
    assert not is_in(browser)


def test_a_new_password_of_ones_own_ends_the_other_sessions(client: Client, bob: User) -> None:
    other = browser_of(bob)
    client.force_login(bob)
    new = "four calm words together"
    fields = {"oldpassword": "bob-may-only-look", "password1": new, "password2": new}
    assert client.post(reverse("account_change_password"), fields).status_code == 302
    assert is_in(client)
    assert not is_in(other)
    assert LoginSession.objects.filter(user=bob).count() == 1


@pytest.mark.parametrize("on", ["domain", "everything"])
def test_losing_a_role_ends_sessions(on: str, admin: User, bob: User, domain: Domain) -> None:
    place = domain if on == "domain" else None
    if place is None:
        bind(bob, "operator")
    browser = browser_of(bob)
    take_roles(admin, holder=bob, on=place)
    assert not is_in(browser)
    give_role(admin, role=Role.objects.get(key="viewer"), holder=bob, on=place)
    assert not is_in(browser)


def test_another_role_in_place_of_one_ends_sessions_and_one_more_does_not(
    admin: User, bob: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    browser = browser_of(bob)
    give_role(admin, role=Role.objects.get(key="viewer"), holder=bob, on=make_domain())
    assert is_in(browser)
    give_role(admin, role=Role.objects.get(key="vm-user"), holder=bob, on=domain)
    assert not is_in(browser)


@pytest.mark.parametrize("how", ["leaves", "cleared", "role taken", "removed"])
def test_losing_a_role_of_ones_group_ends_sessions(how: str, charlie: User, domain: Domain) -> None:
    group = Group.objects.create(name="night shift")
    binding = bind(group, "viewer", domain)
    charlie.groups.add(group)
    browser = browser_of(charlie)
    match how:
        case "leaves":
            group.user_set.remove(charlie)
        case "cleared":
            charlie.groups.clear()
        case "role taken":
            binding.delete()
        case _:
            group.delete()
    assert not is_in(browser)


def test_a_machine_that_is_forgotten_ends_nobodys_session(bob: User, domain: Domain) -> None:
    browser = browser_of(bob)
    domain.delete()
    assert not RoleBinding.objects.filter(user=bob).exists()
    assert is_in(browser)


def test_signing_out_ends_this_session_alone(bob: User) -> None:
    one, other = browser_of(bob), browser_of(bob)
    one.post(reverse("account_logout"))
    assert (is_in(one), is_in(other)) == (False, True)


def test_expired_sessions_are_cleaned_up(bob: User) -> None:
    browser_of(bob)
    LoginSession.objects.update(expire_date="2020-01-01T00:00:00Z")
    assert remove_expired() == {"sessions": 1}


# --- the sessions of before


def _migrate(name: str) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate([("hypervisors", name)])
    return executor.loader.project_state(("hypervisors", name)).apps


@pytest.fixture
def _leaves_the_latest(transactional_db: None) -> Iterator[None]:
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.usefixtures("_leaves_the_latest")
def test_whoever_is_signed_in_stays_so_over_the_update_and_back() -> None:
    parents = MigrationExecutor(connection).loader.graph.node_map[("hypervisors", "0010_login_sessions")].parents
    before = next(node.key[1] for node in parents if node.key[0] == "hypervisors")
    apps = _migrate(before)
    user = apps.get_model("auth", "User").objects.create(username="bob")
    for pk in (user.pk, 4711):
        store = DjangosStore()
        store[SESSION_KEY] = str(pk)
        store.save()
    assert Session.objects.count() == 2

    apps = _migrate("0010_login_sessions")
    kept = apps.get_model("hypervisors", "LoginSession").objects.get()
    assert kept.user_id == user.pk
    assert not Session.objects.exists()

    _migrate(before)
    assert Session.objects.get().session_key == kept.session_key
