"""Volumes made of XML that somebody wrote, and read as XML, on libvirt's test driver."""

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import NotPossible
from hypervisors.models import Operation, Volume
from hypervisors.operations.engine.requests import request_operation
from hypervisors.operations.storage.volume_xml_readings import volume_xml
from hypervisors.operations.storage.volume_xml_tasks import read_xml
from hypervisors.states import OperationState
from tests.fakehost.fake_storage import GIB, Storage
from tests.fakehost.killing import run_to_end

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_client")]


def text(name: str, *, inside: str = "", target: str = "") -> str:
    return (
        f"<volume><name>{name}</name><capacity unit='GiB'>3</capacity>{inside}"
        f"<target><format type='qcow2'/>{target}</target></volume>"
    )


def ask(storage: Storage, user: User, xml: str) -> Operation:
    return request_operation(user=user, kind="create_volume_xml", subject=storage.row, parameters={"xml": xml})


def test_it_is_made_as_written_and_what_libvirt_left_out_is_told(storage: Storage, alice: User) -> None:
    xml = text("w&lt;1>.qcow2", target="<compat>1.1</compat>").replace("<name>", "<name unknown='1'>")
    operation = run_to_end(ask(storage, alice, xml))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    facts = storage.find("w<1>.qcow2")
    assert facts is not None
    assert facts.capacity_bytes == 3 * GIB
    assert "libvirt left out what it does not know" in operation.outcome
    assert "name@unknown" in operation.outcome


def test_one_on_top_of_another_of_its_host(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice, text("base.qcow2")))
    base = storage.mirror("base.qcow2")
    backing = f"<backingStore><path>{base.path}</path><format type='qcow2'/></backingStore>"
    operation = ask(storage, alice, text("top.qcow2", inside=backing))
    assert operation.parameters["backing_volume_id"] == base.pk
    with pytest.raises(NotPossible, match="is none"):
        ask(storage, alice, text("other.qcow2", inside=backing.replace(base.path, "/etc/shadow")))


def test_a_name_that_was_taken_meanwhile_is_left_alone(storage: Storage, alice: User) -> None:
    run_to_end(ask(storage, alice, text("one.qcow2")))
    again = run_to_end(ask(storage, alice, text("one.qcow2")))
    assert again.state == OperationState.FAILED
    assert "There is a volume called “one.qcow2”" in again.outcome
    assert storage.names() == ["one.qcow2"]


def test_why_its_xml_could_not_be_read_is_said(storage: Storage) -> None:
    volume = Volume.objects.create(storage_pool=storage.row, name="gone.qcow2")
    read_xml(volume.pk)
    assert "no storage vol with matching name 'gone.qcow2'" in volume_xml(volume).problem
