"""Every service refuses whoever lacks the privilege, changes nothing then, and records the refusal."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from hypervisors.administration import hypervisor_pools, hypervisors, people, role_bindings
from hypervisors.administration.hypervisors import HypervisorValues
from hypervisors.errors import NotPermitted, NotPossible
from hypervisors.models import AuditRecord, Domain, Hypervisor, HypervisorPool, Role, RoleBinding
from hypervisors.models.hypervisor_credentials import CREDENTIALS
from hypervisors.operations.hypervisors import connection_tests, ssh_keys
from hypervisors.operations.hypervisors.connection_tests import ConnectionCandidate
from hypervisors.states import AdminState
from tests.roles import bind

pytestmark = pytest.mark.usefixtures("redis_client")
VALUES = HypervisorValues(
    name="intruder",
    uri="qemu+tcp://intruder/system",
    hypervisor_pool=None,
    new_pool="intruder",
    credentials=dict.fromkeys(CREDENTIALS, ""),
)
CANDIDATE = ConnectionCandidate(uri="qemu+tcp://intruder/system")
SERVICES: dict[Callable[..., Any], Callable[[Any], dict[str, Any]]] = {
    hypervisors.add_hypervisor: lambda _: {"values": VALUES, "host_uuid": None, "tested": False},
    hypervisors.change_hypervisor: lambda s: {
        "hypervisor_id": s.host.pk,
        "values": VALUES,
        "host_uuid": None,
        "tested": False,
    },
    hypervisors.set_admin_state: lambda s: {"hypervisor": s.host, "state": AdminState.DISABLED},
    hypervisors.remove_hypervisor: lambda s: {"hypervisor": s.host},
    hypervisors.require_changing: lambda s: {"hypervisor": s.host},
    hypervisor_pools.add_hypervisor_pool: lambda _: {"name": "intruder"},
    hypervisor_pools.change_hypervisor_pool: lambda s: {"pool_id": s.empty.pk, "name": "intruder", "description": ""},
    hypervisor_pools.remove_hypervisor_pool: lambda s: {"pool": s.empty},
    hypervisor_pools.require_managing_pool: lambda s: {"pool": s.empty},
    people.add_person: lambda _: {"person": User(username="intruder"), "role": None},
    people.set_active: lambda s: {"person": s.charlie, "active": False},
    people.reset_password: lambda s: {"person": s.charlie},
    people.remove_second_factor: lambda s: {"person": s.charlie},
    people.require_managing: lambda _: {"what": "see the people"},
    role_bindings.give_role: lambda s: {"role": s.role, "holder": s.charlie, "on": s.domain},
    role_bindings.take_roles: lambda s: {"holder": s.bob, "on": s.domain},
    connection_tests.request_connection_test: lambda s: {"candidate": CANDIDATE, "on": s.host},
    ssh_keys.request_key_pair: lambda _: {},
}
MODULES = (hypervisors, hypervisor_pools, people, role_bindings)


class Scene:
    """What the services are called with."""

    def __init__(self, domain: Domain, bob: User, charlie: User) -> None:
        assert domain.hypervisor is not None
        self.domain, self.bob, self.charlie, self.host = domain, bob, charlie, domain.hypervisor
        self.empty = HypervisorPool.objects.create(name="empty pool")
        self.role = Role.objects.get(key="viewer")


@pytest.fixture
def scene(domain: Domain, bob: User, charlie: User) -> Scene:
    return Scene(domain, bob, charlie)


def call(service: Callable[..., Any], actor: Any, scene: Scene) -> Any:
    who = "actor" if "actor" in inspect.signature(service).parameters else "user"
    return service(**{who: actor}, **SERVICES[service](scene))


def everything() -> dict[str, Any]:
    kept = (Domain, Hypervisor, HypervisorPool, User, Group, RoleBinding)
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in kept}


def public_functions(module: ModuleType) -> set[Callable[..., Any]]:
    found = inspect.getmembers(module, inspect.isfunction)
    return {
        f
        for name, f in found
        if f.__module__ == module.__name__ and "actor" in inspect.signature(f).parameters and name[0] != "_"
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_service_is_forgotten_here(module: ModuleType) -> None:
    assert public_functions(module) - set(SERVICES) <= {role_bindings.roles_for}


@pytest.mark.parametrize("who", ["bob", "charlie", "nobody"])
@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.__name__)
def test_a_service_refuses_and_records_it(service: Callable[..., Any], who: str, scene: Scene) -> None:
    actor = User.objects.filter(username=who).first() or AnonymousUser()
    before = everything()
    with pytest.raises(NotPermitted):
        call(service, actor, scene)
    assert everything() == before
    record = AuditRecord.objects.get(outcome="refused")
    assert record.actor_name == ("" if who == "nobody" else who)


class TestOperatorOfAPool:
    """Manages what is in the pool, and reaches nothing beyond it."""

    @pytest.fixture
    def dave(self, hypervisor_pool: HypervisorPool) -> User:
        user = User.objects.create_user("dave")
        bind(user, "operator", hypervisor_pool)
        return user

    def values(self, **changed: Any) -> HypervisorValues:
        return HypervisorValues(
            **({"name": "host9", "uri": "qemu+tcp://host9/system", "credentials": VALUES.credentials} | changed)
        )

    def test_adds_changes_and_removes_hosts_of_the_pool(self, dave: User, hypervisor_pool: HypervisorPool) -> None:
        values = self.values(hypervisor_pool=hypervisor_pool)
        host = hypervisors.add_hypervisor(dave, values, host_uuid=None, tested=True)
        values = self.values(hypervisor_pool=hypervisor_pool, name="host10")
        hypervisors.change_hypervisor(dave, host.pk, values, host_uuid=None, tested=None)
        hypervisors.set_admin_state(dave, host, AdminState.MAINTENANCE, reason="disk")
        hypervisors.remove_hypervisor(dave, host)
        assert list(AuditRecord.objects.order_by("pk").values_list("action", "before", "after")) == [
            (
                "add a host",
                None,
                {"name": "host9", "uri": "qemu+tcp://host9/system", "pool": "rack one", "tested": True},
            ),
            ("change a host", {"name": "host9"}, {"name": "host10"}),
            (
                "put a host into maintenance",
                {"admin_state": "enabled"},
                {"admin_state": "maintenance", "reason": "disk"},
            ),
            ("remove a host", {"name": "host9", "uri": "qemu+tcp://host9/system", "pool": "rack one"}, None),
        ]

    @pytest.mark.parametrize(
        "beyond",
        ["another pool", "a new pool", "qemu:///system", "qemu+tcp://127.0.0.1/system", "qemu+ssh://[::1]/system"],
    )
    def test_adds_none_elsewhere(self, beyond: str, dave: User, hypervisor_pool: HypervisorPool) -> None:
        pools = {"another pool": HypervisorPool.objects.create(name="rack two"), "a new pool": None}
        uri = beyond if "://" in beyond else "qemu+tcp://host9/system"
        values = self.values(hypervisor_pool=pools.get(beyond, hypervisor_pool), new_pool="rack three", uri=uri)
        with pytest.raises(NotPermitted):
            hypervisors.add_hypervisor(dave, values, host_uuid=None, tested=True)
        assert not Hypervisor.objects.exists()

    def test_moves_none_away_nor_points_one_at_our_own_machine(self, dave: User, hypervisor: Hypervisor) -> None:
        other = HypervisorPool.objects.create(name="rack two")
        for values in (
            self.values(hypervisor_pool=other),
            self.values(hypervisor_pool=hypervisor.hypervisor_pool, uri="qemu:///system"),
        ):
            with pytest.raises(NotPermitted):
                hypervisors.change_hypervisor(dave, hypervisor.pk, values, host_uuid=None, tested=True)
        hypervisor.refresh_from_db()
        assert hypervisor.uri == "qemu+tcp://host1/system"

    def test_gives_roles_on_its_machines_but_not_on_the_pool(
        self, dave: User, domain: Domain, charlie: User, hypervisor_pool: HypervisorPool
    ) -> None:
        role = Role.objects.get(key="vm-user")
        role_bindings.give_role(dave, role=role, holder=charlie, on=domain)
        assert charlie.role_bindings.get().domain == domain
        for place in (hypervisor_pool, None):
            with pytest.raises(NotPermitted):
                role_bindings.give_role(dave, role=role, holder=charlie, on=place)

    def test_gives_no_role_that_says_more_than_its_own(self, charlie: User, domain: Domain) -> None:
        granting = Role.objects.create(key="own", name="Own", privileges=["domain.view", "domain.grant"])
        erin = User.objects.create_user("erin")
        RoleBinding.objects.create(user=erin, role=granting, scope="domain", domain=domain)
        role_bindings.give_role(erin, role=Role.objects.get(key="viewer"), holder=charlie, on=domain)
        with pytest.raises(NotPermitted):
            role_bindings.give_role(erin, role=Role.objects.get(key="vm-user"), holder=charlie, on=domain)
        assert charlie.role_bindings.get().role.key == "viewer"


class TestAdministrators:
    """Somebody can always manage people."""

    @pytest.fixture
    def root(self, db: None) -> User:
        return User.objects.create_superuser("root")

    def test_nobody_changes_their_own_role_on_everything(self, root: User) -> None:
        User.objects.create_superuser("second")
        with pytest.raises(NotPossible):
            role_bindings.take_roles(root, holder=root, on=None)
        with pytest.raises(NotPossible):
            role_bindings.give_role(root, role=Role.objects.get(key="viewer"), holder=root, on=None)
        assert root.role_bindings.get().role.key == "administrator"

    def test_the_last_administrator_stays_one(self, root: User) -> None:
        group = Group.objects.create(name="administrators")
        erin = User.objects.create_user("erin")
        erin.groups.add(group)
        bind(group, "administrator")
        root.role_bindings.get().delete()
        # Erin is one by her group alone, and may not take that away from it.
        with pytest.raises(NotPossible):
            role_bindings.take_roles(erin, holder=group, on=None)
        assert RoleBinding.objects.get().group == group

    def test_a_role_replaces_the_former_one_on_the_same_object_only(
        self, root: User, charlie: User, domain: Domain, hypervisor_pool: HypervisorPool
    ) -> None:
        places: list[HypervisorPool | Domain | None] = [domain, hypervisor_pool, None]
        for key in ("viewer", "vm-user"):
            for place in places:
                role_bindings.give_role(root, role=Role.objects.get(key=key), holder=charlie, on=place)
        assert sorted(charlie.role_bindings.values_list("scope", "role__key")) == [
            ("domain", "vm-user"),
            ("everything", "vm-user"),
            ("hypervisor_pool", "vm-user"),
        ]

    @pytest.mark.parametrize("key", ["administrator", "operator"])
    def test_some_roles_are_too_large_for_some_objects(
        self, key: str, root: User, charlie: User, domain: Domain, hypervisor_pool: HypervisorPool
    ) -> None:
        role = Role.objects.get(key=key)
        with pytest.raises(NotPossible):
            role_bindings.give_role(root, role=role, holder=charlie, on=domain)
        if key == "administrator":
            with pytest.raises(NotPossible):
                role_bindings.give_role(root, role=role, holder=charlie, on=hypervisor_pool)


def test_of_a_secret_the_audit_holds_only_that_it_was_set(alice: User, hypervisor_pool: HypervisorPool) -> None:
    credentials = VALUES.credentials | {"sasl_username": "vm", "sasl_password": "s3cr3t"}
    values = HypervisorValues(
        name="h", uri="qemu+tcp://h/system", hypervisor_pool=hypervisor_pool, credentials=credentials
    )
    host = hypervisors.add_hypervisor(alice, values, host_uuid=None, tested=False)
    credentials |= {"sasl_password": "0th3r"}
    values = HypervisorValues(
        name="h", uri="qemu+tcp://h/system", hypervisor_pool=hypervisor_pool, credentials=credentials
    )
    hypervisors.change_hypervisor(alice, host.pk, values, host_uuid=None, tested=True)
    added, changed = AuditRecord.objects.order_by("pk")
    assert (added.after["sasl_password"], changed.after["sasl_password"]) == ("set", "replaced")
    stored = str(list(AuditRecord.objects.values()))
    assert "s3cr3t" not in stored
    assert "0th3r" not in stored
