"""The doors of people: administrators add, promote, deactivate and reset; nobody else knows that they exist."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from hypervisors.models import Domain, HypervisorPool


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="root-is-root-is-root")


@pytest.fixture
def administrator(client: Client, root: User) -> Client:
    client.force_login(root)
    return client


DOORS = [
    ("get", "people"),
    ("get", "person_add"),
    ("get", "person"),
    ("post", "person_role"),
    ("post", "person_roles"),
    ("post", "person_activate"),
    ("post", "person_reset_password"),
    ("post", "person_reset_second_factor"),
]


def door(name: str, user: User) -> str:
    return reverse(name, args=[] if name in ("people", "person_add") else [user.pk])


def password_in(answer: Any) -> str:
    found = re.search(r'id="new-password">([^<]+)<', answer.content.decode())
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_operators_and_strangers_meet_404(method: str, name: str, client: Client, alice: User, charlie: User) -> None:
    for user in (alice, charlie):
        client.force_login(user)
        assert getattr(client, method)(door(name, charlie)).status_code == 404
    charlie.refresh_from_db()
    assert charlie.is_active
    assert not charlie.role_bindings.exists()


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_wrong_methods_and_unknown_ids(method: str, name: str, administrator: Client, charlie: User) -> None:
    assert administrator.put(door(name, charlie)).status_code == 405
    if name not in ("people", "person_add"):
        assert getattr(administrator, method)(reverse(name, args=[987654])).status_code == 404


def test_a_person_is_added_with_a_password_that_works_and_is_shown_once(administrator: Client) -> None:
    answer = administrator.post(reverse("person_add"), {"username": "dora", "role": "operator"})
    dora = User.objects.get(username="dora")
    assert [binding.role.key for binding in dora.role_bindings.all()] == ["operator"]
    assert dora.check_password(password_in(answer))
    assert password_in(answer) not in administrator.get(reverse("person", args=[dora.pk])).content.decode()


@pytest.mark.parametrize("username", ["", "a b", "<b>", "x" * 151, "CHARLIE"])
def test_impossible_or_taken_user_names_are_refused(username: str, administrator: Client, charlie: User) -> None:
    answer = administrator.post(reverse("person_add"), {"username": username, "role": ""})
    assert answer.status_code == 422
    assert User.objects.count() == 2


def test_a_new_password_ends_old_sessions(administrator: Client, charlie: User) -> None:
    theirs = Client()
    assert theirs.login(username="charlie", password="charlie-is-a-stranger")
    answer = administrator.post(reverse("person_reset_password", args=[charlie.pk]))
    charlie.refresh_from_db()
    assert charlie.check_password(password_in(answer))
    assert theirs.get(reverse("profile")).status_code == 302


def test_deactivating_ends_sessions_and_activating_lets_in_again(administrator: Client, charlie: User) -> None:
    theirs = Client()
    theirs.force_login(charlie)
    administrator.post(reverse("person_activate", args=[charlie.pk]))
    assert theirs.get(reverse("profile")).status_code == 302
    administrator.post(reverse("person_activate", args=[charlie.pk]), {"active": "1"})
    charlie.refresh_from_db()
    assert charlie.is_active


def test_roles_are_given_and_taken(administrator: Client, charlie: User) -> None:
    url = reverse("person_role", args=[charlie.pk])
    flags = {"administrator": (True, True), "operator": (True, False), "viewer": (False, False), "": (False, False)}
    for role, expected in flags.items():
        administrator.post(url, {"role": role})
        assert [binding.role.key for binding in charlie.role_bindings.all()] == [role] * bool(role)
        charlie.refresh_from_db()
        assert (charlie.is_staff, charlie.is_superuser) == expected
    assert administrator.post(url, {"role": "emperor"}).status_code == 404


@pytest.mark.parametrize(("method", "name"), [one for one in DOORS if one[0] == "post" and one[1] != "person_roles"])
def test_nobody_locks_themselves_out(method: str, name: str, administrator: Client, root: User) -> None:
    assert administrator.post(door(name, root), {"role": ""}).status_code == 404
    root.refresh_from_db()
    assert root.is_active
    assert root.role_bindings.get().role.key == "administrator"
    assert root.check_password("root-is-root-is-root")


def test_a_lost_second_factor_is_removed(administrator: Client, charlie: User) -> None:
    Authenticator.objects.create(user=charlie, type="totp", data={"secret": "x"})
    administrator.post(reverse("person_reset_second_factor", args=[charlie.pk]))
    assert not Authenticator.objects.exists()


def test_the_pages_show_roles(administrator: Client, bob: User, domain: Domain) -> None:
    assert "bob" in administrator.get(reverse("people")).content.decode()
    assert "web1" in administrator.get(reverse("person", args=[bob.pk])).content.decode()


def held(user: User) -> list[tuple[str, str]]:
    return [(binding.role.key, str(binding.object)) for binding in user.role_bindings.all()]


def test_roles_on_a_pool_and_on_a_machine_are_given_and_taken(
    administrator: Client, charlie: User, domain: Domain, hypervisor_pool: HypervisorPool
) -> None:
    url = reverse("person_roles", args=[charlie.pk])
    administrator.post(url, {"role": "viewer", "vm": "web1"})
    administrator.post(url, {"role": "vm-user", "vm": str(domain.uuid)})
    administrator.post(url, {"role": "operator", "pool": hypervisor_pool.pk})
    assert held(charlie) == [("vm-user", "web1"), ("operator", "rack one")]
    page = administrator.get(reverse("person", args=[charlie.pk])).content.decode()
    assert "rack one" in page
    assert "web1" in page
    administrator.post(url, {"role": "", "pool": hypervisor_pool.pk})
    administrator.post(url, {"role": "", "vm": str(domain.uuid)})
    assert held(charlie) == []


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"role": "viewer", "vm": "<nobody>"}, 422, "There is no virtual machine called “&lt;nobody&gt;”"),
        ({"role": "viewer", "vm": "twin"}, 422, "Several virtual machines"),
        ({"role": "viewer", "vm": "a\x01b"}, 422, "There is no virtual machine"),
        ({"role": "operator", "vm": "web1"}, 422, "not a role for one virtual machine"),
        ({"role": "emperor", "vm": "web1"}, 404, ""),
        ({"role": "viewer", "pool": "987654"}, 404, ""),
        ({"role": "viewer", "pool": "x"}, 404, ""),
    ],
)
def test_roles_on_nothing_are_refused(
    fields: dict[str, str],
    status: int,
    said: str,
    administrator: Client,
    charlie: User,
    domain: Domain,
    make_domain: Callable[..., Domain],
) -> None:
    for _twin in range(2):
        make_domain(name="twin")
    answer = administrator.post(reverse("person_roles", args=[charlie.pk]), fields)
    assert answer.status_code == status
    assert said in answer.content.decode()
    assert held(charlie) == []


def test_a_group_is_given_a_role_on_a_machine(operator: Client, charlie: User, domain: Domain) -> None:
    group = Group.objects.create(name="night shift")
    charlie.groups.add(group)
    operator.post(reverse("domain_roles", args=[domain.uuid]), {"group": "night shift", "role": "vm-user"})
    assert list(Domain.objects.operable_by(charlie)) == [domain]
    assert "night shift" in operator.get(reverse("domain_access", args=[domain.uuid])).content.decode()
    operator.post(reverse("domain_roles", args=[domain.uuid]), {"group": "night shift", "role": ""})
    assert not Domain.objects.visible_to(charlie)
