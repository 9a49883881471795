"""Network filters, devices and secrets of a host: read, mirrored, shown with who has them, created and deleted."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from hypervisors.inventory.hypervisors.listings_mirror import ListingsMirror
from hypervisors.inventory.observations import ThingsListed
from hypervisors.libvirtxml.network_filters import build_network_filter, filter_digest, parse_network_filter
from hypervisors.libvirtxml.node_devices import parse_interface, parse_node_device
from hypervisors.libvirtxml.secrets import SecretSpec, build_secret, parse_secret, secret_problems
from hypervisors.models import (
    AuditRecord,
    Domain,
    DomainSnapshot,
    HostSecret,
    Hypervisor,
    NetworkFilter,
    NodeDevice,
    Operation,
    StoragePool,
)
from hypervisors.operations.storage.secret_uses import secret_users
from tests.rows import define

HTMX = {"HX-Request": "true"}
ROWS = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]
PCI = """<device><name>pci_0000_03_00_0</name><parent>pci_0000_00_1c_0</parent><driver><name>vfio-pci</name></driver>
  <capability type='pci'><domain>0</domain><bus>3</bus><slot>0</slot><function>1</function>
    <product id='0x1528'>X540</product><vendor id='0x8086'>Intel</vendor>
    <capability type='mdev_types'><type id='nvidia-11'><name>GRID</name></type></capability>
    <iommuGroup number='15'/></capability></device>"""
USB = """<device><name>usb_1_2</name><capability type='usb_device'><bus>1</bus><device>5</device>
  <product id='0xc52b'>Receiver</product><vendor id='0x046d'>Logitech</vendor></capability></device>"""


def test_devices_are_read_as_machines_name_them() -> None:
    pci, usb = parse_node_device(PCI), parse_node_device(USB)
    assert pci is not None
    assert (pci.host_device, pci.driver, pci.iommu_group) == ("pci 0000:03:00.1", "vfio-pci", 15)
    assert (pci.vendor, pci.product, pci.details["mdev_types"]) == ("Intel", "X540", ["nvidia-11"])
    assert usb is not None
    assert (usb.host_device, usb.host_device_model) == ("usb 001:005", "usb 046d:c52b")
    for nothing in ("<device><capability type='system'/></device>", "<device/>"):
        assert parse_node_device(nothing) is None
    with pytest.raises(ValueError, match="cannot be read"):
        parse_node_device("<device")


def test_an_interface_is_read_with_its_members() -> None:
    xml = """<interface type='bridge' name='br0'><mac address='52:54:00:00:00:01'/><mtu size='1500'/>
      <link speed='1000' state='up'/><bridge><interface name='eth0'/><interface name='vnet0'/></bridge></interface>"""
    found = parse_interface(xml)
    assert (found.interface, found.details["members"]) == ("br0", ["eth0", "vnet0"])
    assert (found.details["speed_mbit"], found.details["mtu"]) == (1000, 1500)


@pytest.mark.parametrize("usage_type", ["ceph", "iscsi", "volume", "tls", "vtpm"])
def test_a_secret_is_built_and_read_back(usage_type: str) -> None:
    spec = SecretSpec(uuid=str(UUID(int=1)), usage_type=usage_type, usage="a <&> 'b'", description="d")
    assert parse_secret(build_secret(spec)) == spec
    assert secret_problems(spec) == {}
    assert set(secret_problems(SecretSpec(usage_type="x", description="a\nb"))) == {
        "usage_type",
        "usage",
        "description",
    }


def test_a_filter_is_read() -> None:
    xml = build_network_filter("mine").replace("</filter>", "<filterref filter='no-arp-spoofing'/></filter>")
    parsed = parse_network_filter(xml)
    assert (parsed.name, parsed.rule_count, parsed.references) == ("mine", 1, ("no-arp-spoofing",))


def make_machine(hypervisor: Hypervisor, devices: str, *, name: str = "web1") -> Domain:
    domain = Domain.objects.create(
        uuid=UUID(int=Domain.objects.count() + 100),
        hypervisor=hypervisor,
        name=name,
        state="running",
        state_since=timezone.now(),
    )
    xml = f"<domain><devices>{devices}</devices></domain>"
    define(domain, live_xml=xml, inactive_xml=xml)
    return domain


class TestMirror:
    pytestmark = ROWS

    def test_each_listing_replaces_the_one_before(self, hypervisor: Hypervisor) -> None:
        mirror = ListingsMirror()

        def list_them(*names: str) -> int:
            things: tuple[dict[str, Any], ...] = tuple({"name": name, "capability": "pci"} for name in names)
            mirror.take_listing(ThingsListed(hypervisor_id=hypervisor.pk, what="node_device", things=things))
            changes = mirror.save()
            mirror.note_saved()
            return len(changes)

        assert list_them("a", "b") == 1
        assert list_them("a", "b") == 0
        assert list_them("b") == 1
        assert list(NodeDevice.objects.values_list("name", flat=True)) == ["b"]
        mirror.clear()
        assert list_them("b") == 0


class TestPages:
    pytestmark = ROWS

    def test_devices_are_shown_with_who_holds_them(self, operator: Client, hypervisor: Hypervisor) -> None:
        values: dict[str, Any] = {"hypervisor": hypervisor, "capability": "pci", "product": "X540"}
        NodeDevice.objects.create(name="p1", host_device="pci 0000:03:00.1", iommu_group=15, **values)
        NodeDevice.objects.create(hypervisor=hypervisor, name="i", capability="net", interface="eth1")
        address = "<address domain='0x0000' bus='0x03' slot='0x00' function='0x1'/>"
        make_machine(
            hypervisor,
            f"<hostdev mode='subsystem' type='pci'><source>{address}</source></hostdev>"
            "<interface type='direct'><source dev='eth1' mode='bridge'/></interface>",
        )
        page = operator.get(f"/hypervisors/{hypervisor.pk}/devices/").content.decode()
        assert page.count(">web1</a>") >= 2
        assert "X540" in page

    def test_a_filter_that_is_used_stays(self, operator: Client, hypervisor: Hypervisor) -> None:
        xml = build_network_filter("mine")
        row = NetworkFilter.objects.create(hypervisor=hypervisor, uuid=UUID(int=7), name="mine", xml=xml)
        assert "mine" in operator.get("/networks/filters/").content.decode()
        card = "<interface type='network'><source network='n'/><filterref filter='mine'/></interface>"
        domain = make_machine(hypervisor, card)
        assert "Cards of these machines have it: “web1”." in operator.get(row.get_absolute_url()).content.decode()
        answer = operator.post(f"/networks/filters/{row.pk}/delete/", headers=HTMX)
        assert (answer.status_code, "web1" in answer.content.decode()) == (422, True)
        domain.delete()
        answer = operator.post(f"/networks/filters/{row.pk}/delete/", headers=HTMX)
        assert answer.headers["HX-Redirect"] == "/networks/filters/"
        assert Operation.objects.get().kind == "delete_network_filter"

    def test_a_filter_is_made_and_edited_guarded_by_what_was_seen(
        self, operator: Client, hypervisor: Hypervisor
    ) -> None:
        new = f"/networks/filters/create/{hypervisor.pk}/"
        assert "my-filter" in operator.get(new).content.decode()
        assert "begins with &lt;filter&gt;" in operator.post(new, {"xml": "<network/>"}).content.decode()
        assert operator.post(new, {"xml": build_network_filter("mine")}).status_code == 302
        parameters = Operation.objects.get().parameters
        assert parse_network_filter(parameters["xml"]).uuid == parameters["uuid"]
        Operation.objects.all().delete()
        xml = parameters["xml"]
        row = NetworkFilter.objects.create(hypervisor=hypervisor, uuid=parameters["uuid"], name="mine", xml=xml)
        url, changed = row.get_absolute_url(), xml.replace("drop", "accept")
        assert "Somebody changed it" in operator.post(url, {"xml": changed, "digest": "x"}).content.decode()
        other = xml.replace("mine", "other")
        assert (
            "name and its UUID stay"
            in operator.post(url, {"xml": other, "digest": filter_digest(xml)}).content.decode()
        )
        assert operator.post(url, {"xml": changed, "digest": filter_digest(xml)}).status_code == 302
        assert Operation.objects.get().kind == "edit_network_filter"

    def test_a_secrets_value_is_written_and_never_shown(
        self, operator: Client, hypervisor: Hypervisor, make_hypervisor: Callable[..., Hypervisor]
    ) -> None:
        make_hypervisor()
        url = f"/hypervisors/{hypervisor.pk}/secrets/create/"
        said = {"usage_type": "ceph", "usage": "client.vms", "value": "c2VjcmV0dmFsdWU=", "is_base64": "on"}
        assert "This is no base64." in operator.post(url, said | {"value": "%"}, headers=HTMX).content.decode()
        answer = operator.post(url, said | {"value": "%"}, headers=HTMX).content.decode()
        assert 'value="%"' not in answer
        assert operator.post(url, said | {"everywhere": "on"}, headers=HTMX).status_code == 204
        children = Operation.objects.filter(kind="create_secret")
        assert len({child.parameters["uuid"] for child in children}) == 1
        assert children.count() == 2
        assert not AuditRecord.objects.filter(after__icontains="c2VjcmV0").exists()

    def test_a_secret_that_is_used_stays(self, operator: Client, hypervisor: Hypervisor) -> None:
        secret = HostSecret.objects.create(
            hypervisor=hypervisor, uuid=UUID(int=9), usage_type="ceph", usage="client.vms"
        )
        pool = StoragePool.objects.create(
            hypervisor=hypervisor,
            uuid=UUID(int=1),
            name="rbd1",
            pool_type="rbd",
            active=True,
            autostart=True,
            definition_xml=f"<pool><source><auth><secret uuid='{secret.uuid}'/></auth></source></pool>",
        )
        assert "It is used by “rbd1”." in operator.get(f"/hypervisors/{hypervisor.pk}/secrets/").content.decode()
        url = f"/storage/secrets/{secret.pk}/delete/"
        assert operator.post(url, headers=HTMX).status_code == 422
        pool.delete()
        assert operator.post(url, headers=HTMX).status_code == 204
        Operation.objects.all().delete()
        value = {"value": "other"}
        assert operator.post(f"/storage/secrets/{secret.pk}/value/", value, headers=HTMX).status_code == 204
        assert Operation.objects.get().kind == "set_secret_value"

    @pytest.mark.parametrize(
        "inside",
        [
            "<tpm model='tpm-crb'><backend type='emulator'><encryption secret='{uuid}'/></backend></tpm>",
            "<disk><source><encryption><secret type='passphrase' uuid='{uuid}'/></encryption></source></disk>",
        ],
    )
    def test_a_secret_that_a_guest_was_encrypted_with_stays(
        self, operator: Client, domain: Domain, hypervisor: Hypervisor, inside: str
    ) -> None:
        secret = HostSecret.objects.create(
            hypervisor=hypervisor, uuid=UUID(int=0xABCDEF), usage_type="vtpm", usage="web1-tpm"
        )
        xml = f"<domain><name>web1</name><devices>{inside.format(uuid=secret.uuid)}</devices></domain>"
        define(domain, live_xml="", inactive_xml=xml)
        assert secret_users(secret) == [domain.name]
        assert operator.post(f"/storage/secrets/{secret.pk}/delete/", headers=HTMX).status_code == 422
        define(domain, live_xml="", inactive_xml="<domain><name>web1</name></domain>")
        DomainSnapshot.objects.create(
            domain=domain, name="one", kind="internal", xml=f"<domainsnapshot>{xml}</domainsnapshot>"
        )
        assert secret_users(secret) == [domain.name]

    def test_strangers_and_those_who_only_look_get_nothing(
        self, client: Client, bob: User, charlie: User, hypervisor: Hypervisor
    ) -> None:
        secret = HostSecret.objects.create(hypervisor=hypervisor, uuid=UUID(int=9), usage="u")
        for person in (bob, charlie):
            client.force_login(person)
            assert client.post(f"/storage/secrets/{secret.pk}/delete/").status_code == 404
            assert client.get(f"/hypervisors/{hypervisor.pk}/secrets/").status_code == 404
        assert not Operation.objects.exists()
