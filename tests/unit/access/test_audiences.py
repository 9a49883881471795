"""Who hears of a change: those who see everything together, all others by their roles."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from hypervisors.access.audiences import audience_of
from hypervisors.broadcast import Change, changes_group
from hypervisors.models import Domain, Hypervisor, HypervisorPool, Role, RoleBinding
from hypervisors.operations.engine.messages import operation_change
from tests.roles import bind
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")


def hearers(*changes: Change) -> list[set[str]]:
    audience = audience_of([change.concern for change in changes])
    return [set(User.objects.filter(pk__in=ids).values_list("username", flat=True)) for ids in audience]


def of_domain(domain: Domain) -> Change:
    return Change(what="domain", id=str(domain.uuid), fields={"state": "running"})


@pytest.fixture
def outside(make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]) -> Domain:
    """A machine of another pool."""
    pool = HypervisorPool.objects.create(name="rack two")
    return make_domain(name="outside", hypervisor=make_hypervisor(name="far", hypervisor_pool=pool))


@pytest.fixture
def people(bob: User, charlie: User, hypervisor_pool: HypervisorPool) -> dict[str, User]:
    """Bob views web1; dave operates the pool; erin views every machine; frank is in a group that uses the pool's."""
    names = ("dave", "erin", "frank")
    made = {name: User.objects.create_user(name) for name in names}
    bind(made["dave"], "operator", hypervisor_pool)
    bind(made["erin"], "viewer")
    group = Group.objects.create(name="team")
    made["frank"].groups.add(group)
    bind(group, "vm-user", hypervisor_pool)
    return made | {"bob": bob, "charlie": charlie}


def test_each_hears_of_what_their_roles_let_them_see(
    people: dict[str, User], domain: Domain, outside: Domain, hypervisor: Hypervisor
) -> None:
    far = outside.hypervisor
    assert far is not None
    heard = hearers(
        of_domain(domain),
        of_domain(outside),
        Change(what="hypervisor", id=str(hypervisor.pk)),
        Change(what="hypervisor", id=str(far.pk)),
        Change(what="storage_pool", id="1", fields={"hypervisor": hypervisor.pk}),
        Change(what="network", id="1", fields={"hypervisor": far.pk}),
        Change(what="hypervisor_pool", id=str(hypervisor.hypervisor_pool_id)),
        Change(what="hypervisor", id="987654", op="remove", fields={"hypervisor_pool": hypervisor.hypervisor_pool_id}),
    )
    assert heard == [{"bob", "dave", "erin", "frank"}, {"erin"}, {"dave"}, set(), {"dave"}, set(), {"dave"}, {"dave"}]


def test_an_operation_is_heard_of_by_who_sees_its_subject(
    people: dict[str, User], domain: Domain, hypervisor: Hypervisor
) -> None:
    start = make_operation(domain=domain, kind="start", requested_by=people["frank"], hypervisor=hypervisor)
    create = make_operation(
        kind="create_volume", subject_type="storage_pool", subject_key="1", subject_name="images", hypervisor=hypervisor
    )
    bulk = make_operation(kind="bulk", subject_type="several", subject_name="2", requested_by=people["frank"])
    changes = [operation_change(operation) for operation in (start, create, bulk)]
    assert hearers(*changes) == [{"bob", "dave", "erin", "frank"}, {"dave"}, {"frank"}]


def test_it_costs_one_query_and_two_more_with_roles_on_pools(
    bob: User, domain: Domain, hypervisor: Hypervisor, hypervisor_pool: HypervisorPool, django_assert_num_queries: Any
) -> None:
    concerns = [of_domain(domain).concern, Change(what="hypervisor", id=str(hypervisor.pk)).concern] * 50
    with django_assert_num_queries(1):
        audience_of(concerns)
    bind(bob, "operator", hypervisor_pool)
    with django_assert_num_queries(3):
        audience_of(concerns)


@pytest.mark.parametrize(("key", "group"), [("administrator", "fleet"), ("operator", "fleet"), ("viewer", "user")])
def test_only_who_sees_everything_is_in_the_common_group(key: str, group: str, charlie: User) -> None:
    bind(charlie, key)
    assert changes_group(charlie).partition(".")[0] == group


def test_no_message_tells_a_person_more_than_their_role(charlie: User, domain: Domain) -> None:
    role = Role.objects.create(key="own", name="Own", privileges=["hypervisor.view", "storage.view", "network.view"])
    RoleBinding.objects.create(user=charlie, role=role, scope="everything")
    assert hearers(of_domain(domain)) == [set()]
