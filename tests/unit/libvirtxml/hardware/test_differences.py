"""What waits for the next start: nothing that only runs, and each change that was made; and what libvirt dropped.

The pairs are what libvirt 9 said of real guests, running and stored.
"""

from pathlib import Path

import pytest

from hypervisors.libvirtxml.hardware.devices import (
    build_device,
    find_device,
    with_changed_device,
    with_device,
    without_device,
)
from hypervisors.libvirtxml.hardware.differences import Difference, lost_parts, pending_differences
from hypervisors.libvirtxml.hardware.fields import Value
from hypervisors.libvirtxml.hardware.sections import change_section

_PAIRS = Path(__file__).parent / "pairs"


def pair(name: str) -> tuple[str, str]:
    return (_PAIRS / f"{name}.live.xml").read_text(), (_PAIRS / f"{name}.inactive.xml").read_text()


def changed(device_id: str, **values: Value) -> tuple[Difference, ...]:
    """What waits when this was changed of the stored definition alone."""
    live, inactive = pair("many_devices")
    device = find_device(inactive, device_id)
    assert device is not None
    return pending_differences(
        live, with_changed_device(inactive, device_id, build_device(device.type_key, values, device.xml))
    )


@pytest.mark.parametrize("name", ["many_devices", "small"])
def test_what_only_runs_does_not_wait(name: str) -> None:
    assert pending_differences(*pair(name)) == ()


def test_that_a_guest_is_asked_for_its_memory_while_it_runs_does_not_wait() -> None:
    live, inactive = (
        f"<domain><devices><memballoon model='virtio'>{stats}</memballoon></devices></domain>"
        for stats in ("<stats period='5'/>", "")
    )
    assert pending_differences(live, inactive) == ()
    # The other way round somebody wants it from the next start on.
    assert pending_differences(inactive, live) != ()


def test_what_was_plugged_in_while_it_ran_is_the_same_device_and_the_rest_waits() -> None:
    assert pending_differences(*pair("plugged_in")) == (
        Difference(part="vcpu", section="processor", name="vcpus_current", now="2", then="1"),
        Difference(part="rng", device_id="rng:pci.0000.0a.00.0", now="virtio · random · /dev/urandom"),
    )


@pytest.mark.parametrize(
    ("device_id", "name", "value", "now", "then"),
    [
        ("disk:vda", "cache", "writeback", "none", "writeback"),
        ("disk:vda", "serial", "", "abc", ""),
        ("disk:vda", "readonly", True, "", "yes"),
        ("disk:vda", "boot_order", 1, "", "1"),
        ("disk:sdc", "source_file", "/images/a.iso", "", "/images/a.iso"),
        ("graphics:vnc:0", "listen_address", "127.0.0.1", "0.0.0.0", "127.0.0.1"),
        ("sound:0", "codecs", "duplex", "micro", "duplex"),
        ("memballoon:0", "autodeflate", False, "yes", "no"),
        ("tpm:0", "model", "tpm-tis", "tpm-crb", "tpm-tis"),
        ("channel:org.qemu.guest_agent.0", "log_file", "/tmp/agent.log", "", "/tmp/agent.log"),
    ],
)
def test_each_change_of_a_device_waits(device_id: str, name: str, value: Value, now: str, then: str) -> None:
    assert changed(device_id, **{name: value}) == (
        Difference(
            part=device_id.partition(":")[0].replace("disk", _kind(device_id)),
            device_id=device_id,
            name=name,
            now=now,
            then=then,
        ),
    )


def _kind(device_id: str) -> str:
    return "cdrom" if device_id == "disk:sdc" else "disk"


@pytest.mark.parametrize(
    ("section", "values", "names"),
    [
        ("processor", {"sockets": 2, "cores": 2, "threads": 1}, ["sockets", "cores", "threads"]),
        ("processor", {"mode": "host-passthrough"}, ["mode"]),
        ("memory", {"hugepages": True}, ["hugepages"]),
        ("numa", {"cells": "0 0-1 65536 shared\n1 2-3 65536 shared"}, ["cells"]),
        ("boot", {"menu": True}, ["menu"]),
        ("boot", {"order": "interface:52:54:00:35:e5:a4"}, ["boot_order"]),
        ("features", {"hyperv_relaxed": True}, ["hyperv_relaxed"]),
        ("features", {"apic": False}, ["apic"]),
        ("clock", {"offset": "localtime"}, ["offset"]),
        ("lifecycle", {"on_crash": "restart"}, ["on_crash"]),
        ("general", {"title": "Web"}, ["title"]),
        ("iothreads", {"count": 3}, ["count"]),
        ("system", {"firmware": "bios"}, ["firmware"]),
    ],
)
def test_each_change_of_a_section_waits(section: str, values: dict[str, Value], names: list[str]) -> None:
    live, inactive = pair("many_devices")
    found = pending_differences(live, change_section(inactive, section, values))
    assert set(names) <= {one.name for one in found}
    assert {one.section or one.part for one in found} <= {section, "interface", "disk"}


def test_a_device_that_comes_or_goes_waits_as_a_whole() -> None:
    live, inactive = pair("many_devices")
    new = build_device("disk", {"source_file": "/images/new.qcow2", "bus": "virtio"})
    assert pending_differences(live, with_device(inactive, new)) == (
        Difference(part="disk", device_id="disk:vdb", then="vdb · /images/new.qcow2"),
    )
    assert pending_differences(live, without_device(inactive, "sound:0")) == (
        Difference(part="sound", device_id="sound:0", now="ich9"),
    )


def test_what_no_form_knows_waits_too() -> None:
    live, inactive = pair("many_devices")
    edited = inactive.replace("<acpi/>", "<acpi/><hap state='on'/>").replace("value='-no-hpet'", "value='-S'")
    edited = edited.replace(
        "<driver name='qemu' type='qcow2' cache='none'",
        "<driver name='qemu' type='qcow2' queue_size='256' cache='none'",
    )
    found = {one.name: (one.now, one.then) for one in pending_differences(live, edited)}
    assert found["features/hap/@state"] == ("", "on")
    assert found["driver/@queue_size"] == ("", "256")
    assert ("-no-hpet", "-S") in found.values()


def test_what_libvirt_dropped_is_named() -> None:
    _live, kept = pair("many_devices")
    typed = kept.replace("<acpi/>", "<acpi/><warp/>").replace(
        "<sound model='ich9'>", "<sound model='ich9' loud='yes'><!-- x -->"
    )
    assert lost_parts(typed, kept) == (
        "domain/features: <warp>",
        "domain/devices/sound: loud='yes'",
        "domain/devices/sound: <!-- x -->",
    )


def test_a_default_that_libvirt_leaves_out_is_not_lost() -> None:
    _live, kept = pair("small")
    assert lost_parts(kept.replace("<vcpu placement='static'>", "<vcpu placement='static' current='1'>"), kept) == ()
    assert lost_parts(kept, kept) == ()
