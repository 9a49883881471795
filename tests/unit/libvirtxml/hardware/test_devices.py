"""Devices are listed, built and changed in place; what the forms do not know stays."""

import pytest

from hypervisors.libvirtxml.hardware.definitions import parse_definition, serialised
from hypervisors.libvirtxml.hardware.devices import (
    build_device,
    completed_device,
    find_device,
    list_devices,
    parse_one_device,
    with_changed_device,
    with_device,
    without_device,
)
from hypervisors.libvirtxml.hardware.differences import pending_differences

DOMAIN = """<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web1</name>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' queue_size='256'/>
      <source file='/images/web1.qcow2'/>
      <target dev='vda' bus='virtio'/>
      <alias name='ua-system'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/>
    </disk>
    <interface type='network'>
      <mac address='52:54:00:11:22:33'/>
      <source network='default'/>
      <model type='virtio'/>
    </interface>
    <crypto model='virtio' type='qemu'/>
  </devices>
  <qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>
</domain>"""


def test_devices_are_named_by_what_they_are() -> None:
    assert [(device.id, device.type_key) for device in list_devices(DOMAIN)] == [
        ("disk:vda", "disk"),
        ("interface:52:54:00:11:22:33", "interface"),
        ("crypto:0", "other"),
    ]


def test_a_changed_disk_keeps_what_no_form_knows() -> None:
    disk = find_device(DOMAIN, "disk:vda")
    assert disk is not None
    changed = build_device("disk", {"cache": "none", "readonly": True}, disk.xml)
    assert 'queue_size="256"' in changed
    assert '<alias name="ua-system"/>' in changed
    assert '<address type="pci"' in changed
    after = find_device(with_changed_device(DOMAIN, "disk:vda", changed), "disk:vda")
    assert after is not None
    assert after.values == disk.values | {"cache": "none", "readonly": True}


def test_a_disk_on_another_bus_gets_another_name_and_address() -> None:
    disk = find_device(DOMAIN, "disk:vda")
    assert disk is not None
    domain = with_changed_device(DOMAIN, "disk:vda", build_device("disk", {"bus": "scsi"}, disk.xml))
    [moved] = [device for device in list_devices(domain) if device.type_key == "disk"]
    assert (moved.id, moved.values["bus"], "<address" in moved.xml) == ("disk:sda", "scsi", False)


def test_a_field_that_exists_no_more_is_taken_out() -> None:
    card = build_device("interface", {"type": "network", "source_network": "default", "inbound_floor": 5})
    moved = build_device("interface", {"type": "bridge", "source_bridge": "br0"}, card)
    assert moved == '<interface type="bridge">\n  <source bridge="br0"/>\n</interface>'


def test_a_new_device_gets_one_name_that_is_free_in_both_definitions() -> None:
    live = with_device(DOMAIN, build_device("disk", {"source_file": "/images/live.qcow2", "bus": "virtio"}))
    new = completed_device(build_device("disk", {"source_file": "/images/new.qcow2", "bus": "virtio"}), DOMAIN, live)
    assert 'dev="vdc"' in new


def test_what_is_taken_out_leaves_the_rest_as_it_was() -> None:
    added = with_device(DOMAIN, build_device("interface", {"source_network": "lan", "mac": "52:54:00:00:00:01"}))
    assert without_device(added, "interface:52:54:00:00:00:01") == with_nothing_changed(DOMAIN)


def with_nothing_changed(domain: str) -> str:
    """As lxml writes it: its quotation marks and the order of namespaces are others than libvirt's."""
    return serialised(parse_definition(domain))


@pytest.mark.parametrize(
    ("type_key", "values", "message"),
    [
        ("disk", {"source_file": "images/x", "bus": "virtio"}, "begins with “/”"),
        ("disk", {"source_file": "/images/x", "bus": "floppy"}, "is no bus"),
        ("disk", {"source_file": "/images/x"}, "The bus is missing"),
        ("interface", {"type": "network"}, "The source network is missing"),
        ("interface", {"source_network": "lan", "mac": "01:00:5e:00:00:01"}, "multicast"),
        ("interface", {"source_network": "lan", "mtu": 3}, "at least 68"),
        ("interface", {"source_network": "lan", "vlan_trunk": True}, "A trunk has VLAN tags"),
        ("toaster", {}, "no type of device"),
    ],
)
def test_what_cannot_be_is_refused_in_words(type_key: str, values: dict[str, str | int | bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_device(type_key, values)


def test_a_device_that_is_gone_is_not_changed() -> None:
    with pytest.raises(ValueError, match="does not have this device"):
        without_device(DOMAIN, "disk:vdz")


def test_a_serial_port_and_its_console_are_one() -> None:
    """libvirt would make the port anew of the console that it left behind."""
    port = (
        "<serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console>"
    )
    domain = DOMAIN.replace("<crypto", f"{port}<crypto")
    assert "".join(without_device(domain, "serial:0").split()) == "".join(with_nothing_changed(DOMAIN).split())
    with pytest.raises(ValueError, match="first serial port"):
        without_device(domain, "console:0")


def test_a_card_on_a_bridged_network_is_on_the_network_while_it_runs_too() -> None:
    """So that what is changed while it runs does not move it to the bridge."""
    running = (
        "<interface type='bridge'><mac address='52:54:00:00:00:09'/>"
        "<source network='plain' portgroup='open' portid='1' bridge='br0'/><target dev='vnet1'/></interface>"
    )
    card = parse_one_device(running)
    assert (card.values["type"], card.values["source_network"], card.values["portgroup"]) == (
        "network",
        "plain",
        "open",
    )
    changed = build_device("interface", {"link": "down"}, card.xml)
    assert '<source network="plain" portgroup="open"/>' in changed
    assert '<interface type="network">' in changed
    stored = (
        "<interface type='network'><mac address='52:54:00:00:00:09'/>"
        "<source network='plain' portgroup='open'/></interface>"
    )
    assert pending_differences(in_domain(running), in_domain(stored)) == ()


def in_domain(device: str) -> str:
    return f"<domain><devices>{device}</devices></domain>"


def test_a_server_that_is_a_socket_outlives_the_change_of_something_else() -> None:
    disk = (
        "<disk type='network'><source protocol='nbd'><host transport='unix' socket='/run/nbd'/></source>"
        "<target dev='vda' bus='virtio'/></disk>"
    )
    assert 'socket="/run/nbd"' in build_device("disk", {"cache": "none"}, disk)
