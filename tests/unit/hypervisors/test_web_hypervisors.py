"""The doors of hosts: lists and pages, disabling, removing; who may."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hypervisors.models import Domain, Hypervisor, Network, Operation, RoleBinding, StoragePool
from hypervisors.models.usage import UsageSample, hypervisor_key, record_usage
from hypervisors.states import AdminState, HypervisorStatus, OperationState
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("tasks_at_once")

DOORS: list[tuple[str, str]] = [
    ("get", "hypervisors"),
    ("get", "processes"),
    ("get", "hypervisor"),
    ("get", "hypervisor_domains"),
    ("get", "hypervisor_storage_pools"),
    ("get", "hypervisor_networks"),
    ("get", "hypervisor_usage"),
    ("get", "hypervisor_add"),
    ("get", "hypervisor_edit"),
    ("get", "hypervisor_remove"),
    ("get", "hypervisor_admin_state"),
    ("post", "hypervisor_test"),
    ("post", "hypervisor_key_pair"),
    ("get", "hypervisor_pool"),
    ("get", "hypervisor_pool_add"),
    ("get", "hypervisor_pool_edit"),
    ("get", "hypervisor_pool_remove"),
]
WITHOUT_ID = {
    "hypervisors",
    "processes",
    "hypervisor_add",
    "hypervisor_test",
    "hypervisor_key_pair",
    "hypervisor_pool_add",
}


def door(name: str, pk: int) -> str:
    query = "?state=maintenance" if name == "hypervisor_admin_state" else ""
    return reverse(name, args=[] if name in WITHOUT_ID else [pk]) + query


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_strangers_meet_404_and_nobody_the_login(
    method: str, name: str, client: Client, bob: User, hypervisor: Hypervisor
) -> None:
    pk = hypervisor.hypervisor_pool_id if "hypervisor_pool" in name else hypervisor.pk
    answer = getattr(client, method)(door(name, pk))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("account_login"))
    client.force_login(bob)
    assert getattr(client, method)(door(name, pk)).status_code == 404


@pytest.mark.parametrize(("method", "name"), [one for one in DOORS if one[1] not in WITHOUT_ID])
def test_an_unknown_id_is_404(method: str, name: str, operator: Client) -> None:
    assert getattr(operator, method)(door(name, 987654)).status_code == 404


@pytest.mark.parametrize(("method", "name"), DOORS)
def test_the_wrong_method_is_refused(method: str, name: str, operator: Client, hypervisor: Hypervisor) -> None:
    pk = hypervisor.hypervisor_pool_id if "hypervisor_pool" in name else hypervisor.pk
    assert operator.put(door(name, pk)).status_code == 405
    if method == "post":
        assert operator.get(door(name, pk)).status_code == 405


@pytest.mark.parametrize(("method", "name"), [one for one in DOORS if one[0] == "get"])
def test_every_page_opens(method: str, name: str, operator: Client, hypervisor: Hypervisor) -> None:
    pk = hypervisor.hypervisor_pool_id if "hypervisor_pool" in name else hypervisor.pk
    assert operator.get(door(name, pk)).status_code == 200


def test_the_first_host_is_invited(operator: Client, db: None) -> None:
    assert "Add your first hypervisor" in operator.get(reverse("hypervisors")).content.decode()


def test_the_overview_counts_and_says_why_a_host_is_offline(
    operator: Client, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> None:
    online = make_hypervisor(name="alpha", cpu_percent=12.5, cpu_count=8, memory_kib=16 << 20, memory_used_kib=4 << 20)
    make_hypervisor(name="beta", status=HypervisorStatus.OFFLINE, status_reason="nothing listens on port 16509")
    make_domain(hypervisor=online, state="running")
    make_domain(hypervisor=online)
    make_domain(hypervisor=online, vanished_at=timezone.now())
    page = operator.get(reverse("hypervisors")).content.decode()
    # The third is the fixture of make_domain.
    assert "2 of 3 online" in page
    assert ">1 of 2<" in page
    assert "nothing listens on port 16509" in page
    assert "4 GiB" in page


def test_disabling_leaves_it_alone_and_enabling_follows_it_again(operator: Client, hypervisor: Hypervisor) -> None:
    url = reverse("hypervisor_admin_state", args=[hypervisor.pk])
    operator.post(url, {"state": "disabled"})
    hypervisor.refresh_from_db()
    assert (hypervisor.admin_state, hypervisor.admin_state_by) == (AdminState.DISABLED, "alice")
    assert hypervisor.status == HypervisorStatus.ONLINE, "the status is the watcher's"
    page = operator.get(hypervisor.get_absolute_url()).content.decode()
    assert "leaves this host alone" in page
    assert "alice" in page
    operator.post(url, {"state": "enabled"})
    hypervisor.refresh_from_db()
    assert hypervisor.admin_state == AdminState.ENABLED


def test_maintenance_is_asked_for_with_numbers_and_shown_everywhere(
    operator: Client, hypervisor: Hypervisor, make_domain: Callable[..., Domain]
) -> None:
    make_domain(state="running")
    make_domain(state="running")
    make_domain()
    url = reverse("hypervisor_admin_state", args=[hypervisor.pk])
    question = operator.get(f"{url}?state=maintenance", headers={"HX-Request": "true"}).content.decode()
    assert "2 virtual machines run here and stay." in question
    assert "<html" not in question
    hypervisor.refresh_from_db()
    assert hypervisor.admin_state == AdminState.ENABLED, "a question changes nothing"
    operator.post(url, {"state": "maintenance", "reason": "new <memory>"})
    for page_url in (hypervisor.get_absolute_url(), reverse("hypervisors"), "/tree/"):
        page = operator.get(page_url).content.decode()
        assert 'state="maintenance"' in page
    page = operator.get(hypervisor.get_absolute_url()).content.decode()
    assert "by alice: new &lt;memory&gt;" in page
    assert "Leave maintenance" in page


def test_leaving_maintenance_is_said_in_the_buttons_words(operator: Client, hypervisor: Hypervisor) -> None:
    url = reverse("hypervisor_admin_state", args=[hypervisor.pk])
    operator.post(url, {"state": "maintenance"})
    assert "Leave maintenance on “" in operator.get(f"{url}?state=enabled").content.decode()
    answer = operator.post(url, {"state": "enabled"}, headers={"HX-Request": "true"})
    assert "has left maintenance" in json.loads(answer.headers["HX-Trigger"])["vp:toast"]["title"]


def test_an_unknown_admin_state_is_refused(operator: Client, hypervisor: Hypervisor) -> None:
    answer = operator.post(reverse("hypervisor_admin_state", args=[hypervisor.pk]), {"state": "online"})
    assert answer.status_code == 422
    hypervisor.refresh_from_db()
    assert hypervisor.admin_state == AdminState.ENABLED


def test_removing_keeps_roles_on_machines_and_history(
    operator: Client, hypervisor: Hypervisor, domain: Domain, bob: User
) -> None:
    make_operation(kind="start", domain=domain, subject_name="web1", hypervisor=hypervisor, state="succeeded")
    url = reverse("hypervisor_remove", args=[hypervisor.pk])
    page = operator.get(url).content.decode()
    assert hypervisor.name in page
    assert "web1" in page
    assert Hypervisor.objects.exists()
    assert operator.post(url).status_code == 302
    domain.refresh_from_db()
    assert domain.vanished_at is not None
    assert domain.hypervisor is None
    assert RoleBinding.objects.filter(domain=domain, user=bob).exists()
    assert Operation.objects.filter(domain=domain).exists()
    assert not Hypervisor.objects.exists()


@pytest.mark.parametrize("role", ["hypervisor", "target_hypervisor", "domain"])
def test_removing_is_refused_while_an_operation_is_on_it(
    role: str, operator: Client, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> None:
    here, there = make_hypervisor(), make_hypervisor()
    domain = make_domain(hypervisor=here if role == "domain" else there, name="busy-vm")
    make_operation(
        kind="migrate",
        domain=domain,
        subject_name="busy-vm",
        state=OperationState.RUNNING,
        **({} if role == "domain" else {role: here}),
    )
    answer = operator.post(reverse("hypervisor_remove", args=[here.pk]))
    assert answer.status_code == 422
    assert "busy-vm" in answer.content.decode()
    assert Hypervisor.objects.filter(pk=here.pk).exists()


def test_the_page_says_plainly_when_there_is_no_kvm(operator: Client, make_hypervisor: Any) -> None:
    emulating, accelerated = make_hypervisor(kvm_available=False), make_hypervisor(kvm_available=True)
    assert "Plain emulation (no KVM)" in operator.get(emulating.get_absolute_url()).content.decode()
    assert "KVM is available" in operator.get(accelerated.get_absolute_url()).content.decode()


def test_tabs_show_storage_pools_and_networks_escaped(operator: Client, hypervisor: Hypervisor) -> None:
    StoragePool.objects.create(
        hypervisor=hypervisor,
        uuid=uuid.uuid4(),
        name="<i>images",
        pool_type="dir",
        active=True,
        autostart=False,
        target_path="/srv/images",
        capacity_bytes=10 << 30,
        allocation_bytes=4 << 30,
        available_bytes=6 << 30,
    )
    Network.objects.create(
        hypervisor=hypervisor, uuid=uuid.uuid4(), name="default", active=True, autostart=True, forward_mode="nat"
    )
    storage = operator.get(reverse("hypervisor_storage_pools", args=[hypervisor.pk])).content.decode()
    assert "&lt;i&gt;images" in storage
    assert "6 GiB" in storage
    assert "NAT" in operator.get(reverse("hypervisor_networks", args=[hypervisor.pk])).content.decode()


def test_the_usage_of_the_last_hour_is_json(operator: Client, hypervisor: Hypervisor) -> None:
    now = int(timezone.now().timestamp())
    record_usage({hypervisor_key(hypervisor.pk): UsageSample(epoch=now - 10, cpu_percent=25.0, memory_kib=1000.0)})
    answer = json.loads(operator.get(reverse("hypervisor_usage", args=[hypervisor.pk])).content)
    assert answer == {"at": [now - 10], "cpu": [25.0], "memory": [1000], "memory_kib": None}


def test_a_line_shows_a_host_in_each_of_its_states_and_escapes_what_it_says(
    operator: Client, make_hypervisor: Callable[..., Hypervisor], make_domain: Callable[..., Domain]
) -> None:
    online = make_hypervisor(
        hostname="<i>", cpu_percent=12.34, cpu_count=4, memory_kib=4 << 20, memory_used_kib=1 << 20, kvm_available=True
    )
    make_domain(hypervisor=online, state="running")
    make_domain(hypervisor=online)
    away = make_hypervisor(status="offline", status_reason='no "route" & <b>', cpu_count=1, memory_kib=1 << 20)
    fresh = make_hypervisor(status="connecting", seen_at=None)
    kept = make_hypervisor(admin_state="disabled", admin_state_by="alice", admin_state_reason="<u>broken</u>")
    page = operator.get(reverse("hypervisors")).content.decode()

    def line(hypervisor: Hypervisor) -> str:
        begin = page.index(f'<tr data-href="{hypervisor.get_absolute_url()}" data-host="{hypervisor.pk}">')
        return page[begin : page.index("</tr>", begin)]

    assert '<span class="vp-sub">&lt;i&gt;</span>' in line(online)
    assert f'<vp-load of="hypervisor:{online.pk}" field="cpu_percent"><progress max="100" value="12.3"' in line(online)
    assert '<span class="vp-load-text">12 %</span> <span class="vp-muted">of 4 CPUs</span>' in line(online)
    assert '<span class="vp-load-text">1 GiB</span> <span class="vp-muted">of 4 GiB</span>' in line(online)
    assert f'<a href="{reverse("hypervisor_domains", args=[online.pk])}">1 of 2</a>' in line(online)
    assert f'follow="hypervisor:{online.pk}" field="seen_at"></vp-ago> ago' in line(online)
    assert "KVM" in line(online)
    assert "no &quot;route&quot; &amp; &lt;b&gt;" in line(away)
    assert '<span class="vp-muted">1 CPU</span>' in line(away)
    assert "last seen" in line(away)
    assert '<span class="vp-sub">for <vp-ago at=' in line(fresh)
    assert "by alice: &lt;u&gt;broken&lt;/u&gt;" in line(kept)
    assert "seen" not in line(kept)


def test_the_overview_costs_the_same_for_many_hosts(
    operator: Client, make_hypervisor: Callable[..., Hypervisor], django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        make_hypervisor()
    with django_assert_max_num_queries(7):
        operator.get(reverse("hypervisors"))


@pytest.mark.parametrize("tab", ["", "_domains", "_storage_pools", "_networks"])
def test_a_hosts_page_costs_the_same_for_many_of_each(
    tab: str,
    operator: Client,
    hypervisor: Hypervisor,
    make_domain: Callable[..., Domain],
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(20):
        make_domain()
        StoragePool.objects.create(
            hypervisor=hypervisor,
            uuid=uuid.uuid4(),
            name=f"p{number}",
            pool_type="dir",
            active=True,
            autostart=True,
            trouble="slow" if number % 2 else "",
        )
    with django_assert_max_num_queries(11 if tab != "_domains" else 14):
        operator.get(reverse(f"hypervisor{tab}", args=[hypervisor.pk]))


def test_changing_the_admin_state_in_the_page_closes_the_dialog(operator: Client, hypervisor: Hypervisor) -> None:
    url = reverse("hypervisor_admin_state", args=[hypervisor.pk])
    answer = operator.post(url, {"state": "maintenance"}, headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert "vp:close-dialog" in answer["HX-Trigger"]
    assert "is in maintenance" in json.loads(answer["HX-Trigger"])["vp:toast"]["title"]


def test_a_hosts_machines_are_the_list_of_that_host(
    operator: Client, domain: Domain, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    other = make_hypervisor(name="elsewhere")
    make_domain(name="not-here", hypervisor=other)
    url = reverse("hypervisor_domains", args=[domain.hypervisor_id])
    page = operator.get(url).content.decode()
    assert f'<a href="/vms/{domain.uuid}/">' in page
    assert "not-here" not in page
    # What is asked of all that match is asked of this host's.
    assert f'data-query="host={domain.hypervisor_id}" src="{url}"' in page
    assert f'href="{url}?sort=cpu&amp;order=desc"' in page
    assert "Nothing here is called" in operator.get(f"{url}?q=zzz&host={other.pk}").content.decode()
    part = operator.get(url, headers={"HX-Request": "true", "HX-Target": "list"}).content.decode()
    assert part.lstrip().startswith("<vp-list")
