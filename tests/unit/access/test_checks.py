"""Who may what: stock roles on everything, on a pool and on a domain, for people and their groups."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import call_command
from django.db import IntegrityError, models, transaction

from hypervisors.access import can, can_somewhere, permitted, require, require_somewhere
from hypervisors.errors import NotPermitted
from hypervisors.models import (
    AuditRecord,
    Domain,
    Hypervisor,
    HypervisorPool,
    Network,
    Operation,
    Role,
    RoleBinding,
    StoragePool,
    Volume,
    rights,
)
from hypervisors.models.stock_roles import STOCK_ROLES, synchronise_stock_roles
from hypervisors.privileges import Privilege
from tests.roles import bind
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")

DOMAIN_USE = {
    Privilege.DOMAIN_VIEW,
    Privilege.DOMAIN_CONSOLE,
    Privilege.DOMAIN_OPERATE,
    Privilege.DOMAIN_CONFIGURE,
}
EXPECTED = {
    "administrator": set(Privilege),
    "operator": set(Privilege) - {Privilege.PEOPLE_MANAGE, Privilege.AUDIT_VIEW},
    "vm-user": DOMAIN_USE,
    "viewer": {Privilege.DOMAIN_VIEW},
}


@pytest.fixture
def elsewhere(make_hypervisor: Callable[..., Hypervisor], hypervisor: Hypervisor) -> Hypervisor:
    """A host of another pool."""
    return make_hypervisor(name="elsewhere", hypervisor_pool=HypervisorPool.objects.create(name="rack two"))


def things_on(host: Hypervisor, domain: Domain) -> list[models.Model]:
    """One of each kind of object that is on a host."""
    storage_pool = StoragePool.objects.create(
        hypervisor=host, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True
    )
    volume = Volume.objects.create(storage_pool=storage_pool, name="disk.qcow2", key="/x", path="/x")
    network = Network.objects.create(
        hypervisor=host, uuid=uuid4(), name="default", active=True, autostart=True, forward_mode="nat"
    )
    operation = make_operation(domain=domain, kind="start", hypervisor=host)
    return [host, host.hypervisor_pool, domain, storage_pool, volume, network, operation]


@pytest.mark.parametrize("key", EXPECTED)
def test_a_role_on_everything_gives_its_privileges_everywhere(key: str, charlie: User, domain: Domain) -> None:
    bind(charlie, key)
    assert {privilege for privilege in Privilege if can(charlie, privilege)} == EXPECTED[key]
    assert {privilege for privilege in Privilege if can(charlie, privilege, domain)} == EXPECTED[key]


@pytest.mark.parametrize("key", EXPECTED)
def test_a_role_on_a_domain_gives_nothing_elsewhere(
    key: str, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    other = make_domain(name="other")
    bind(charlie, key, domain)
    assert {privilege for privilege in Privilege if can(charlie, privilege, domain)} == EXPECTED[key]
    for obj in (other, domain.hypervisor, None):
        assert not any(can(charlie, privilege, obj) for privilege in Privilege)


def test_a_role_on_a_pool_reaches_what_is_in_it_and_nothing_else(
    charlie: User,
    hypervisor: Hypervisor,
    elsewhere: Hypervisor,
    domain: Domain,
    make_domain: Callable[..., Domain],
) -> None:
    inside = things_on(hypervisor, domain)
    outside = things_on(elsewhere, make_domain(name="outside", hypervisor=elsewhere))
    bind(charlie, "operator", hypervisor.hypervisor_pool)
    for thing in inside:
        assert can(charlie, Privilege.DOMAIN_OPERATE, thing), thing
        rows: Any = permitted(charlie, Privilege.HYPERVISOR_VIEW, type(thing)._default_manager.all())
        assert list(rows) == [thing]
    for thing in outside:
        assert not can(charlie, Privilege.DOMAIN_OPERATE, thing), thing
    assert not can(charlie, Privilege.HYPERVISOR_MANAGE)
    assert can_somewhere(charlie, Privilege.HYPERVISOR_MANAGE)
    assert list(Domain.objects.visible_to(charlie)) == [domain]
    assert [operation.domain for operation in Operation.objects.visible_to(charlie)] == [domain]


def test_a_domain_takes_its_pool_along_when_it_moves(
    charlie: User, domain: Domain, hypervisor: Hypervisor, elsewhere: Hypervisor
) -> None:
    bind(charlie, "viewer", elsewhere.hypervisor_pool)
    assert not can(charlie, Privilege.DOMAIN_VIEW, domain)
    domain.hypervisor = elsewhere
    domain.save()
    assert can(charlie, Privilege.DOMAIN_VIEW, domain)
    domain.hypervisor = None
    assert not can(charlie, Privilege.DOMAIN_VIEW, domain)


def test_members_of_a_group_have_its_roles_until_they_leave(charlie: User, domain: Domain) -> None:
    group = Group.objects.create(name="night shift")
    bind(group, "vm-user", domain)
    assert not can(charlie, Privilege.DOMAIN_OPERATE, domain)
    charlie.groups.add(group)
    assert can(charlie, Privilege.DOMAIN_OPERATE, domain)
    assert list(Domain.objects.operable_by(charlie)) == [domain]
    charlie.groups.clear()
    assert not can(charlie, Privilege.DOMAIN_OPERATE, domain)


@pytest.mark.parametrize("who", ["deactivated", "nobody"])
def test_who_is_not_an_active_person_has_nothing(who: str, charlie: User, domain: Domain) -> None:
    bind(charlie, "administrator")
    charlie.is_active = False
    user = charlie if who == "deactivated" else AnonymousUser()
    assert not any(can(user, privilege, domain) or can_somewhere(user, privilege) for privilege in Privilege)
    assert not Domain.objects.visible_to(user).exists()
    assert not Operation.objects.visible_to(user).exists()


def test_any_number_of_questions_costs_one_query(charlie: User, domain: Domain, django_assert_num_queries: Any) -> None:
    bind(charlie, "vm-user", domain)
    with django_assert_num_queries(1):
        for _ in range(3):
            assert can(charlie, Privilege.DOMAIN_OPERATE, domain)
            assert not can(charlie, Privilege.PEOPLE_MANAGE)
            assert not can_somewhere(charlie, Privilege.HYPERVISOR_VIEW)


def test_a_change_shows_at_once_here_and_soon_when_another_process_made_it(
    charlie: User, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not can(charlie, Privilege.DOMAIN_VIEW, domain)
    binding = bind(charlie, "viewer", domain)
    assert can(charlie, Privilege.DOMAIN_VIEW, domain)
    # Unseen by the signals, as from another process.
    RoleBinding.objects.filter(pk=binding.pk)._raw_delete("default")  # type: ignore[attr-defined]
    assert can(charlie, Privilege.DOMAIN_VIEW, domain)
    monkeypatch.setattr(rights, "_KEPT_SECONDS", 0.0)
    assert not can(charlie, Privilege.DOMAIN_VIEW, domain)


def test_a_refusal_is_recorded_and_says_no_more_than_one_may_know(bob: User, charlie: User, domain: Domain) -> None:
    require(bob, Privilege.DOMAIN_VIEW, domain, what="look")
    with pytest.raises(NotPermitted) as told:
        require(bob, Privilege.DOMAIN_OPERATE, domain, what="start")
    assert told.value.is_visible
    assert "web1" in str(told.value)
    with pytest.raises(NotPermitted) as untold:
        require(charlie, Privilege.DOMAIN_OPERATE, domain, what="start")
    assert not untold.value.is_visible
    assert "web1" not in str(untold.value)
    records = AuditRecord.objects.order_by("pk").values_list("actor_name", "action", "subject_key", "outcome", "detail")
    assert list(records) == [
        (name, "start", str(domain.uuid), "refused", "needs domain.operate") for name in ("bob", "charlie")
    ]


def test_what_is_about_no_object_yet_is_for_who_has_the_privilege_anywhere(
    alice: User, charlie: User, hypervisor_pool: HypervisorPool
) -> None:
    for user in (charlie, AnonymousUser()):
        with pytest.raises(NotPermitted):
            require_somewhere(user, Privilege.HYPERVISOR_MANAGE, what="make a key pair")
    bind(charlie, "operator", hypervisor_pool)
    require_somewhere(charlie, Privilege.HYPERVISOR_MANAGE, what="make a key pair")


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": None},
        {"group": True},
        {"scope": "domain"},
        {"scope": "hypervisor_pool"},
        {"domain": True},
        {"scope": "hypervisor_pool", "domain": True},
        {},
    ],
)
def test_the_table_refuses_bindings_that_mean_nothing_or_stand_twice(
    wrong: dict[str, Any], charlie: User, domain: Domain
) -> None:
    objects = {"domain": domain, "group": Group.objects.create(name="group")}
    fields = {name: objects[name] if value is True else value for name, value in wrong.items()}
    role = Role.objects.get(key="viewer")
    if not wrong:
        bind(charlie, "viewer")
    with pytest.raises(IntegrityError), transaction.atomic():
        RoleBinding.objects.create(**({"user": charlie, "role": role, "scope": "everything"} | fields))


def test_stock_roles_follow_the_program_and_others_are_left_alone(db: None) -> None:
    Role.objects.filter(key="operator").update(privileges=["domain.view"])
    Role.objects.filter(key="viewer").delete()
    Role.objects.create(key="own", name="Own", privileges=["domain.view", "of.the.future"])
    synchronise_stock_roles(using="default")
    roles = {role.key: set(role.privileges) for role in Role.objects.all()}
    assert roles == {
        **{key: set(role.privileges) for key, role in STOCK_ROLES.items()},
        "own": {"domain.view", "of.the.future"},
    }


class TestAccountFlags:
    """Django's flags make a role when the account is made, and follow the roles from then on."""

    def test_createsuperuser_makes_an_administrator(self, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "root-is-root-is-root")
        call_command("createsuperuser", username="root", email="", interactive=False, verbosity=0)
        assert can(User.objects.get(username="root"), Privilege.PEOPLE_MANAGE)

    def test_a_flag_that_is_set_later_gives_nothing(self, charlie: User) -> None:
        charlie.is_superuser = charlie.is_staff = True
        charlie.save()
        assert not can_somewhere(charlie, Privilege.DOMAIN_VIEW)

    def test_a_role_that_is_taken_back_stays_so_whatever_an_old_request_saves(self, db: None) -> None:
        root = User.objects.create_superuser("root")
        as_it_was = User.objects.get(pk=root.pk)
        root.role_bindings.get().delete()
        as_it_was.save()
        assert not can_somewhere(User.objects.get(pk=root.pk), Privilege.DOMAIN_VIEW)

    @pytest.mark.parametrize(
        ("key", "flags"), [("administrator", (True, True)), ("operator", (True, False)), ("viewer", (False, False))]
    )
    def test_the_flags_follow_the_roles(self, key: str, flags: tuple[bool, bool], charlie: User) -> None:
        binding = bind(charlie, key)
        charlie.refresh_from_db()
        assert (charlie.is_staff, charlie.is_superuser) == flags
        binding.delete()
        charlie.refresh_from_db()
        assert (charlie.is_staff, charlie.is_superuser) == (False, False)
