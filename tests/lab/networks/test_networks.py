"""Networks on real hypervisors, by real workers: every kind, changed under a running guest, restarted, deleted."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from deploy.lab.host import Host
from deploy.lab.process import LabError
from hypervisors.errors import NotPossible
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_reader import definition_digest, read_network_spec
from hypervisors.libvirtxml.network_specs import AddressRange, NetworkAddress, NetworkSpec
from hypervisors.models import Hypervisor, Network, Operation
from hypervisors.operations.engine.requests import request_operation
from hypervisors.states import OperationState
from tests.lab.portals import Portal, PortalGuest, ended
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)

MAC, ADDRESS = "52:54:00:7e:57:01", "10.77.7.200"
LAN = NetworkSpec(
    kind="nat",
    name="lan <&> 'here'",
    addresses=(
        NetworkAddress(address="10.77.7.1/24", ranges=(AddressRange(start="10.77.7.2", end="10.77.7.99"),)),
        NetworkAddress(address="fd00:77:7::1/64"),
    ),
)
KINDS = (
    replace(LAN, name="kind-route", kind="route", addresses=(NetworkAddress(address="10.77.1.1/24"),)),
    replace(LAN, name="kind-open", kind="open", addresses=(NetworkAddress(address="10.77.2.1/28"),)),
    NetworkSpec(kind="isolated", name="kind-isolated", isolates_ports=True, mtu=1400),
    NetworkSpec(kind="bridge", name="kind-bridge", bridge="virbr0"),
    NetworkSpec(kind="macvtap", name="kind-macvtap", devices=("eth0",), macvtap_mode="vepa"),
    NetworkSpec(kind="ovs", name="kind-ovs", bridge="virbr0", vlan_tags=(5,)),
)


def create(portal: Portal, spec: NetworkSpec) -> Operation:
    host = Hypervisor.objects.get(pk=portal.rows[0].pk)
    given = {"spec": spec.to_json(), "autostart": False}
    return ended(request_operation(user=portal.alice, kind="create_network", subject=host, parameters=given))


def do(portal: Portal, row: Network, kind: str, **parameters: Any) -> Operation:
    fresh = Network.objects.select_related("hypervisor").get(pk=row.pk)
    return ended(request_operation(user=portal.alice, kind=kind, subject=fresh, parameters=parameters))


def becomes(portal: Portal, name: str, **fields: object) -> Network:
    """The row on the first host, once it has these values."""
    rows = Network.objects.present().filter(hypervisor=portal.rows[0].pk, name=name)

    def fitting() -> Network | None:
        row = rows.first()
        return row if row and all(getattr(row, key) == value for key, value in fields.items()) else None

    row: Network = wait_until(fitting, seconds=90)
    return row


@contextmanager
def without(host: Host, *names: str) -> Iterator[None]:
    """Whatever a test leaves of these networks goes."""
    try:
        yield
    finally:
        for name in names:
            for command in ("net-destroy", "net-undefine"):
                try:
                    host.virsh(command, "--network", name)
                except LabError:
                    continue


def plug(host: Host, guest: PortalGuest, directory: Path) -> None:
    """Into the network instead of the lab's own, with a MAC address that is known."""
    host.virsh("detach-interface", guest.uuid, "network", "--config")
    card = etree.Element("interface", type="network")
    for tag, values in (("mac", {"address": MAC}), ("source", {"network": LAN.name}), ("model", {"type": "virtio"})):
        etree.SubElement(card, tag, values)
    # As the lab's own cards: nothing is booted from it.
    etree.SubElement(card, "rom", enabled="no")
    (directory / "card.xml").write_bytes(etree.tostring(card))
    host.virsh("attach-device", guest.uuid, str(directory / "card.xml"), "--config")


def is_reached(host: Host, address: str) -> bool:
    """Whether the guest itself answers: nothing listens on that port, and its kernel says so."""
    knock = "import socket, sys; s = socket.socket(); s.settimeout(3); print(s.connect_ex((sys.argv[1], 9)))"
    return host.run("python3", "-c", knock, address).strip() == str(errno.ECONNREFUSED)


def plugged_into(host: Host, guest: PortalGuest) -> str:
    """The bridge that the guest's card is on now."""
    card = next(line.split()[0] for line in host.virsh("domiflist", guest.uuid).splitlines() if MAC in line)
    words = host.run("ip", "-o", "link", "show", card).split()
    return words[words.index("master") + 1] if "master" in words else ""


def test_a_network_is_changed_under_a_running_guest_that_keeps_its_link(portal: Portal, tmp_path: Path) -> None:
    host = portal.hosts[0]
    with without(host, LAN.name), portal.guest("netted", start=False) as guest:
        assert create(portal, LAN).state == OperationState.SUCCEEDED
        row = becomes(portal, LAN.name, active=True)
        plug(host, guest, tmp_path)
        kept = {"address": ADDRESS, "mac": MAC, "name": "netted"}
        added = do(portal, row, "add_network_entry", section="static_host", values=kept)
        assert added.outcome == "It is changed, and applies already."
        for inactive in ((), ("--inactive",)):
            assert ADDRESS in host.virsh("net-dumpxml", "--network", LAN.name, *inactive)
        host.virsh("start", guest.uuid)
        wait_until(lambda: ADDRESS in host.virsh("net-dhcp-leases", "--network", LAN.name), seconds=60)
        wait_until(lambda: is_reached(host, ADDRESS), seconds=60)
        # An address is given without an event.
        request_network_refresh(portal.rows[0].pk)
        becomes(portal, LAN.name, leases={MAC: [ADDRESS]})
        bridge = plugged_into(host, guest)
        assert bridge == row.bridge
        _edit(portal, host)
        assert plugged_into(host, guest) == bridge
        wait_until(lambda: is_reached(host, ADDRESS), seconds=60)
        row = becomes(portal, LAN.name, pending=["domain"])
        restarted = do(portal, row, "restart_network")
        assert (restarted.state, restarted.outcome) == (OperationState.SUCCEEDED, "It is restarted.")
        assert "changed.lan" in host.virsh("net-dumpxml", "--network", LAN.name)
        assert plugged_into(host, guest) == bridge
        wait_until(lambda: is_reached(host, ADDRESS), seconds=60)
        assert "vmportal-replug" not in host.virsh("net-list", "--all", "--name")
        row = becomes(portal, LAN.name, pending=[])
        _delete(portal, host, row, guest)


def _edit(portal: Portal, host: Host) -> None:
    """A range, which libvirt takes at once, and the domain, which it does not."""
    row = Network.objects.get(hypervisor=portal.rows[0].pk, name=LAN.name)
    spec = read_network_spec(row.definition_xml)
    lan = replace(spec.addresses[0], ranges=(AddressRange(start="10.77.7.2", end="10.77.7.50"),))
    wanted = replace(spec, domain="changed.lan", addresses=(lan, *spec.addresses[1:]))
    given = {"digest": definition_digest(row.definition_xml), "spec": wanted.to_json()}
    edited = do(portal, row, "edit_network", **given)
    assert "the rest applies when it is restarted" in edited.outcome
    running = host.virsh("net-dumpxml", "--network", LAN.name)
    assert ("10.77.7.50" in running, "10.77.7.99" in running, "changed.lan" in running) == (True, False, False)


def _delete(portal: Portal, host: Host, row: Network, guest: PortalGuest) -> None:
    """Not while the guest runs; then it is gone."""
    wait_until(lambda: "netted" in (_why_not_deleted(portal, row) or ""), seconds=60)
    host.virsh("destroy", guest.uuid)
    wait_until(lambda: _why_not_deleted(portal, row) is None, seconds=60)
    assert LAN.name not in host.virsh("net-list", "--all", "--name").splitlines()
    wait_until(lambda: Network.objects.get(pk=row.pk).vanished_at is not None, seconds=60)


def _why_not_deleted(portal: Portal, row: Network) -> str | None:
    """None once it was done."""
    try:
        operation = do(portal, row, "delete_network")
    except NotPossible as error:
        return str(error)
    return None if operation.state == OperationState.SUCCEEDED else operation.outcome


def test_every_kind_that_a_host_can_have_is_made_and_what_it_cannot_leaves_nothing(portal: Portal) -> None:
    host = portal.hosts[0]
    wait_until(lambda: "virbr0" in (Hypervisor.objects.get(pk=portal.rows[0].pk).interface_names or ()), seconds=60)
    with without(host, *(spec.name for spec in KINDS), "kind-hostdev"):
        for spec in KINDS:
            made = create(portal, spec)
            assert made.state == OperationState.SUCCEEDED, made.outcome
            row = becomes(portal, spec.name, active=True, kind=spec.kind, pending=[])
            said = read_network_spec(row.definition_xml)
            assert replace(said, uuid="", bridge=spec.bridge or said.bridge) == replace(spec, bridge=said.bridge)
        with pytest.raises(NotPossible, match=r"has 10\.77\.1\.0/24 already"):
            create(portal, replace(KINDS[0], name="overlapping"))
        refused = create(portal, NetworkSpec(kind="hostdev", name="kind-hostdev", devices=("eth0",)))
        assert refused.state == OperationState.FAILED
        assert "no virtual functions" in refused.outcome
        assert "kind-hostdev" not in host.virsh("net-list", "--all", "--name").splitlines()
