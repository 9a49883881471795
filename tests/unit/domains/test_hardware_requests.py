"""Who may ask for which change of a machine's hardware, and what is refused before anything is tried."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from hypervisors.errors import Conflict, NotPermitted, NotPossible
from hypervisors.libvirtxml.hardware.devices import build_device
from hypervisors.models import AuditRecord, Domain, DomainDefinition, Network, Operation, Role, StoragePool, Volume
from hypervisors.operations.domains.hardware.host_reach import names_of_the_host
from hypervisors.operations.engine.records import without_secrets
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import request_operation
from tests.roles import bind
from tests.rows import define

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_client")]

XML = """<domain type='qemu'><name>web1</name><memory unit='KiB'>131072</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/web1.qcow2'/>
<target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/><readonly/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/><model type='virtio'/>
</interface>
<graphics type='vnc' autoport='yes'/><memballoon model='virtio'/></devices></domain>"""
SOUND = {"device_type": "sound", "values": {"model": "ich9"}}
CARD = {"type": "network", "source_network": "default", "model": "virtio"}
# What reaches into the host: whoever may only configure the machine may not have it.
REACHING: dict[str, dict[str, Any]] = {
    "a file of the host": {"device_type": "disk", "values": {"bus": "virtio", "source_file": "/etc/shadow"}},
    "a device of the host": {
        "device_type": "disk",
        "values": {"bus": "virtio", "type": "block", "source_dev": "/dev/sda"},
    },
    "a file, from a folder that is in every machine": {
        "device_type": "disk",
        "values": {"bus": "virtio", "source_file": "/dev/pts/../../etc/shadow"},
    },
    "a terminal of somebody else": {"device_type": "serial", "values": {"type": "pty", "log_file": "/dev/pts/3"}},
    "a key of the host": {
        "device_type": "tpm",
        "values": {
            "model": "tpm-crb",
            "backend": "emulator",
            "version": "2.0",
            "encryption_secret": "6dd3e4a5-1d76-44ce-961f-f119f5aad935",
        },
    },
    "a medium by its path": {"device_type": "cdrom", "values": {"bus": "sata", "source_file": "/etc/shadow"}},
    "a directory": {
        "device_type": "filesystem",
        "values": {"driver": "virtiofs", "source_dir": "/etc", "target": "etc"},
    },
    "a USB device": {"device_type": "hostdev_usb", "values": {"vendor": "0x1234", "product": "0x5678"}},
    "a serial port to a file": {"device_type": "serial", "values": {"type": "file", "source_path": "/etc/crontab"}},
    "a screen for everybody": {
        "device_type": "graphics",
        "values": {"type": "spice", "listen_type": "address", "listen_address": "0.0.0.0"},
    },
    "a TPM of the host": {
        "device_type": "tpm",
        "values": {"model": "tpm-crb", "backend": "passthrough", "device_path": "/dev/tpm0"},
    },
    "any XML": {"device_type": "sound", "xml": "<sound model='ich9'/>"},
    "a network": {"device_type": "interface", "values": CARD},
}


@pytest.fixture
def machine(domain: Domain) -> Domain:
    assert domain.hypervisor is not None
    Network.objects.create(
        hypervisor=domain.hypervisor,
        uuid="7b0a3f8e-1111-4222-8333-444455556666",
        name="default",
        active=True,
        autostart=True,
        forward_mode="nat",
    )
    define(domain, live_xml="", inactive_xml=XML)
    return domain


@pytest.fixture
def user(machine: Domain, alice: User) -> User:
    """May operate and configure this machine, and sees nothing else."""
    found = User.objects.create_user("erin", password="erin-has-one-machine")
    bind(found, "vm-user", machine, granted_by=alice)
    return found


def ask(user: User, domain: Domain, kind: str, **parameters: Any) -> Operation:
    return request_operation(user=user, subject=domain, kind=kind, parameters=parameters)


def test_whoever_configures_a_machine_adds_what_is_its_own(user: User, machine: Domain) -> None:
    assert ask(user, machine, "add_device", **SOUND).parameters["values"] == {"model": "ich9"}


def test_whoever_only_looks_changes_nothing(bob: User, machine: Domain) -> None:
    with pytest.raises(NotPermitted):
        ask(bob, machine, "add_device", **SOUND)


@pytest.mark.parametrize("what", REACHING)
def test_what_reaches_into_the_host_is_for_who_manages_it(what: str, user: User, alice: User, machine: Domain) -> None:
    with pytest.raises(NotPermitted):
        ask(user, machine, "add_device", **REACHING[what])
    assert ask(alice, machine, "add_device", **REACHING[what]).kind == "add_device"


@pytest.mark.parametrize(
    ("device_id", "values"),
    [
        ("disk:vda", {"source_file": "/images/other.qcow2"}),
        ("interface:52:54:00:00:00:01", {"type": "bridge", "source_bridge": "br0"}),
        ("graphics:vnc:0", {"listen_address": "0.0.0.0"}),
    ],
)
def test_a_change_needs_what_adding_it_would(
    device_id: str, values: dict[str, Any], user: User, alice: User, machine: Domain
) -> None:
    with pytest.raises(NotPermitted):
        ask(user, machine, "change_device", device_id=device_id, values=values)
    assert ask(alice, machine, "change_device", device_id=device_id, values=values).kind == "change_device"


def test_what_a_disk_names_already_is_no_reason_against_another_change_of_it(user: User, machine: Domain) -> None:
    operation = ask(user, machine, "change_device", device_id="disk:vda", values={"cache": "none"})
    assert operation.parameters["values"] == {"cache": "none"}


@pytest.mark.parametrize(("section", "values"), [("kernel", {"kernel": "/boot/vmlinuz"}), ("tuning", {"shares": 4096})])
def test_sections_that_are_the_hosts_are_for_who_manages_it(
    section: str, values: dict[str, Any], user: User, alice: User, machine: Domain
) -> None:
    with pytest.raises(NotPermitted):
        ask(user, machine, "change_section", section=section, values=values)
    assert ask(alice, machine, "change_section", section=section, values=values).kind == "change_section"


def test_a_form_that_is_older_than_the_definition_is_refused(alice: User, machine: Domain) -> None:
    DomainDefinition.objects.filter(domain=machine).update(inactive_sha256="b" * 64)
    with pytest.raises(Conflict, match="It was changed since you opened it"):
        ask(alice, machine, "add_device", **SOUND, base_sha256="a" * 64)
    assert ask(alice, machine, "add_device", **SOUND, base_sha256="b" * 64)


@pytest.mark.parametrize(
    ("kind", "parameters", "reason"),
    [
        ("add_device", {"device_type": "warp drive"}, "Choose the kind of device"),
        ("add_device", {**SOUND, "values": {"colour": "red"}}, "There is no field “colour”."),
        ("add_device", {**SOUND, "values": {"model": ["ich9"]}}, "The field “model” is something else."),
        ("add_device", {**SOUND, "values": {"model": "gramophone"}}, "“gramophone” is no model"),
        ("add_device", {**SOUND, "when": "yesterday"}, "Choose the time"),
        ("add_device", {"device_type": "memballoon", "values": {"model": "virtio"}}, "at most 1 of these devices"),
        ("add_device", {"xml": "<sound"}, "This XML cannot be read"),
        ("add_device", {"device_type": "interface", "values": {**CARD, "source_network": "none"}}, "has no network"),
        (
            "add_device",
            {"device_type": "interface", "values": {**CARD, "mac": "52:54:00:00:00:01"}},
            "The MAC address 52:54:00:00:00:01 is in use",
        ),
        ("change_device", {"device_id": "disk:vdz", "values": {}}, "does not have this device"),
        ("remove_device", {"device_id": "disk:vdz"}, "does not have this device"),
        ("change_media", {"device_id": "disk:vda"}, "This is no drive"),
        ("change_media", {"device_id": "disk:sda", "volume_id": 999999}, "The volume that was chosen is gone."),
        ("change_section", {"section": "soul"}, "Choose the section"),
        ("change_section", {"section": "processor", "values": {"vcpus_current": 9}}, "9 of at most 2"),
        ("revert_pending", {}, "It is shut off."),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    kind: str, parameters: dict[str, Any], reason: str, alice: User, machine: Domain
) -> None:
    with pytest.raises(NotPossible, match=reason):
        ask(alice, machine, kind, **parameters)
    assert not Operation.objects.exists()


def test_an_address_of_another_machine_of_the_pool_is_refused(
    alice: User, machine: Domain, make_domain: Callable[..., Domain]
) -> None:
    define(make_domain(name="other"), live_xml="", inactive_xml=XML.replace("00:01", "00:02"))
    with pytest.raises(NotPossible, match="52:54:00:00:00:02 is in use"):
        ask(alice, machine, "add_device", device_type="interface", values={**CARD, "mac": "52:54:00:00:00:02"})
    with pytest.raises(NotPossible, match="52:54:00:00:00:02 is in use"):
        ask(
            alice,
            machine,
            "change_device",
            device_id="interface:52:54:00:00:00:01",
            values={"mac": "52:54:00:00:00:02"},
        )


def test_a_card_without_an_address_gets_one_that_is_locked(alice: User, machine: Domain) -> None:
    operation = ask(alice, machine, "add_device", device_type="interface", values=CARD)
    mac = operation.parameters["values"]["mac"]
    assert mac.startswith("52:54:00:")
    assert any(lock.key.endswith(f"/{mac}") for lock in operation.locks.all())


def test_a_volume_that_another_machine_has_is_not_given_to_a_second(
    alice: User, machine: Domain, make_domain: Callable[..., Domain]
) -> None:
    pool = StoragePool.objects.create(
        hypervisor=machine.hypervisor,
        uuid="7b0a3f8e-2222-4222-8333-444455556666",
        name="images",
        pool_type="dir",
        target_path="/images",
        active=True,
        autostart=True,
    )
    volume = Volume.objects.create(storage_pool=pool, name="db1.qcow2", path="/images/db1.qcow2", format="qcow2")
    given = {"device_type": "disk", "values": {"bus": "virtio"}, "volume_id": volume.pk}
    other = make_domain(name="db1")
    define(other, live_xml="", inactive_xml=XML.replace("web1.qcow2", "db1.qcow2"))
    with pytest.raises(NotPossible, match="It is in use"):
        ask(alice, machine, "add_device", **given)
    typed = {"bus": "virtio", "source_file": volume.path, "format": "qcow2"}
    with pytest.raises(NotPossible, match="It is in use"):
        ask(alice, machine, "add_device", device_type="disk", values=typed)
    with pytest.raises(NotPossible, match="It is in use"):
        ask(alice, machine, "change_device", device_id="disk:vda", values={"source_file": volume.path})
    define(other, live_xml="", inactive_xml=XML.replace("web1.qcow2", "db2.qcow2"))
    Volume.objects.filter(pk=volume.pk).update(quarantine="Its bytes say something else.")
    with pytest.raises(NotPossible, match="Its content is not trusted"):
        ask(alice, machine, "add_device", **given)
    Volume.objects.filter(pk=volume.pk).update(quarantine="")
    assert ask(alice, machine, "add_device", **given).parameters["volume_id"] == volume.pk


def test_a_password_is_in_no_record(alice: User, machine: Domain) -> None:
    values = {"type": "spice", "password": "s3cr3t-word"}
    operation = ask(alice, machine, "add_device", device_type="graphics", values=values)
    assert operation.parameters["secret_values"] == {"password": "s3cr3t-word"}
    assert "s3cr3t-word" not in str(without_secrets(operation))
    assert not any("s3cr3t-word" in str(vars(record)) for record in AuditRecord.objects.all())


@pytest.mark.parametrize(
    ("type_key", "values"),
    [
        ("interface", CARD),
        ("serial", {"type": "pty"}),
        ("channel", {"type": "unix", "target_type": "virtio", "target_name": "org.qemu.guest_agent.0"}),
        ("rng", {"model": "virtio", "backend_path": "/dev/urandom"}),
        ("tpm", {"model": "tpm-crb", "backend": "emulator"}),
        ("graphics", {"type": "vnc"}),
        ("memory", {"size_kib": 131072, "node": 0}),
    ],
)
def test_what_a_machine_has_of_its_own_names_nothing_of_the_host(type_key: str, values: dict[str, Any]) -> None:
    assert names_of_the_host(build_device(type_key, values)) == frozenset()


def test_a_card_on_the_hosts_loopback_is_the_hosts() -> None:
    assert names_of_the_host("<interface type='user'/>")
    assert not names_of_the_host("<interface type='network'><source network='default'/></interface>")


def test_a_second_screen_of_one_type_is_refused(alice: User, machine: Domain) -> None:
    """QEMU would not start it any more."""
    with pytest.raises(NotPossible, match="VNC screen already"):
        ask(alice, machine, "add_device", device_type="graphics", values={"type": "vnc"})


def test_an_operation_is_titled_by_what_people_call_the_device(alice: User, machine: Domain) -> None:
    added = ask(alice, machine, "add_device", device_type="rng", values={"backend_path": "/dev/urandom"})
    assert operation_type("add_device").title(added) == "Add hardware: Random numbers"
    removed = Operation(kind="remove_device", parameters={"device_id": "graphics:vnc:0"})
    assert operation_type("remove_device").title(removed) == "Remove hardware: Screen"
    changed = Operation(kind="change_device", parameters={"device_id": "disk:vda"})
    assert operation_type("change_device").title(changed) == "Change hardware: Disk vda"
    passed = Operation(kind="remove_device", parameters={"device_id": "hostdev:usb:1"})
    assert operation_type("remove_device").title(passed) == "Remove hardware: Device of the host"


# What a machine was given by who manages its host.
GIVEN = XML.replace(
    "<graphics",
    """<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/srv/web1.img'/>
<target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/srv/shared.img'/>
<target dev='vdc' bus='virtio'/><readonly/></disk>
<disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/vg/web1'/>
<target dev='sdb' bus='scsi'/></disk>
<interface type='hostdev' managed='yes'><mac address='52:54:00:00:00:09'/><source>
<address type='pci' domain='0x0000' bus='0x05' slot='0x10' function='0x0'/></source></interface>
<interface type='direct'><mac address='52:54:00:00:00:0a'/><source dev='eth1' mode='bridge'/></interface>
<watchdog model='i6300esb' action='reset'/><graphics""",
)


@pytest.mark.parametrize(
    ("device_id", "values"),
    [
        pytest.param("disk:vdb", {"format": "qcow2"}, id="a raw file whose bytes then name others"),
        pytest.param("disk:vda", {"format": ""}, id="an image that the guest may write anew, header and all"),
        pytest.param("disk:vdc", {"readonly": False}, id="a file that it may only read"),
        pytest.param("disk:sdb", {"device": "lun"}, id="commands to a device"),
        pytest.param("interface:52:54:00:00:00:09", {"pci_bus": "0x06"}, id="another device of the host"),
        pytest.param("interface:52:54:00:00:00:0a", {"source_mode": "passthrough"}, id="a device for itself alone"),
        pytest.param("watchdog:0", {"action": "dump"}, id="dumps into the host's file system"),
    ],
)
def test_what_was_given_is_not_made_more_by_who_configures_the_machine(
    device_id: str, values: dict[str, Any], user: User, alice: User, machine: Domain
) -> None:
    define(machine, live_xml="", inactive_xml=GIVEN)
    bind(user, "viewer", None, granted_by=alice)
    Role.objects.filter(key="viewer").update(privileges=sorted({"domain.view", "network.view"}))
    with pytest.raises(NotPermitted):
        ask(user, machine, "change_device", device_id=device_id, values=values)
    assert ask(alice, machine, "change_device", device_id=device_id, values=values).kind == "change_device"


def test_a_guest_that_crashes_fills_no_disk_of_the_host_unless_who_manages_that_says_so(
    user: User, alice: User, machine: Domain
) -> None:
    dumps = {"section": "lifecycle", "values": {"on_crash": "coredump-restart"}}
    with pytest.raises(NotPermitted):
        ask(user, machine, "change_section", **dumps)
    assert ask(user, machine, "change_section", section="lifecycle", values={"on_crash": "restart"})
    Operation.objects.all().delete()
    assert ask(alice, machine, "change_section", **dumps).kind == "change_section"


def test_an_image_with_a_header_is_no_raw_disk_whoever_says_so(alice: User, machine: Domain) -> None:
    pool = StoragePool.objects.create(
        hypervisor=machine.hypervisor,
        uuid="7b0a3f8e-2222-4222-8333-444455556666",
        name="images",
        pool_type="dir",
        target_path="/images",
        active=True,
        autostart=True,
    )
    Volume.objects.create(storage_pool=pool, name="web1.qcow2", path="/images/web1.qcow2", format="qcow2")
    for format_ in ("", "raw"):
        with pytest.raises(NotPossible, match="takes it for raw, and it is qcow2"):
            ask(alice, machine, "change_device", device_id="disk:vda", values={"format": format_})
