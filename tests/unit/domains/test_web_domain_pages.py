"""One virtual machine's page: its tabs, who may open them, and what they say."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.models import Domain, DomainCopy, Hypervisor, Installation
from hypervisors.models.usage import UsageSample, domain_key, record_usage
from hypervisors.states import AdminState, DomainState, HypervisorStatus, OperationState
from hypervisors.web.consoles.pages import why_no_console
from tests.roles import bind
from tests.rows import make_operation

pytestmark = pytest.mark.usefixtures("redis_client")

HTMX = {"HX-Request": "true"}
DOORS = ["", "screen/", "history/", "access/", "xml/versions/", "buttons/", "menu/", "usage.json"]


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.mark.parametrize("door", DOORS)
def test_each_door_opens_for_those_who_may_see_it(
    client: Client, alice: User, bob: User, charlie: User, domain: Domain, door: str
) -> None:
    url = f"/vms/{domain.uuid}/{door}"
    for user, status in ((alice, 200), (bob, 200), (charlie, 404)):
        client.force_login(user)
        assert client.get(url).status_code == status, user
    client.force_login(alice)
    assert client.post(url).status_code == 405
    assert client.get(f"/vms/{uuid4()}/{door}").status_code == 404
    client.logout()
    assert client.get(url).status_code == 302


TABS = ["", "screen/", "hardware/", "snapshots/", "history/", "access/", "xml/", "xml/versions/"]


@pytest.mark.parametrize("tab", TABS)
def test_each_tab_carries_the_number_of_the_last_message(
    as_alice: Client, domain: Domain, redis_client: redis.Redis, tab: str
) -> None:
    redis_client.set("vmportal:seq:fleet", 7)
    assert 'data-seq="7"' in as_alice.get(f"/vms/{domain.uuid}/{tab}").content.decode()


def test_the_overview_shows_what_it_is_made_of(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    parsed: dict[str, Any] = {
        "domain_type": "qemu",
        "machine": "pc-q35-7.2",
        "firmware": "efi",
        "cpu_topology": "1:2:2",
        "disks": [
            {"device": "disk", "target": "vda", "bus": "virtio", "source": "/srv/<b>/a b.qcow2", "format": "raw"}
        ],
        "interfaces": [{"mac": "52:54:00:00:00:01", "kind": "network", "source": "default", "link_up": False}],
    }
    machine = make_domain(name="web1", memory_kib=3 * 2**19, parsed=parsed, description="two\nlines")
    page = as_alice.get(f"/vms/{machine.uuid}/").content.decode()
    for text in (
        "1.5 GiB",
        "QEMU, plain emulation (slow)",
        "UEFI",
        "1 × 2 × 2",
        "/srv/&lt;b&gt;/a b.qcow2",
        "52:54:00:00:00:01",
        "two<br>lines",
        str(machine.uuid),
    ):
        assert text in page


def test_the_page_says_what_it_is_being_installed_from_until_that_is_over(as_alice: Client, domain: Domain) -> None:
    installation = Installation.objects.create(
        uuid=domain.libvirt_uuid,
        hypervisor=domain.hypervisor,
        hypervisor_pool=domain.hypervisor.hypervisor_pool,
        phase=Installation.Phase.INSTALLING,
        media={"sda": "/srv/isos/debian-12.iso"},
    )
    for part in ("", "screen/"):
        text = as_alice.get(f"/vms/{domain.uuid}/{part}").content.decode()
        assert "Installing from <b>debian-12.iso</b>" in text
    Installation.objects.filter(pk=installation.pk).update(ended_at=timezone.now())
    assert "Installing from" not in as_alice.get(f"/vms/{domain.uuid}/").content.decode()


def test_a_machine_without_a_definition_yet_has_a_page(as_alice: Client, domain: Domain) -> None:
    domain.definition.delete()
    assert as_alice.get(f"/vms/{domain.uuid}/").status_code == 200
    assert "There is no definition here" in as_alice.get(f"/vms/{domain.uuid}/xml/").content.decode()


def test_xml_is_escaped_and_shown_apart_when_live_and_inactive_differ(as_alice: Client, domain: Domain) -> None:
    domain.definition.live_xml = "<domain id='1'/>"
    domain.definition.inactive_xml = "<domain/>"
    domain.definition.save()
    page = "".join(as_alice.get(f"/vms/{domain.uuid}/xml/{side}").content.decode() for side in ("", "?live"))
    assert "&lt;domain id=&#x27;1&#x27;/&gt;" in page
    assert "&lt;domain/&gt;" in page
    assert "<domain" not in page


def test_what_cannot_be_done_says_why(
    client: Client, alice: User, bob: User, make_domain: Callable[..., Domain], domain: Domain
) -> None:
    client.force_login(alice)
    running = make_domain(name="runs", state=DomainState.RUNNING)
    buttons = client.get(f"/vms/{running.uuid}/buttons/").content.decode()
    assert f'action="/vms/{running.uuid}/operations/shut_down/"' in buttons
    assert (
        'data-confirm="Force “%s” off?" data-confirm-name="runs" data-confirm-host="host1" data-confirm-title=""'
        in buttons
    )
    assert "operations/start/" not in buttons
    client.force_login(bob)
    buttons = client.get(f"/vms/{domain.uuid}/buttons/").content.decode()
    assert "<form" not in buttons
    assert "You may look at this machine, but not operate it." in buttons
    # What one can never use is not there at all.
    assert "<button" not in buttons


def test_one_who_may_operate_it_gets_buttons(client: Client, charlie: User, domain: Domain) -> None:
    bind(charlie, "vm-user", domain)
    client.force_login(charlie)
    assert "operations/start/" in client.get(f"/vms/{domain.uuid}/buttons/").content.decode()


def test_the_running_operation_and_its_reason_are_said_once(as_alice: Client, alice: User, domain: Domain) -> None:
    operation = make_operation(
        domain=domain,
        subject_name="web1",
        kind="migrate",
        state=OperationState.RUNNING,
        requested_by=alice,
        hypervisor=domain.hypervisor,
    )
    assert f"/operations/{operation.pk}/cancel/" in as_alice.get(f"/vms/{domain.uuid}/band/").content.decode()
    menu = as_alice.get(f"/vms/{domain.uuid}/menu/").content.decode()
    assert menu.count('class="vp-menu-note"') == 1
    assert "vp-why" not in menu


def test_a_shut_down_that_takes_long_can_be_ended_by_force_where_it_is_shown(
    as_alice: Client, client: Client, alice: User, bob: User, make_domain: Callable[..., Domain]
) -> None:
    running = make_domain(name="runs", state=DomainState.RUNNING)
    make_operation(
        domain=running,
        subject_name="runs",
        kind="shut_down",
        state=OperationState.RUNNING,
        requested_by=alice,
        hypervisor=running.hypervisor,
        requested_at=timezone.now() - timedelta(seconds=10),
    )
    band = as_alice.get(f"/vms/{running.uuid}/band/").content.decode()
    assert "Force off now" in band
    assert any(f'data-late-seconds="{seconds}"' in band for seconds in (3, 4, 5))
    client.force_login(bob)
    assert "Force off now" not in client.get(f"/vms/{running.uuid}/band/").content.decode()


def test_of_what_runs_the_console_is_the_brightest_button(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    running, off = make_domain(name="runs", state=DomainState.RUNNING), make_domain(name="off")
    buttons = as_alice.get(f"/vms/{running.uuid}/buttons/").content.decode()
    assert buttons.count("btn-primary") == 1
    assert buttons.index("btn-primary") < buttons.index("/screen/") < buttons.index("operations/shut_down/")
    buttons = as_alice.get(f"/vms/{off.uuid}/buttons/").content.decode()
    assert "/screen/" not in buttons
    assert "btn-primary" in buttons


def test_a_host_that_does_not_answer_is_said(as_alice: Client, domain: Domain) -> None:
    assert domain.hypervisor is not None
    hidden_banner = f'hypervisor="{domain.hypervisor.pk}" hidden'
    assert hidden_banner in as_alice.get(f"/vms/{domain.uuid}/").content.decode()
    domain.hypervisor.status = HypervisorStatus.OFFLINE
    domain.hypervisor.status_reason = "No route to host"
    domain.hypervisor.save()
    page = as_alice.get(f"/vms/{domain.uuid}/").content.decode()
    assert "No route to host" in page
    assert hidden_banner not in page


def test_a_disabled_host_is_said_to_be_disabled_and_by_whom_to_those_who_manage_it(
    as_alice: Client, client: Client, domain: Domain, charlie: User
) -> None:
    assert domain.hypervisor is not None
    domain.hypervisor.admin_state, domain.hypervisor.admin_state_by = AdminState.DISABLED, "zoe"
    domain.hypervisor.admin_state_reason = "new memory"
    domain.hypervisor.save()
    page = as_alice.get(f"/vms/{domain.uuid}/").content.decode()
    assert "by zoe: new memory" in page
    assert '<span class="vp-host-away" hidden>' in page
    bind(charlie, "viewer", domain)
    client.force_login(charlie)
    page = client.get(f"/vms/{domain.uuid}/").content.decode()
    assert "is disabled: vmportal leaves it alone" in page
    assert "zoe" not in page
    assert "new memory" not in page


def test_a_machine_that_is_gone_keeps_its_history(
    as_alice: Client, alice: User, make_domain: Callable[..., Domain]
) -> None:
    gone = make_domain(name="gone", vanished_at=timezone.now(), hypervisor=None)
    make_operation(
        domain=gone,
        subject_name="gone",
        kind="start",
        state=OperationState.SUCCEEDED,
        outcome="It ran once.",
        requested_by=alice,
        ended_at=timezone.now(),
    )
    page = as_alice.get(f"/vms/{gone.uuid}/").content.decode()
    assert "No host has this machine since" in page
    assert "It ran once." in page
    assert "operations/start/" not in page


def test_an_open_page_becomes_the_tombstone(as_alice: Client, make_domain: Callable[..., Domain]) -> None:
    gone = make_domain(name="gone", vanished_at=timezone.now())
    response = as_alice.get(f"/vms/{gone.uuid}/buttons/", headers={"HX-Request": "true"})
    led_on = json.loads(response.headers["HX-Location"])
    assert (led_on["path"], led_on["push"], led_on["replace"]) == (f"/vms/{gone.uuid}/", "", "true")


def test_the_open_page_of_a_vanished_machine_becomes_its_page_again(
    as_alice: Client, domain: Domain, make_domain: Callable[..., Domain]
) -> None:
    gone = make_domain(name="gone", vanished_at=timezone.now())
    door = f"/vms/{gone.uuid}/buttons/?gone=1"
    assert door in as_alice.get(f"/vms/{gone.uuid}/").content.decode()
    assert as_alice.get(door).status_code == 204
    Domain.objects.filter(pk=gone.pk).update(vanished_at=None)
    assert json.loads(as_alice.get(door).headers["HX-Location"])["path"] == f"/vms/{gone.uuid}/"


def test_parts_are_asked_for_alone(as_alice: Client, domain: Domain) -> None:
    for door, start in (("", '<vp-refresh id="vm-facts"'), ("history/", '<vp-refresh id="history"')):
        content = as_alice.get(f"/vms/{domain.uuid}/{door}", headers={"HX-Request": "true"}).content.decode()
        assert content.lstrip().startswith(start)
        assert "<html" not in content


def test_the_last_hour_comes_in_columns(as_alice: Client, domain: Domain) -> None:
    now = int(timezone.now().timestamp())
    for age in (10, 5, 0):
        sample = UsageSample(epoch=now - age, cpu_percent=age, memory_kib=5)
        record_usage({domain_key(domain.uuid): sample})
    usage = json.loads(as_alice.get(f"/vms/{domain.uuid}/usage.json").content)
    assert usage["at"] == [now - 10, now - 5, now]
    assert now <= usage["now"] < now + 60
    assert usage["columns"][0] == [10, 5, 0]
    assert len(usage["columns"]) == 6


def test_the_number_of_queries_does_not_grow(
    as_alice: Client, alice: User, make_domain: Callable[..., Domain], django_assert_num_queries: Any, domain: Domain
) -> None:
    for number in range(30):
        make_domain(name=f"vm{number}")
        make_operation(
            domain=domain,
            subject_name="web1",
            kind="start",
            state=OperationState.SUCCEEDED,
            requested_by=alice,
            hypervisor=domain.hypervisor,
            ended_at=timezone.now(),
        )
    # session, user, domain with host and pool, definition, copies, twins, unfinished operation twice (possible
    # kinds, head), installation, snapshot schedules, what the guest says with its definition, addresses
    with django_assert_num_queries(14):
        as_alice.get(f"/vms/{domain.uuid}/")
    # session, user, rights, domain, count and page of operations, unfinished operation twice, installation,
    # snapshot schedules
    with django_assert_num_queries(10):
        as_alice.get(f"/vms/{domain.uuid}/history/")


def test_what_is_wrong_with_it_is_said_on_its_page_and_in_the_list(
    as_alice: Client, make_domain: Callable[..., Domain]
) -> None:
    troubled = make_domain(name="full1", state="paused", trouble="Paused by an I/O error (vdb: no space <left>).")
    for url in (f"/vms/{troubled.uuid}/", "/vms/"):
        page = as_alice.get(url).content.decode()
        assert 'field="trouble">Paused by an I/O error (vdb: no space &lt;left&gt;).</vp-text>' in page


def test_copies_on_other_hosts_are_shown_on_its_page_and_on_theirs(
    as_alice: Client, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    twice, other = make_domain(name="web9", state="running", trouble="ALARM: twice"), make_hypervisor(name="shelf")
    copy = DomainCopy.objects.create(domain=twice, hypervisor=other, name="old-web9", state="shutoff")
    page = as_alice.get(f"/vms/{twice.uuid}/").content.decode()
    assert "Left over on" in page
    assert "as “<bdi>old-web9</bdi>”, shut off: never start it there" in page
    assert (
        "“<bdi>old-web9</bdi>” here is a left-over definition"
        in as_alice.get(f"/hypervisors/{other.pk}/").content.decode()
    )
    assert "old-web9" not in as_alice.get(f"/hypervisors/{twice.hypervisor_id}/").content.decode()
    DomainCopy.objects.filter(pk=copy.pk).update(state="running", runs_too_since=timezone.now())
    for pk in (other.pk, twice.hypervisor_id):
        assert "ALARM: twice" in as_alice.get(f"/hypervisors/{pk}/").content.decode()


def test_one_that_crashed_and_is_kept_offers_what_can_be_done(
    as_alice: Client, make_domain: Callable[..., Domain]
) -> None:
    crashed = make_domain(name="boom1", state="crashed", parsed={"graphics": [{"kind": "vnc"}]})
    buttons = as_alice.get(f"/vms/{crashed.uuid}/buttons/", headers=HTMX).content.decode()
    offered = [kind for kind in ("start", "shut_down", "reboot", "force_off", "reset") if f"/{kind}/" in buttons]
    assert offered == ["force_off", "reset"]
    for kind in offered:
        assert f"/{kind}/" in as_alice.get(f"/vms/{crashed.uuid}/menu/").content.decode()
    assert "/vms/" in as_alice.get(f"/vms/{crashed.uuid}/screen/").content.decode()
    assert why_no_console(crashed) == ""
