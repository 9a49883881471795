"""Machines made on real hypervisors, by each way; asserted by virsh and qemu-img."""

from collections.abc import Iterator

import pytest

from hypervisors.errors import NotPossible
from hypervisors.models import OperationLock
from hypervisors.states import OperationState
from tests.lab.domains.creations import MIB, Creator, counts_on, creator, states_of
from tests.lab.portals import Portal
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()


@pytest.fixture
def made(portal: Portal) -> Iterator[Creator]:
    with creator(portal) as found:
        yield found


def test_a_machine_is_made_as_asked_for_and_runs(made: Creator) -> None:
    operation = made.create(made.given('made 1, "x" & <y>', start=True))
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    name = 'made 1, "x" & <y>'
    assert made.host.virsh("domstate", name) == "running"
    assert made.image(f"{name}.qcow2")["virtual-size"] == 16 * MIB
    uuid = made.host.virsh("domuuid", name)
    assert operation.parameters["spec"]["uuid"] == uuid
    assert counts_on(made.host, name)
    assert states_of(operation) == dict.fromkeys(["check", "disk_1", "define", "start", "tell_hosts"], "done")
    assert not OperationLock.objects.exists()
    wait_until(lambda: made.portal.rows[0].domains.filter(name=name).exists())
    with pytest.raises(NotPossible, match="is taken; names are unique"):
        made.ask(made.given(name))
