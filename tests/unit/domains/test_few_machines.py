"""Who uses a few machines: where they land, what their frame and list look like, and what they are spared."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import Domain, Network
from hypervisors.states import DomainState
from hypervisors.web.frames import FEW_MACHINES
from tests.roles import bind

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def as_charlie(client: Client, charlie: User) -> Client:
    client.force_login(charlie)
    return client


def leads_to(client: Client) -> str:
    response = client.get("/")
    assert response.status_code == 302
    return response.headers["Location"]


def test_who_has_one_machine_lands_on_it_and_on_its_screen_while_it_runs(
    as_charlie: Client, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    assert leads_to(as_charlie) == "/vms/"
    bind(charlie, "vm-user", domain)
    assert leads_to(as_charlie) == f"/vms/{domain.uuid}/"
    Domain.objects.filter(pk=domain.pk).update(state=DomainState.RUNNING)
    assert leads_to(as_charlie) == f"/vms/{domain.uuid}/screen/"
    bind(charlie, "viewer", make_domain(name="second"))
    assert leads_to(as_charlie) == "/vms/"


def test_an_operator_with_one_machine_lands_on_the_list(operator: Client, domain: Domain) -> None:
    assert leads_to(operator) == "/vms/"


def test_a_user_is_spared_what_is_for_operators(as_charlie: Client, charlie: User, domain: Domain) -> None:
    bind(charlie, "vm-user", domain)
    page = as_charlie.get(f"/vms/{domain.uuid}/").content.decode()
    assert 'class="vp-app vp-simple vp-few"' in page
    for word in ("<vp-tree", "/migrate/", ">XML<", ">Access<", 'class="vp-nav"'):
        assert word not in page, word
    assert "operations/start/" in page
    # The addresses of what is not offered still answer: they are no secret.
    assert as_charlie.get(f"/vms/{domain.uuid}/xml/").status_code == 200


def test_an_operator_keeps_the_inventory_and_every_part(operator: Client, domain: Domain) -> None:
    page = operator.get(f"/vms/{domain.uuid}/").content.decode()
    assert "vp-simple" not in page
    for word in ("<vp-tree", "/migrate/", ">XML<", ">Access<", 'class="vp-nav"'):
        assert word in page, word


def test_few_machines_are_cards_with_state_and_console(
    as_charlie: Client, charlie: User, make_domain: Callable[..., Domain]
) -> None:
    used = make_domain(name="used", state=DomainState.RUNNING)
    watched = make_domain(name="watched")
    bind(charlie, "vm-user", used)
    bind(charlie, "viewer", watched)
    page = as_charlie.get("/vms/").content.decode()
    assert page.count('class="card vp-machine"') == 2
    assert f'href="/vms/{used.uuid}/screen/"' in page
    assert f"/vms/{used.uuid}/operations/start/" in page
    assert f"/vms/{watched.uuid}/operations/start/" not in page
    for word in ("vp-pager", "vp-bulk", "<table", 'id="filters"'):
        assert word not in page, word


def test_many_machines_are_a_table_for_everybody(
    as_charlie: Client, charlie: User, make_domain: Callable[..., Domain]
) -> None:
    for _ in range(FEW_MACHINES + 1):
        bind(charlie, "viewer", make_domain())
    page = as_charlie.get("/vms/").content.decode()
    assert 'class="vp-app vp-simple"' in page
    assert "<table" in page
    assert "vp-machine" not in page


def test_an_operators_few_machines_are_a_table(operator: Client, domain: Domain) -> None:
    page = operator.get("/vms/").content.decode()
    assert "<table" in page
    assert "vp-machine" not in page


def test_addresses_are_those_that_the_hosts_networks_gave(
    as_charlie: Client, operator: Client, charlie: User, make_domain: Callable[..., Domain]
) -> None:
    interfaces = [{"mac": "52:54:00:00:00:01", "kind": "network", "source": "default"}]
    machine, other = make_domain(name="used", parsed={"interfaces": interfaces}), make_domain(name="other")
    leases = {"52:54:00:00:00:01": ["192.168.122.7", "fd00::7"], "52:54:00:00:00:02": ["192.168.122.8"]}
    common = {"hypervisor": machine.hypervisor, "active": True, "autostart": True, "forward_mode": "nat"}
    Network.objects.create(uuid=uuid4(), name="default", leases=leases, **common)
    Network.objects.create(uuid=uuid4(), name="gone", leases=leases, vanished_at=timezone.now(), **common)
    page = operator.get(f"/vms/{machine.uuid}/").content.decode()
    assert page.count("<code>192.168.122.7</code>") == page.count("<code>fd00::7</code>") == 1
    for used in (machine, other):
        bind(charlie, "viewer", used)
    as_charlie.force_login(charlie)
    cards = as_charlie.get("/vms/").content.decode()
    assert cards.count("<code>192.168.122.7</code>") == 1
    assert "192.168.122.8" not in page + cards
