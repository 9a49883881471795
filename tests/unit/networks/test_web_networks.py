"""Networks' pages: the list, the form, one network with its entries, and what can be done to it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.libvirtxml.domain_references import text_in_xml
from hypervisors.libvirtxml.network_builder import build_network
from hypervisors.libvirtxml.network_reader import definition_digest
from hypervisors.libvirtxml.network_specs import AddressRange, NetworkAddress, NetworkSpec
from hypervisors.models import Domain, Hypervisor, Network, Operation, Role, RoleBinding
from hypervisors.models.xml_versions import digest
from hypervisors.privileges import Privilege
from hypervisors.states import HypervisorStatus
from tests.roles import bind
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
HTMX = {"HX-Request": "true"}
NEW = "/networks/create/"
HOSTILE = """a'b"c <script>&"""
SPEC = NetworkSpec(
    kind="nat",
    name="lan",
    uuid=str(UUID(int=1)),
    bridge="virbr1",
    addresses=(NetworkAddress(address="10.9.0.1/24", ranges=(AddressRange(start="10.9.0.2", end="10.9.0.254"),)),),
)


@pytest.fixture
def make_network(hypervisor: Hypervisor) -> Callable[..., Network]:
    def make(**values: Any) -> Network:
        xml = build_network(SPEC)
        given: dict[str, Any] = {
            "hypervisor": hypervisor,
            "uuid": UUID(int=Network.objects.count() + 1),
            "name": "lan",
            "active": True,
            "autostart": True,
            "kind": "nat",
            "forward_mode": "nat",
            "bridge": "virbr1",
            "addresses": "10.9.0.1/24",
            "definition_xml": xml,
            "live_xml": xml,
        }
        return Network.objects.create(**(given | values))

    return make


def make_user(
    network: Network, *, name: str = "web1", state: str = "running", mac: str = "52:54:00:00:00:07"
) -> Domain:
    domain = Domain.objects.create(
        uuid=UUID(int=Domain.objects.count() + 100),
        hypervisor=network.hypervisor,
        name=name,
        state=state,
        state_since=timezone.now(),
    )
    source = f"<source network='{text_in_xml(network.name)}'/>"
    card = f"<interface type='network'><mac address='52:54:00:00:00:07'/>{source}</interface>"
    xml = f"<domain><devices>{card}</devices></domain>"
    define(domain, inactive_xml=xml, live_xml=xml if state == "running" else "")
    return domain


def filled(hypervisor: Hypervisor, **values: object) -> dict[str, object]:
    return {
        "place": f"host-{hypervisor.pk}",
        "kind": "nat",
        "name": "lan",
        "ipv4": "10.9.0.1/24",
        "ipv4_dhcp": "on",
        "start": "on",
    } | values


def test_the_form_shows_the_fields_of_its_kind_and_proposes_a_free_network(
    operator: Client, hypervisor: Hypervisor, make_network: Callable[..., Network]
) -> None:
    make_network(addresses="192.168.100.1/23")
    page = operator.get(NEW).content.decode()
    assert 'value="192.168.102.1/24"' in page
    answer = operator.post(NEW, filled(hypervisor, kind="macvtap", to="check"), headers=HTMX).content.decode()
    assert "<html" not in answer
    assert 'name="macvtap_mode"' in answer
    assert "IPv4 network" not in answer


def test_one_is_asked_for_with_every_address_of_its_network(operator: Client, hypervisor: Hypervisor) -> None:
    answer = operator.post(NEW, filled(hypervisor, name=HOSTILE, ipv6="fd00:9::1/64", ipv6_dhcp="on"), headers=HTMX)
    assert answer.headers["HX-Redirect"] == f"/hypervisors/{hypervisor.pk}/networks/"
    operation = Operation.objects.get()
    assert (operation.kind, operation.subject_name) == ("create_network", HOSTILE)
    assert operation.parameters["spec"]["addresses"] == [
        {"address": "10.9.0.1/24", "ranges": [{"start": "10.9.0.2", "end": "10.9.0.254"}], "hosts": []},
        {"address": "fd00:9::1/64", "ranges": [{"start": "fd00:9::100", "end": "fd00:9::1ff"}], "hosts": []},
    ]
    assert (operation.parameters["start"], operation.parameters["autostart"]) == (True, False)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "a/b"}, "has no “/”"),
        ({"ipv4": "10.9.0.1"}, "needs the length of its network"),
        ({"ipv4": "10.9.0.0/24"}, "is the network itself"),
        ({"ipv4": "lan"}, "is no address with the length"),
        ({"ipv4_ranges": "10.9.0.9 – 10.9.0.3"}, "comes after"),
        ({"ipv4_ranges": "10.8.0.3-10.8.0.9"}, "is not in the network"),
        ({"ipv6": "fd00::1"}, "needs the length of its network"),
        ({"mtu": "12"}, "An MTU is from 68"),
        ({"bridge": "a bridge"}, "is no name of an interface"),
        ({"inbound_peak_kib": "7"}, "needs an average too"),
        ({"domain": "-x"}, "A domain is like"),
        ({"dns_forwarders": "nine"}, "is no address of a name server"),
        ({"kind": "bridge", "bridge": ""}, "Say which bridge of the host it is."),
        ({"kind": "ovs", "bridge": "ovs0", "vlan_tags": "5000"}, "A VLAN tag is"),
        ({"kind": "wormhole"}, "Select a valid choice"),
        ({"view": "xml", "xml": "<network"}, "cannot be read"),
        ({"view": "xml", "xml": "<pool/>"}, "begins with &lt;network&gt;"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, object], said: str, operator: Client, hypervisor: Hypervisor) -> None:
    answer = operator.post(NEW, filled(hypervisor, **values), headers=HTMX)
    assert (answer.status_code, said in answer.content.decode()) == (200, True)
    assert operator.post(NEW, filled(hypervisor, **values)).status_code == 422
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "has a network called “lan” already."),
        ({"name": "other"}, "The network “lan” of host1 has 10.9.0.0/24 already"),
        ({"name": "other", "ipv4": "10.8.0.1/24", "bridge": "virbr1"}, "virbr1 is the bridge of the network “lan”"),
        ({"name": "other", "kind": "bridge", "bridge": "br7"}, "host1 has no interface called br7."),
    ],
)
def test_what_collides_with_others_is_refused_before_anything_is_asked(
    values: dict[str, object],
    said: str,
    operator: Client,
    hypervisor: Hypervisor,
    make_network: Callable[..., Network],
) -> None:
    hypervisor.interface_names = ["eth0", "lo"]
    hypervisor.save()
    make_network()
    for to in ({"to": "check"}, {}):
        answer = operator.post(NEW, filled(hypervisor, **values) | to, headers=HTMX).content.decode()
        assert said in answer
    assert not Operation.objects.exists()


def test_fields_turn_into_xml_and_back(operator: Client, hypervisor: Hypervisor) -> None:
    values = filled(hypervisor, name=HOSTILE, domain="x.lan")
    as_xml = operator.post(NEW, values | {"to": "xml"}, headers=HTMX).content.decode()
    assert "&lt;domain name=&quot;x.lan&quot;/&gt;" in as_xml
    ip = "<ip address='10.3.0.1' netmask='255.255.0.0'/>"
    xml = f"<network><name>n2</name><forward mode='route' dev='eth0'/>{ip}</network>"
    as_fields = operator.post(NEW, values | {"view": "xml", "xml": xml, "to": "form"}, headers=HTMX).content.decode()
    assert 'value="10.3.0.1/16"' in as_fields
    assert 'value="eth0"' in as_fields
    assert 'value="n2"' in as_fields


def test_every_host_of_a_pool_is_asked_and_those_that_cannot_are_named(
    operator: Client,
    hypervisor: Hypervisor,
    make_hypervisor: Callable[..., Hypervisor],
    make_network: Callable[..., Network],
) -> None:
    second, away = make_hypervisor(), make_hypervisor(status=HypervisorStatus.OFFLINE)
    make_network(hypervisor=second)
    values = filled(hypervisor, place=f"pool-{hypervisor.hypervisor_pool_id}")
    shown = operator.post(NEW, values | {"to": "check"}, headers=HTMX).content.decode()
    assert f"{second.name} has a network called “lan” already." in shown
    assert f"{away.name} is offline" in shown
    assert "Create on 1 host" in shown
    assert operator.post(NEW, values, headers=HTMX).headers["HX-Redirect"] == "/networks/"
    assert Operation.objects.filter(kind="create_network").count() == 1


def test_one_may_make_them_where_one_manages_networks_and_nowhere_else(
    client: Client, charlie: User, hypervisor: Hypervisor, make_hypervisor: Callable[..., Hypervisor]
) -> None:
    bind(charlie, "operator", hypervisor.hypervisor_pool)
    far = make_hypervisor(hypervisor_pool=type(hypervisor.hypervisor_pool).objects.create(name="far"))
    client.force_login(charlie)
    assert far.name not in client.get(NEW, follow=True).content.decode()
    assert client.post(NEW, filled(far)).status_code == 404
    assert not Operation.objects.exists()


def test_who_gives_dnsmasq_options_manages_the_host(
    client: Client, charlie: User, hypervisor: Hypervisor, make_network: Callable[..., Network]
) -> None:
    """By them root runs whatever they name."""
    role = Role.objects.create(
        key="nets",
        name="nets",
        privileges=[Privilege.NETWORK_VIEW, Privilege.NETWORK_MANAGE, Privilege.HYPERVISOR_VIEW],
    )
    RoleBinding.objects.create(user=charlie, role=role, scope="everything")
    client.force_login(charlie)
    namespace = "xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'"
    options = "<d:options><d:option value='dhcp-script=/tmp/x'/></d:options>"
    xml = f"<network {namespace}><name>evil</name>{options}</network>"
    values = filled(hypervisor, view="xml", xml=xml)
    assert client.post(NEW, values).status_code == 403
    network = make_network()
    changed = network.definition_xml.replace("<network>", f"<network {namespace}>").replace(
        "</network>", f"{options}</network>"
    )
    given = {"xml": changed, "base": digest(network.definition_xml), "apply": "1", "reviewed": digest(changed)}
    assert client.post(f"/networks/{network.pk}/xml/", given).status_code == 403
    assert not Operation.objects.exists()
    assert (
        client.post(NEW, filled(hypervisor, view="xml", xml="<network><name>good</name></network>")).status_code == 302
    )


@pytest.mark.parametrize(
    "typed",
    [
        "<!DOCTYPE network [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><network><name>lab</name><uuid>&e;</uuid></network>",
        "<network><name>lab</name><dns><txt name='a' value='b&#10;dhcp-script=/bin/sh'/></dns></network>",
        "<network><name>lab</name>" + "<a>" * 3000 + "</a>" * 3000 + "</network>",
        "<network><name>lab</name>\x00</network>",
        "<domain><name>lab</name></domain>",
    ],
)
def test_hostile_xml_is_said_to_be_so(
    typed: str, operator: Client, hypervisor: Hypervisor, make_network: Callable[..., Network]
) -> None:
    network = make_network()
    digest = definition_digest(network.definition_xml)
    answers = [
        operator.post(NEW, filled(hypervisor, view="xml", xml=typed)),
        operator.post(f"/networks/{network.pk}/edit/", {"view": "xml", "xml": typed, "digest": digest}),
        operator.post(f"/networks/{network.pk}/xml/", {"xml": typed, "base": digest}),
        operator.post(f"/networks/{network.pk}/xml/", {"xml": typed, "base": digest}),
    ]
    assert all(answer.status_code < 500 for answer in answers)
    assert not Operation.objects.exists()


def test_the_list_says_how_many_are_plugged_in_with_a_pinned_number_of_queries(
    operator: Client, make_network: Callable[..., Network], django_assert_max_num_queries: Any
) -> None:
    make_network(name=HOSTILE, pending=["mtu"], connection_count=3)
    plain = make_network(name="plain", addresses="", connection_count=1)
    with django_assert_max_num_queries(13):
        page = operator.get("/networks/").content.decode()
    assert "3 cards" in page
    assert "1 card<" in page
    assert "restart pending" in page
    assert "<script>&" not in page
    assert "No network here is called “nothing”." in operator.get("/networks/?q=nothing").content.decode()
    assert "3 cards" in operator.get(f"/hypervisors/{plain.hypervisor_id}/networks/").content.decode()


def test_the_page_shows_machines_addresses_and_what_waits(
    operator: Client, make_network: Callable[..., Network]
) -> None:
    network = make_network(leases={"52:54:00:00:00:07": ["10.9.0.17"]}, pending=["addresses", "mtu"])
    make_user(network)
    page = operator.get(network.get_absolute_url()).content.decode()
    assert "10.9.0.17" in page
    assert "web1" in page
    assert "applies when the network is restarted: addresses, MTU." in page
    assert "“web1” lose their link for a moment, and get it back." in page
    assert "These run with a card on it and lose their link: “web1”." in page
    assert "Virtual machines run with a card on it: “web1”." in page


def test_of_thousands_of_fixed_addresses_the_first_are_shown_until_all_are_asked_for(
    operator: Client, make_network: Callable[..., Network]
) -> None:
    hosts = "".join(
        f"<host mac='52:54:00:00:{n // 256:02x}:{n % 256:02x}' ip='10.8.{n // 250}.{n % 250 + 2}'/>" for n in range(600)
    )
    xml = f"<network><name>big</name><ip address='10.8.0.1' prefix='16'><dhcp>{hosts}</dhcp></ip></network>"
    network = make_network(definition_xml=xml, live_xml="")
    page = operator.get(network.get_absolute_url()).content.decode()
    assert (">10.8.1.251<" in page, ">10.8.2.2<" in page) == (True, False)
    assert "The first 500 of 600 are shown." in page
    page = operator.get(f"{network.get_absolute_url()}?all").content.decode()
    assert ">10.8.2.101<" in page
    assert "are shown." not in page


def test_the_page_of_one_that_is_gone(operator: Client, make_network: Callable[..., Network]) -> None:
    network = make_network(vanished_at=timezone.now())
    assert "does not have this network any more" in operator.get(network.get_absolute_url()).content.decode()
    # An open page of it becomes that page, whole.
    assert operator.get(network.get_absolute_url(), headers=HTMX).headers["HX-Refresh"] == "true"


def test_it_is_stopped_started_and_restarted_by_a_click(operator: Client, make_network: Callable[..., Network]) -> None:
    network = make_network()
    for word in ("stop", "restart", "autostart"):
        assert operator.post(f"/networks/{network.pk}/{word}/", headers=HTMX).status_code == 204
        Operation.objects.all().delete()
    answer = operator.post(f"/networks/{network.pk}/start/", headers=HTMX)
    assert (answer.status_code, "It is started already." in answer.content.decode()) == (422, True)


def test_it_is_not_deleted_while_a_machine_runs_on_it_and_those_that_are_off_are_named(
    operator: Client, make_network: Callable[..., Network]
) -> None:
    network = make_network()
    url = f"/networks/{network.pk}/delete/"
    running = make_user(network)
    make_user(network, name="off1", state="shutoff")
    assert "Virtual machines run with a card on it: “web1”." in operator.get(url, headers=HTMX).content.decode()
    assert "Virtual machines run" in operator.post(url, headers=HTMX).content.decode()
    assert not Operation.objects.exists()
    running.delete()
    dialog = operator.get(url, headers=HTMX).content.decode()
    assert "they cannot be started without it:" in dialog
    assert "off1" in dialog
    assert operator.post(url, headers=HTMX).status_code == 204
    assert Operation.objects.get().kind == "delete_network"


def test_it_is_edited_guarded_by_what_was_seen(operator: Client, make_network: Callable[..., Network]) -> None:
    network = make_network()
    url, digest = f"/networks/{network.pk}/edit/", definition_digest(network.definition_xml)
    page = operator.get(url).content.decode()
    assert f'value="{digest}"' in page
    assert 'value="10.9.0.2 – 10.9.0.254"' in page
    values = {
        "digest": digest,
        "bridge": "virbr1",
        "ipv4": "10.9.0.1/24",
        "ipv4_dhcp": "on",
        "ipv4_ranges": "10.9.0.5-10.9.0.9",
    }
    answer = operator.post(url, values | {"digest": "x"}, headers=HTMX).content.decode()
    assert "Somebody changed its definition meanwhile" in answer
    answer = operator.post(url, values | {"ipv4_ranges": "10.9.0.2 – 10.9.0.254"}, headers=HTMX).content.decode()
    assert "Nothing is changed." in answer
    assert operator.post(url, values, headers=HTMX).headers["HX-Redirect"] == network.get_absolute_url()
    operation = Operation.objects.get()
    assert '<range start="10.9.0.5" end="10.9.0.9"/>' in operation.parameters["xml"]


def test_a_kind_without_fields_is_edited_as_xml(operator: Client, make_network: Callable[..., Network]) -> None:
    xml = "<network><name>lan</name><forward mode='vdpa'/></network>"
    network = make_network(kind="vdpa", definition_xml=xml)
    assert 'name="xml"' in operator.get(f"/networks/{network.pk}/edit/").content.decode()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"section": "static_host", "address": "10.8.0.4", "mac": "52:54:00:00:00:01"},
            "10.8.0.4 is not in this network.",
        ),
        ({"section": "static_host", "address": "10.9.0.4", "mac": "x"}, "is no MAC address"),
        ({"section": "static_host", "address": "10.9.0.1", "mac": "52:54:00:00:00:01"}, "the host's own address"),
        ({"section": "static_host", "address": "10.9.0.4"}, "Say whose address it is"),
        ({"section": "dns_host", "address": "10.9.0.4", "names": "a_b c!"}, "is no host name"),
        ({"section": "port_group", "name": "<g>"}, "A port group's name"),
        ({"section": "port_group", "name": "g", "inbound_kib": "many"}, "A limit is"),
        ({"section": "weather"}, "A network has no such part."),
    ],
)
def test_entries_that_cannot_be_are_refused(
    values: dict[str, str], said: str, operator: Client, make_network: Callable[..., Network]
) -> None:
    network = make_network()
    answer = operator.post(f"/networks/{network.pk}/entries/add/", values, headers=HTMX)
    assert (answer.status_code, said in answer.content.decode()) == (422, True), answer.content
    assert not Operation.objects.exists()


def test_entries_are_asked_for_and_removed(operator: Client, make_network: Callable[..., Network]) -> None:
    network = make_network()
    url = f"/networks/{network.pk}/entries"
    given = {"section": "static_host", "address": "10.9.0.4", "mac": "52:54:00:00:00:01", "name": "web"}
    assert operator.post(f"{url}/add/", given, headers=HTMX).status_code == 204
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters["values"]["address"]) == ("add_network_entry", "10.9.0.4")
    Operation.objects.all().delete()
    answer = operator.post(f"{url}/remove/", {"section": "static_host", "key": "10.9.0.4"}, headers=HTMX)
    assert (answer.status_code, "It is not there any more." in answer.content.decode()) == (422, True)


def test_the_wrong_method_person_or_id(
    bob: User, charlie: User, operator: Client, make_network: Callable[..., Network]
) -> None:
    network = make_network()
    words = ("start", "stop", "restart", "autostart", "entries/add", "entries/remove")
    urls = [f"/networks/{network.pk}/{word}/" for word in words]
    assert [operator.get(url).status_code for url in urls] == [405] * len(urls)
    assert operator.post("/networks/99999/stop/").status_code == 404
    other = Client()
    for person in (bob, charlie):
        other.force_login(person)
        assert [other.post(url, headers=HTMX).status_code for url in urls] == [404] * len(urls)
        assert other.post(f"/networks/{network.pk}/delete/", headers=HTMX).status_code == 404
    assert not Operation.objects.exists()
