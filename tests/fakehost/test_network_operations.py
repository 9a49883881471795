"""Networks made, changed, restarted and deleted on libvirt's test driver, whatever broke in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import NotPermitted, NotPossible
from hypervisors.gateway.connections import cached_connection
from hypervisors.gateway.definitions import Definitions
from hypervisors.gateway.networks.network_actions import NETWORKS
from hypervisors.gateway.networks.networks import NetworkFacts, list_networks
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.inventory.networks.mirror import NetworkMirror
from hypervisors.inventory.observations import NetworksListed
from hypervisors.libvirtxml.network_reader import definition_digest, read_network_spec
from hypervisors.libvirtxml.network_specs import AddressRange, NetworkAddress, NetworkSpec
from hypervisors.models import Hypervisor, Network, Operation, OperationLock
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.engine.runner import run_operation
from hypervisors.operations.networks import network_definitions
from hypervisors.states import OperationState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]

LAN = NetworkAddress(address="10.9.0.1/24", ranges=(AddressRange(start="10.9.0.2", end="10.9.0.99"),))
SPEC = NetworkSpec(kind="nat", name="lan, 'here'", addresses=(LAN,))


class FakeHost:
    """A hypervisor of the test driver: its row, and what libvirt has."""

    def __init__(self, row: Hypervisor) -> None:
        self.row = row

    @property
    def connection(self) -> Any:
        return cached_connection(endpoint_of(self.row))

    def networks(self) -> dict[str, NetworkFacts]:
        return {facts.name: facts for facts in list_networks(self.connection)}

    def mirror(self, name: str = SPEC.name) -> Network:
        """Write what the watcher would."""
        mirror = NetworkMirror()
        mirror.take_listing(NetworksListed(hypervisor_id=self.row.pk, networks=tuple(list_networks(self.connection))))
        mirror.save()
        return Network.objects.select_related("hypervisor").get(hypervisor=self.row, name=name)


@pytest.fixture
def host(tmp_path: Path, make_hypervisor: Callable[..., Hypervisor]) -> FakeHost:
    (tmp_path / "node.xml").write_text("<node/>")
    return FakeHost(make_hypervisor(uri=f"test://{tmp_path}/node.xml"))


def ended(operation: Operation) -> Operation:
    run_operation(operation.pk)
    operation.refresh_from_db()
    assert operation.is_finished
    assert not OperationLock.objects.exists()
    return operation


def made(host: FakeHost, user: User, spec: NetworkSpec = SPEC, **parameters: Any) -> Network:
    given = {"spec": spec.to_json()} | parameters
    operation = request_operation(user=user, kind="create_network", subject=host.row, parameters=given)
    assert ended(operation).state == OperationState.SUCCEEDED, operation.outcome
    return host.mirror(spec.name)


def do(row: Network, kind: str, user: User, **parameters: Any) -> Operation:
    return ended(request_operation(user=user, kind=kind, subject=row, parameters=parameters))


def test_one_is_made_started_and_kept_in_its_row(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    assert (row.active, row.autostart, row.kind, row.addresses, row.pending) == (True, True, "nat", "10.9.0.1/24", [])
    assert read_network_spec(row.definition_xml).addresses == (LAN,)
    with pytest.raises(NotPossible, match="has a network called"):
        made(host, alice)


def test_what_cannot_start_is_not_left_defined(host: FakeHost, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> None:
        raise NotPossible("No.")

    monkeypatch.setattr(Definitions, "start", refuse)
    given = {"spec": SPEC.to_json()}
    operation = ended(request_operation(user=alice, kind="create_network", subject=host.row, parameters=given))
    assert operation.state == OperationState.FAILED
    assert "What had been done is undone." in operation.outcome
    assert SPEC.name not in host.networks()


def test_it_is_stopped_started_restarted_and_deleted(host: FakeHost, alice: User) -> None:
    row = made(host, alice)
    assert do(row, "stop_network", alice).state == OperationState.SUCCEEDED
    assert not host.networks()[row.name].active
    assert do(host.mirror(), "start_network", alice).outcome == "It is started."
    assert do(host.mirror(), "restart_network", alice).outcome == "It is restarted."
    assert host.networks()[row.name].active
    assert do(host.mirror(), "set_network_autostart", alice).state == OperationState.SUCCEEDED
    assert not host.networks()[row.name].autostart
    NETWORKS.set_autostart(host.connection, row.uuid, autostart=True)
    assert do(host.mirror(), "delete_network", alice).state == OperationState.SUCCEEDED
    assert row.name not in host.networks()


def test_what_libvirt_leaves_out_of_typed_xml_is_named(host: FakeHost, alice: User) -> None:
    xml = "<network connections='7'><name>typed</name><odd/><ip address='10.9.9.1' prefix='24' hue='red'/></network>"
    asked = request_operation(
        user=alice, kind="create_network", subject=host.row, parameters={"xml": xml, "start": False}
    )
    left_out = "libvirt left out what it does not know: ip@hue, odd."
    assert ended(asked).outcome == f"It is created. {left_out}"
    row = host.mirror("typed")
    typed = row.definition_xml.replace("</network>", "<domain name='typed.lan'/><stranger/></network>")
    operation = do(row, "edit_network", alice, digest=definition_digest(row.definition_xml), xml=typed)
    assert operation.outcome.endswith("libvirt left out what it does not know: stranger.")


def test_entries_are_added_and_removed(host: FakeHost, alice: User) -> None:
    row = made(host, alice, start=False)
    values = {"address": "10.9.0.200", "mac": "52:54:00:00:00:01", "name": "web1"}
    operation = do(row, "add_network_entry", alice, section="static_host", values=values)
    assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It is changed.")
    facts = host.networks()[row.name]
    assert "52:54:00:00:00:01" in facts.definition_xml
    row = host.mirror()
    operation = do(row, "remove_network_entry", alice, section="static_host", key="10.9.0.200")
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    facts = host.networks()[row.name]
    assert "52:54:00:00:00:01" not in facts.definition_xml


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    host: FakeHost, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = made(host, alice, start=False)
    spec = read_network_spec(row.definition_xml)
    given = {"digest": definition_digest(row.definition_xml), "spec": spec.to_json() | {"domain": "mine.lan"}}
    operation = request_operation(user=alice, kind="edit_network", subject=row, parameters=given)
    theirs = row.definition_xml.replace("</network>", "<domain name='theirs.lan'/></network>")
    host.connection.raw.networkDefineXML(theirs)
    assert ended(operation).state == OperationState.FAILED
    assert "Somebody changed its definition meanwhile" in operation.outcome
    assert "theirs.lan" in host.networks()[row.name].definition_xml


def test_a_worker_that_adopts_an_edit_does_not_take_its_own_change_for_anothers(
    host: FakeHost, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = made(host, alice, start=False)
    spec = read_network_spec(row.definition_xml)
    given = {"digest": definition_digest(row.definition_xml), "spec": spec.to_json() | {"domain": "mine.lan"}}
    operation = request_operation(user=alice, kind="edit_network", subject=row, parameters=given)
    network_definitions.change_network(host.connection, row.uuid, lambda _now: operation.parameters["xml"])
    assert ended(operation).state == OperationState.SUCCEEDED, operation.outcome


def test_who_only_looks_may_not(host: FakeHost, alice: User, charlie: User) -> None:
    row = made(host, alice)
    with pytest.raises(NotPermitted):
        request_operation(user=charlie, kind="stop_network", subject=row)
    with pytest.raises(NotPermitted):
        request_operation(user=charlie, kind="create_network", subject=host.row, parameters={"spec": SPEC.to_json()})
