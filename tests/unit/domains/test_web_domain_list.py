"""The list of virtual machines: who sees what, search, filters, order, pages, and its number of queries."""

import json
from collections.abc import Callable
from html import escape
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import Domain, Hypervisor, Operation
from hypervisors.models.usage import UsageSample, domain_key, record_usage
from hypervisors.operations.engine.registry import operation_type
from hypervisors.states import DomainState, OperationState
from hypervisors.web.domains import list_queries
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def names(client: Client, query: str = "") -> list[str]:
    response = client.get(f"/vms/{query}")
    assert response.status_code == 200
    return [domain.name for domain in response.context["list"].domains]


def test_strangers_are_sent_to_the_login_page(client: Client, domain: Domain) -> None:
    response = client.get("/vms/")
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/accounts/login/")


def test_a_lost_session_makes_htmx_load_the_login_page_whole(client: Client, domain: Domain) -> None:
    response = client.get("/vms/", headers={"HX-Request": "true"})
    assert response.status_code == 200
    assert response.headers["HX-Redirect"].startswith("/accounts/login/")
    assert response.content == b""


def test_everybody_sees_their_own_machines_only(
    client: Client, alice: User, bob: User, charlie: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    make_domain(name="secret")
    for user, seen in ((alice, ["secret", "web1"]), (bob, ["web1"]), (charlie, [])):
        client.force_login(user)
        assert names(client) == seen


def test_only_get_is_answered(as_alice: Client) -> None:
    assert as_alice.post("/vms/").status_code == 405


def test_vanished_machines_are_not_listed(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    make_domain(name="gone", vanished_at=timezone.now())
    assert names(as_alice) == []


def test_search_finds_name_title_host_and_the_beginning_of_a_uuid(
    as_alice: Client, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    make_domain(name="web1", title="Shop", uuid=UUID("0badcafe-0000-4000-8000-000000000000"))
    make_domain(name="db1", hypervisor=make_hypervisor(name="muc7"))
    for text, found in (
        ("WEB", ["web1"]),
        ("shop", ["web1"]),
        ("0badcafe-00", ["web1"]),
        ("0BADCAFE0000400080000000000000 00", []),
        ("muc7", ["db1"]),
        ("1", ["db1", "web1"]),
        ("%", []),
        ("nothing", []),
    ):
        response = as_alice.get("/vms/", {"q": text})
        assert [domain.name for domain in response.context["list"].domains] == found, text


def test_filters_by_state_host_and_pool(
    as_alice: Client, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    other = make_hypervisor()
    make_domain(name="runs", state=DomainState.RUNNING)
    make_domain(name="sleeps", state=DomainState.PMSUSPENDED, hypervisor=other)
    make_domain(name="stopped")
    assert names(as_alice, "?state=running") == ["runs"]
    assert names(as_alice, "?state=paused") == ["sleeps"]
    assert names(as_alice, "?state=off") == ["stopped"]
    assert names(as_alice, f"?host={other.pk}") == ["sleeps"]
    assert names(as_alice, f"?pool={other.hypervisor_pool_id}") == ["runs", "sleeps", "stopped"]
    assert names(as_alice, "?pool=999999") == []


@pytest.mark.parametrize(
    "query",
    ["?page=0", "?page=-3", "?page=x", "?page=9999", "?sort=pk&order=up", "?state=<b>", "?host=1%0a", "?size=7"],
)
def test_nonsense_in_the_url_falls_back(as_alice: Client, make_domain: Callable[..., Domain], query: str) -> None:
    make_domain(name="one")
    assert names(as_alice, query) == ["one"]


def test_sorts_by_each_column_both_ways(
    as_alice: Client, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    make_domain(name="a", vcpu_count=4, memory_kib=10, state=DomainState.RUNNING, hypervisor=make_hypervisor(name="z"))
    make_domain(name="b", vcpu_count=2, memory_kib=30, state=DomainState.SHUTOFF, hypervisor=make_hypervisor(name="x"))
    make_domain(name="c", vcpu_count=8, memory_kib=20, state=DomainState.PAUSED, hypervisor=make_hypervisor(name="y"))
    for column, ascending in (("name", "abc"), ("vcpu", "bac"), ("memory", "acb"), ("state", "cab"), ("host", "bca")):
        assert names(as_alice, f"?sort={column}") == list(ascending)
        assert names(as_alice, f"?sort={column}&order=desc") == list(reversed(ascending))


def test_sorts_by_what_was_measured_and_puts_the_idle_last(
    as_alice: Client, make_domain: Callable[..., Domain]
) -> None:
    now = int(timezone.now().timestamp())
    machines = [make_domain(name=name, state=DomainState.RUNNING) for name in ("low", "high", "middle")]
    make_domain(name="off")
    samples = {
        domain_key(machine.uuid): UsageSample(epoch=now, cpu_percent=cpu, memory_kib=100 - cpu)
        for machine, cpu in zip(machines, (1, 90, 40), strict=True)
    }
    record_usage(samples, ranking="host1")
    assert names(as_alice, "?sort=cpu&order=desc") == ["high", "middle", "low", "off"]
    assert names(as_alice, "?sort=cpu") == ["low", "middle", "high", "off"]
    assert names(as_alice, "?sort=cpu&order=desc&state=running") == ["high", "middle", "low"]
    assert names(as_alice, "?sort=cpu&order=desc&q=l") == ["middle", "low"]
    assert names(as_alice, "?sort=used&order=desc") == ["low", "middle", "high", "off"]


@pytest.mark.parametrize(("count", "most_uuids"), [(60, 1000), (60, 0), (20, 25)])
def test_the_unmeasured_come_last_by_name_on_whatever_page(
    as_alice: Client, make_domain: Callable[..., Domain], monkeypatch: pytest.MonkeyPatch, count: int, most_uuids: int
) -> None:
    monkeypatch.setattr(list_queries, "_MOST_UUIDS", most_uuids)
    now = int(timezone.now().timestamp())
    measured = [make_domain(name=f"m{number:02d}", state=DomainState.RUNNING) for number in range(count)]
    for number in range(30):
        make_domain(name=f"a{number:02d}", state=DomainState.RUNNING)
        make_domain(name=f"b{number:02d}")
    samples = [UsageSample(epoch=now, cpu_percent=number, memory_kib=1) for number in range(count)]
    record_usage(dict(zip((domain_key(m.uuid) for m in measured), samples, strict=True)), ranking="host1")
    rest = [f"{letter}{number:02d}" for letter in "ab" for number in range(30)]
    for order, first in (("", [m.name for m in measured]), ("&order=desc", [m.name for m in reversed(measured)])):
        pages = [names(as_alice, f"?sort=cpu{order}&page={page}") for page in (1, 2)]
        assert pages == [(first + rest)[:50], (first + rest)[50:100]]


def test_pages_show_each_machine_once(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    for number in range(120):
        make_domain(name=f"vm{number:03d}")
    pages = [names(as_alice, f"?page={page}") for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [name for page in pages for name in page] == [f"vm{number:03d}" for number in range(120)]
    assert len(names(as_alice, "?size=100")) == 100


def test_the_number_of_queries_does_not_grow(
    as_alice: Client,
    make_domain: Callable[..., Domain],
    alice: User,
    django_assert_num_queries: Any,
    hypervisor: Hypervisor,
) -> None:
    make_domain(name="first", state=DomainState.RUNNING)
    with django_assert_num_queries(6):  # session, user, rights, counts by state, rows with their hosts, operations
        as_alice.get("/vms/")
    rows = [
        Domain(
            uuid=uuid4(),
            name=f"vm{n}",
            hypervisor=hypervisor,
            state=DomainState.RUNNING,
            state_since=timezone.now(),
            memory_kib=1024,
        )
        for n in range(1000)
    ]
    Domain.objects.bulk_create(rows)
    make_operation(domain=rows[0], subject_name="vm0", kind="start", requested_by=alice)
    with django_assert_num_queries(6):
        as_alice.get("/vms/")
    with django_assert_num_queries(7):  # and the UUIDs of those that run
        as_alice.get("/vms/?sort=cpu&q=vm")


def test_strange_names_are_shown_as_they_are(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    name = "\"quotes\" 'single' % <b>bold</b> 😀" + "x" * 160
    make_domain(name=name)
    page = as_alice.get("/vms/").content.decode()
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt; 😀" in page
    assert names(as_alice, "?q=%3Cb%3Ebold") == [name]


def test_a_row_shows_its_machine_and_what_is_going_on_with_it(
    as_alice: Client, make_domain: Callable[..., Domain], alice: User, hypervisor: Hypervisor
) -> None:
    domain = make_domain(name="a&b", title="<i>title</i>", state=DomainState.CRASHED, state_reason='a "panic"')
    operation = make_operation(domain=domain, kind="start", requested_by=alice, progress={"percent": 0})
    page = as_alice.get("/vms/").content.decode()
    row = page[page.index("<tbody>") : page.index("</tbody>")]
    assert f'<tr id="vm-{domain.uuid}" data-uuid="{domain.uuid}" data-host="{domain.hypervisor_id}" data-href>' in row
    assert f'<a href="/vms/{domain.uuid}/"><vp-text field="name">a&amp;b</vp-text></a>' in row
    assert "&lt;i&gt;title&lt;/i&gt;" in row
    assert 'state="crashed" title="a &quot;panic&quot;"><span class="vp-state-word">Crashed</span>' in row
    assert f'<vp-busy operation="{operation.pk}" kind="start" percent="0"></vp-busy>' in row
    assert '<td class="c-host">' in row
    Operation.objects.update(progress={})
    Hypervisor.objects.update(status="offline")
    page = as_alice.get("/vms/").content.decode()
    assert f'<vp-busy operation="{operation.pk}" kind="start" percent=""></vp-busy>' in page
    assert '<td class="c-host is-stale">' in page


def test_htmx_gets_the_table_alone(as_alice: Client, domain: Domain) -> None:
    response = as_alice.get("/vms/?q=web&state=", headers={"HX-Request": "true"})
    content = response.content.decode()
    assert content.lstrip().startswith("<vp-list")
    assert "<html" not in content
    assert 'data-query="q=web" src="/vms/?q=web"' in content
    assert "HX-Boosted" in response.headers["Vary"]


def test_boosted_navigation_gets_the_main_part_alone(as_alice: Client, domain: Domain) -> None:
    content = as_alice.get("/vms/", headers={"HX-Request": "true", "HX-Boosted": "true"}).content.decode()
    assert '<main id="main"' in content
    assert "<vp-tree" not in content
    assert "<title>" in content


def test_an_unfinished_operation_shows_in_its_row(as_alice: Client, alice: User, domain: Domain) -> None:
    operation = make_operation(
        domain=domain,
        subject_name="web1",
        kind="migrate",
        state=OperationState.RUNNING,
        progress={"percent": 42},
        requested_by=alice,
    )
    assert f'operation="{operation.pk}" kind="migrate" percent="42"' in as_alice.get("/vms/").content.decode()


def test_the_page_carries_the_number_of_the_last_message(
    as_alice: Client, client: Client, bob: User, redis_client: redis.Redis
) -> None:
    redis_client.set("vmportal:seq:fleet", 7)
    redis_client.set(f"vmportal:seq:user.{bob.pk}", 3)
    assert 'data-seq="7"' in as_alice.get("/vms/").content.decode()
    client.force_login(bob)
    assert 'data-seq="3"' in client.get("/vms/").content.decode()


def test_empty_lists_say_what_to_do_next(
    client: Client, alice: User, charlie: User, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    client.force_login(alice)
    assert "Add your first hypervisor" in client.get("/vms/").content.decode()
    make_hypervisor()
    assert "No virtual machine yet" in client.get("/vms/").content.decode()
    assert "Clear the filters" in client.get("/vms/?q=x").content.decode()
    client.force_login(charlie)
    assert "No virtual machine is shared with you" in client.get("/vms/").content.decode()


def test_usage_is_told_of_visible_machines_only(
    client: Client, bob: User, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    secret = make_domain(name="secret", state="running")
    Domain.objects.filter(pk=domain.pk).update(state="running")
    now = int(timezone.now().timestamp())
    record_usage(
        {domain_key(d.uuid): UsageSample(epoch=now, cpu_percent=12.34, memory_kib=2048) for d in (domain, secret)}
    )
    client.force_login(bob)
    response = client.get("/vms/usage.json", {"uuid": [str(domain.uuid), str(secret.uuid), "nonsense"]})
    told = json.loads(response.content)["domains"]
    assert list(told) == [str(domain.uuid)]
    assert told[str(domain.uuid)]["cpu"] == [12.3]
    assert told[str(domain.uuid)]["latest"][:2] == [12.3, 2048]
    assert client.post("/vms/usage.json").status_code == 405


def test_what_does_not_run_or_was_not_measured_lately_uses_nothing(
    as_alice: Client, make_domain: Callable[..., Domain]
) -> None:
    now = int(timezone.now().timestamp())
    runs, is_off = make_domain(name="runs", state="running"), make_domain(name="off", state="shutoff")
    silent = make_domain(name="silent", state="running")
    for machine, age in ((runs, 5), (is_off, 5), (silent, 60)):
        record_usage({domain_key(machine.uuid): UsageSample(epoch=now - age, cpu_percent=50, memory_kib=2048)})
    asked = [str(machine.uuid) for machine in (runs, is_off, silent)]
    told = json.loads(as_alice.get("/vms/usage.json", {"uuid": asked}).content)["domains"]
    assert told[str(runs.uuid)]["cpu"] == [50]
    assert str(is_off.uuid) not in told
    assert told[str(silent.uuid)]["latest"] == told[str(silent.uuid)]["cpu"] == []
    page = as_alice.get("/vms/").content.decode()
    rows = {machine: page.partition(f'id="vm-{machine.uuid}"')[2].partition("</tr>")[0] for machine in (runs, is_off)}
    assert "<vp-spark off>" in rows[is_off]
    assert "<vp-spark>" in rows[runs]


def test_asking_many_says_first_what_it_does_to_which_and_whom_it_skips(
    as_alice: Client, client: Client, charlie: User, make_domain: Callable[..., Domain]
) -> None:
    runs, also, is_off = (
        make_domain(name="runs9", state=DomainState.RUNNING),
        make_domain(name="runs10", state=DomainState.RUNNING),
        make_domain(name="is-off"),
    )
    asked = {"uuid": [runs.uuid, also.uuid, is_off.uuid]}
    url = "/vms/operations/force_off/preflight/"
    dialog = as_alice.post(url, asked).content.decode()
    assert "Force off: 2 machines; skip 1" in dialog
    assert escape(str(operation_type("force_off").warning)) in dialog
    assert dialog.index("runs9") < dialog.index("runs10") < dialog.index("is-off") < dialog.index("Skipped.")
    assert f'name="uuid" value="{is_off.uuid}"' not in dialog
    assert "data-closes autofocus" in dialog
    assert not Operation.objects.exists()
    assert "Nothing was asked for" in as_alice.post(url, {"uuid": [is_off.uuid]}).content.decode()
    assert as_alice.get(url).status_code == 405
    assert as_alice.post("/vms/operations/migrate/preflight/", asked).status_code == 404
    client.force_login(charlie)
    assert "runs9" not in client.post(url, asked).content.decode()


def test_places_keep_the_other_filters(as_alice: Client, client: Client, charlie: User, domain: Domain) -> None:
    page = as_alice.get("/vms/places/?q=web&page=3").content.decode()
    assert f"/vms/?q=web&amp;host={domain.hypervisor_id}" in page
    client.force_login(charlie)
    assert "host1" not in client.get("/vms/places/").content.decode()


def test_the_root_leads_to_the_list(as_alice: Client) -> None:
    response = as_alice.get("/")
    assert (response.status_code, response.headers["Location"]) == (302, "/vms/")


def test_names_are_in_their_natural_order_on_every_database(
    as_alice: Client, make_domain: Callable[..., Domain]
) -> None:
    for name in ("web10", "Web9", "web-1", "DB2", "db10", "zoë", "äpfel", "web009a"):
        make_domain(name=name)
    assert names(as_alice) == ["DB2", "db10", "web-1", "Web9", "web009a", "web10", "zoë", "äpfel"]
    assert names(as_alice, "?order=desc")[:2] == ["äpfel", "zoë"]


def test_a_renamed_machine_is_sorted_anew(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    machine, other = make_domain(name="a"), make_domain(name="b")
    machine.name = "c"
    machine.save()
    assert names(as_alice) == [other.name, "c"]
