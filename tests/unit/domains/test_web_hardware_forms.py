"""What the forms of the Hardware tab propose, and in which words they speak of what is there."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from hypervisors.libvirtxml.hardware.device_types import DEVICE_TYPES
from hypervisors.libvirtxml.hardware.devices import list_devices
from hypervisors.models import Domain, Hypervisor, Network, Operation, StoragePool, Volume
from hypervisors.states import DomainState
from hypervisors.web.domains.creation.fields import Option
from hypervisors.web.domains.hardware.suggestions import new_values, suggested_plug
from tests.hardware_pages import HTMX, MACHINE, change, form_of, give_hardware, part
from tests.roles import bind

pytestmark = pytest.mark.usefixtures("redis_client")

BRIDGED = MACHINE.replace("<interface type='network'>", "<interface type='bridge'>").replace(
    "<source network='default'/>", "<source bridge='br0'/>"
)


@pytest.fixture
def machine(make_domain: Callable[..., Domain]) -> Domain:
    """One that is off."""
    return give_hardware(make_domain(name="web7"))


@pytest.fixture
def running(make_domain: Callable[..., Domain]) -> Domain:
    return give_hardware(make_domain(name="runs", state=DomainState.RUNNING), live=MACHINE)


def make_network(hypervisor: Hypervisor, name: str) -> None:
    Network.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name=name, active=True, autostart=True, forward_mode="nat"
    )


def options(*names: str) -> list[Option]:
    return [Option(value=name, text=name) for name in names]


@pytest.mark.parametrize("key", sorted(DEVICE_TYPES))
def test_what_is_proposed_are_fields_of_the_type(key: str) -> None:
    assert set(new_values(key)) <= {field.name for field in DEVICE_TYPES[key].fields}


@pytest.mark.parametrize("key", ["cdrom", "graphics", "input", "interface", "iommu", "rng", "sound", "tpm", "watchdog"])
def test_a_form_that_is_sent_as_it_is_proposed_is_taken(
    operator: Client, machine: Domain, hypervisor: Hypervisor, key: str
) -> None:
    make_network(hypervisor, "default")
    assert change(operator, machine, form_of(operator, machine, f"add:{key}")).status_code == 204
    assert Operation.objects.get().parameters["device_type"] == key


def test_a_new_card_is_plugged_into_what_the_others_are() -> None:
    devices = list_devices(MACHINE.replace("network='default'", "network='blue'"))
    assert suggested_plug(devices, options("blue", "default")) == {"source_network": "blue"}
    assert suggested_plug(list_devices(BRIDGED), options("default")) == {"type": "bridge", "source_bridge": "br0"}
    assert suggested_plug((), options("default", "green")) == {"source_network": "default"}
    assert suggested_plug((), options("green")) == {"source_network": "green"}
    assert suggested_plug((), options("green", "red")) == {}


def test_what_was_proposed_stays_beside_what_is_wrong(
    operator: Client, machine: Domain, hypervisor: Hypervisor
) -> None:
    make_network(hypervisor, "default")
    form = form_of(operator, machine, "add:interface") | {"v-mac": "nonsense"}
    answer = change(operator, machine, form)
    assert answer.status_code == 422
    assert '<option value="default" selected>' in answer.content.decode()


def test_how_much_the_host_has_is_said_where_it_is_given_out(
    operator: Client, machine: Domain, hypervisor: Hypervisor
) -> None:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(cpu_count=8, memory_kib=64 * 2**20)
    assert "Its host has 8 CPUs." in part(operator, machine, "section:processor")
    assert "Its host has 64 GiB." in part(operator, machine, "section:memory")


def test_who_may_not_see_the_host_is_not_told_how_much_it_has(
    client: Client, charlie: User, make_domain: Callable[..., Domain], hypervisor: Hypervisor
) -> None:
    Hypervisor.objects.filter(pk=hypervisor.pk).update(cpu_count=8, memory_kib=64 * 2**20)
    machine = give_hardware(make_domain(name="web7"))
    bind(charlie, "vm-user", machine)
    client.force_login(charlie)
    assert "Its host has" not in part(client, machine, "section:processor")


def test_a_kernel_that_is_started_directly_is_said_beside_the_boot_order(operator: Client, machine: Domain) -> None:
    words = "It starts a kernel directly"
    assert words not in part(operator, machine, "section:boot")
    give_hardware(machine, stored=MACHINE.replace("<boot dev", "<kernel>/boot/vmlinuz</kernel><boot dev"))
    assert words in part(operator, machine, "section:boot")


def test_a_machine_without_usb_is_offered_what_it_can_have(
    operator: Client, make_domain: Callable[..., Domain]
) -> None:
    machine = give_hardware(make_domain(name="bare"), stored=MACHINE.replace("qemu-xhci", "none"))
    assert form_of(operator, machine, "add:input")["v-bus"] == "virtio"
    assert "USB is switched off" in part(operator, machine, "add")


def test_a_second_screen_is_proposed_as_of_the_other_type(operator: Client, machine: Domain) -> None:
    form = form_of(operator, machine, "add:graphics")
    assert form["v-type"] == "spice"
    answer = change(operator, machine, form | {"v-type": "vnc"})
    assert answer.status_code == 422
    assert "It has a VNC screen already" in answer.content.decode()


def test_a_memory_module_is_offered_where_there_is_room_for_one(
    operator: Client, make_domain: Callable[..., Domain]
) -> None:
    cell = "<cpu mode='host-passthrough'><numa><cell id='0' cpus='0-3' memory='4194304' unit='KiB'/></numa></cpu>"
    roomy = MACHINE.replace("<cpu mode='host-passthrough'/>", cell).replace(
        "<memory unit", "<maxMemory slots='4' unit='KiB'>8388608</maxMemory><memory unit"
    )
    machine = give_hardware(make_domain(name="small"))
    assert "First give it slots and a maximum in Memory" in part(operator, machine, "add")
    give_hardware(machine, stored=roomy)
    assert "First give it slots" not in part(operator, machine, "add")


def test_why_a_change_waits_names_what_was_changed_as_the_form_does(operator: Client, running: Domain) -> None:
    """Of the running processor libvirt tells more than was stored: nobody changed that."""
    fields = form_of(operator, running, "section:processor")
    give_hardware(running, live=MACHINE.replace("mode='host-passthrough'", "mode='host-passthrough' check='none'"))
    url = f"/vms/{running.uuid}/hardware/timing/"
    said = operator.post(url, fields | {"v-vcpus_max": "8"}, headers=HTMX).content.decode()
    assert "QEMU cannot change the “vCPUs at most” while it runs." in said


def test_a_change_that_can_be_made_now_is_made_though_another_waits(operator: Client, running: Domain) -> None:
    give_hardware(running, live=MACHINE, stored=MACHINE.replace("current='2'>4<", "current='2'>6<"))
    url = f"/vms/{running.uuid}/hardware/timing/"
    fields = form_of(operator, running, "section:processor") | {"v-vcpus_current": "3"}
    assert "Applies now" in operator.post(url, fields, headers=HTMX).content.decode()


def test_what_is_missing_is_said_by_its_label_and_beside_its_field(operator: Client, machine: Domain) -> None:
    answer = change(operator, machine, form_of(operator, machine, "add:lease"))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "“Lock space” is needed." in page
    assert 'id="error-lockspace"' in page


def test_disks_of_one_directory_are_told_apart_with_their_sizes(
    operator: Client, machine: Domain, hypervisor: Hypervisor
) -> None:
    pool = StoragePool.objects.create(
        hypervisor=hypervisor, uuid=uuid4(), name="images", pool_type="dir", active=True, autostart=True,
        target_path="/srv/images",
    )  # fmt: skip
    volume = Volume.objects.create(
        storage_pool=pool, name="web1.qcow2", path="/srv/images/web1.qcow2", format="qcow2",
        capacity_bytes=20 * 2**30, allocation_bytes=3 * 2**30,
    )  # fmt: skip
    page = operator.get(f"/vms/{machine.uuid}/hardware/").content.decode()
    assert ">web1.qcow2 · 20 GiB<" in page
    assert f' volume:{pool.pk}"' in page
    pane = part(operator, machine, "disk:vda")
    assert "web1.qcow2, as it is" in pane
    assert "/srv/images/web1.qcow2 · 20 GiB, 3 GiB of it taken" in pane
    assert f'href="{volume.get_absolute_url()}"' in pane
    assert f'hx-get="/storage/volumes/{volume.pk}/resize/"' in pane


def test_the_boot_order_says_no_name_twice(operator: Client, machine: Domain) -> None:
    pane = part(operator, machine, "section:boot")
    assert ">web1.qcow2<" in pane
    assert "default · 52:54:00:00:00:01" not in pane


def test_what_waits_says_of_a_whole_device_that_it_comes(operator: Client, running: Domain) -> None:
    sound = "<sound model='ich9'/><memballoon"
    give_hardware(running, live=MACHINE, stored=MACHINE.replace("<memballoon", sound))
    assert "<td>is added</td>" in part(operator, running, "pending")
    give_hardware(running, live=MACHINE.replace("<memballoon", sound))
    assert "<td>is removed</td>" in part(operator, running, "pending")
