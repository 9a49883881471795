"""The overview's plain words, and the dialog of a move that has one way to go."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.models import Domain, Hypervisor
from hypervisors.states import DomainState

pytestmark = pytest.mark.usefixtures("redis_client")

RUNS = {"domain_type": "qemu", "architecture": "x86_64"}


def test_devices_are_called_as_people_call_them(operator: Client, make_domain: Callable[..., Domain]) -> None:
    parsed = {
        "boot_devices": ["hd", "cdrom", "odd"],
        "disks": [{"device": "cdrom", "target": "sda", "bus": "sata", "source": "/srv/a.iso", "format": "raw"}],
        "interfaces": [{"mac": "52:54:00:00:00:01", "kind": "user", "source": ""}],
    }
    page = operator.get(f"/vms/{make_domain(parsed=parsed, description='Runs the shop').uuid}/").content.decode()
    for text in ("hard disk, CD-ROM, odd", "CD-ROM <span", "SATA", "user-mode network", "Description", "Runs the shop"):
        assert text in page, text


def test_the_only_host_that_it_can_move_to_is_chosen(
    operator: Client, alice: User, make_domain: Callable[..., Domain], make_hypervisor: Callable[..., Hypervisor]
) -> None:
    machine = make_domain(state=DomainState.RUNNING, memory_kib=2 * 1024**2, parsed=RUNS)
    memory = {"memory_kib": 8 * 1024**2, "memory_used_kib": 4 * 1024**2}
    target = make_hypervisor(name="roomy", **memory)
    dialog = operator.get(f"/vms/{machine.uuid}/migrate/").content.decode()
    assert f'name="target" value="{target.pk}" required checked' in dialog
    assert "2.1 GiB of memory needed, 4 GiB free" in dialog
    make_hypervisor(name="another", **memory)
    assert " checked" not in operator.get(f"/vms/{machine.uuid}/migrate/").content.decode()
