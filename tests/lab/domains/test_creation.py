"""Machines made on real hypervisors, by each way; asserted by virsh and qemu-img."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pycdlib
import pytest

from hypervisors.errors import NotPossible
from hypervisors.models import Installation, Operation, OperationLock, StoragePool
from hypervisors.operations.domains.creation.requests import request_creation
from hypervisors.states import OperationState
from tests.lab.domains.creations import MIB, Creator, counts_on, creator, run_to_end, states_of
from tests.lab.portals import Portal
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ()


@pytest.fixture
def made(portal: Portal) -> Iterator[Creator]:
    with creator(portal) as found:
        yield found


def iso_image(label: str = "DEBIAN") -> bytes:
    image, written = pycdlib.PyCdlib(), io.BytesIO()
    image.new(vol_ident=label)
    image.write_fp(written)
    image.close()
    return written.getvalue()


def succeeded(operation: Operation) -> Operation:
    assert operation.state == OperationState.SUCCEEDED, operation.outcome
    return operation


def disks_of(made: Creator, name: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(made.host.virsh("dumpxml", name, "--inactive"))
    return root.findall("devices/disk")


def place_of(disk: ElementTree.Element) -> tuple[str, str, str]:
    """Its device, its file's name, and its place in the boot order."""
    source, boot = disk.find("source"), disk.find("boot")
    path = "" if source is None else source.get("file", "")
    return disk.get("device", ""), Path(path).name, "" if boot is None else boot.get("order", "")


def test_a_machine_is_made_as_asked_for_and_runs(made: Creator) -> None:
    name = 'made 1, "x" & <y>'
    operation = succeeded(made.create(made.given(name, start=True)))
    assert made.host.virsh("domstate", name) == "running"
    assert made.image(f"{name}.qcow2")["virtual-size"] == 16 * MIB
    assert operation.parameters["spec"]["uuid"] == made.host.virsh("domuuid", name)
    assert counts_on(made.host, name)
    assert states_of(operation) == dict.fromkeys(["check", "disk_1", "define", "start", "tell_hosts"], "done")
    assert not OperationLock.objects.exists()
    wait_until(lambda: made.portal.rows[0].domains.filter(name=name).exists())
    with pytest.raises(NotPossible, match="is taken; names are unique"):
        made.ask(made.given(name))


def test_an_iso_is_second_in_the_boot_order_and_an_iso_that_is_none_is_told(made: Creator) -> None:
    medium = made.put("debian.iso", format_="iso", content=iso_image())
    succeeded(made.create(made.given("from-iso", method="iso", install=True, media=[medium.pk])))
    places = [place_of(disk) for disk in disks_of(made, "from-iso")]
    assert places == [("disk", "from-iso.qcow2", "1"), ("cdrom", "debian.iso", "2")]
    assert "urn:vmportal:install" in made.host.virsh("dumpxml", "from-iso", "--inactive")
    assert Installation.objects.get().media_names == ["debian.iso"]
    false = made.put("false.iso", format_="iso", content=b"this is no image" * 5000)
    refused = made.create(made.given("from-false", method="iso", media=[false.pk]))
    assert (refused.state, "is no ISO image" in refused.outcome) == (OperationState.FAILED, True), refused.outcome
    assert "from-false" not in made.names()


def test_images_are_copied_or_stood_upon_and_grow_to_the_size_wanted(made: Creator) -> None:
    image = made.put("image.qcow2", content=b"an image")
    disks = [
        {"action": action, "storage_pool_id": made.storage_pool.pk, "source_volume_id": image.pk, **more}
        for action, more in (
            ("overlay", {"capacity_bytes": 48 * MIB}),
            ("copy", {"capacity_bytes": 32 * MIB}),
            ("copy", {"format": "raw"}),
        )
    ]
    succeeded(made.create(made.given("from-image", method="cloud_image", disks=disks)))
    overlay, grown, raw = (made.image(f"from-image{suffix}") for suffix in (".qcow2", "-2.qcow2", "-3.img"))
    assert (overlay["virtual-size"], overlay["backing-filename-format"]) == (48 * MIB, "qcow2")
    assert overlay["backing-filename"].endswith("/image.qcow2")
    assert (grown["virtual-size"], "backing-filename" in grown) == (32 * MIB, False)
    assert (raw["virtual-size"], raw["format"]) == (16 * MIB, "raw")
    assert (made.host.lab.pool_path / "from-image-3.img").read_bytes()[:8] == b"an image"
    chain = disks_of(made, "from-image")[0].find("backingStore/source")
    assert chain is not None
    assert chain.get("file", "").endswith("/image.qcow2")


def test_a_foreign_image_is_converted(made: Creator) -> None:
    path = made.host.lab.pool_path / "foreign.vmdk"
    made.host.run("qemu-img", "create", "-q", "-f", "vmdk", str(path), "16M")
    image = made.mirrored("foreign.vmdk")
    plan = {"action": "import", "storage_pool_id": made.storage_pool.pk, "source_volume_id": image.pk}
    succeeded(made.create(made.given("from-vmdk", disks=[plan])))
    assert made.image("from-vmdk.qcow2")["format"] == "qcow2"
    with pytest.raises(NotPossible, match="has to be converted"):
        made.ask(made.given("as-it-is", disks=[plan | {"action": "existing"}]))


def test_a_disk_is_taken_as_it_is_unless_another_machine_has_it(made: Creator) -> None:
    disk = made.put("old.qcow2", content=b"a system")
    plan = {"action": "existing", "source_volume_id": disk.pk}
    succeeded(made.create(made.given("first", method="import", disks=[plan])))
    assert [place_of(one)[:2] for one in disks_of(made, "first")] == [("disk", "old.qcow2")]
    wait_until(lambda: made.portal.rows[0].domains.filter(name="first").exists())
    with pytest.raises(NotPossible, match=r"It is in use: vda of “first”"):
        made.ask(made.given("second", method="import", disks=[plan]))


def test_by_pxe_the_card_is_second_in_the_boot_order(made: Creator) -> None:
    succeeded(made.create(made.given("by-pxe")))
    root = ElementTree.fromstring(made.host.virsh("dumpxml", "by-pxe"))
    orders = [boot.get("order") for boot in root.iterfind("devices/*/boot")]
    assert (orders, root.find("devices/interface/boot").get("order")) == (["1", "2"], "2")  # type: ignore[union-attr]


def test_a_hostile_image_is_not_used(made: Creator) -> None:
    directory = made.host.lab.pool_path
    (directory / "secret").write_bytes(b"root:x:" * 1000)
    for name, options in (
        ("backing.qcow2", ["-b", str(directory / "secret"), "-F", "raw"]),
        ("data.qcow2", ["-o", f"data_file={directory / 'outside.raw'}"]),
    ):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(directory / name), "1M"], check=True)
    for name in ("backing.qcow2", "data.qcow2"):
        image = made.mirrored(name)
        for action in ("copy", "overlay", "existing"):
            plan = {"action": action, "storage_pool_id": made.storage_pool.pk, "source_volume_id": image.pk}
            given = made.given("stolen", disks=[plan | {"capacity_bytes": 8 * MIB}])
            try:
                operation = made.create(given)
            except NotPossible:
                continue
            assert operation.state == OperationState.FAILED, (name, action, operation.outcome)
    assert "stolen" not in made.names()
    assert "stolen.qcow2" not in made.volumes()


def test_what_stands_there_already_is_left_alone(made: Creator) -> None:
    path = made.host.lab.pool_path / "mine.qcow2"
    path.write_bytes(b"somebody's")
    operation = made.create(made.given("mine"))
    assert operation.state == OperationState.FAILED
    assert "There is a volume called “mine.qcow2”" in operation.outcome
    assert path.read_bytes() == b"somebody's"
    assert "mine" not in made.names()


def test_a_machine_that_cannot_start_leaves_nothing(made: Creator) -> None:
    before = made.volumes()
    given: dict[str, Any] = made.given("broken", start=True)
    given["spec"] |= {"kernel_path": "/nowhere/vmlinuz"}
    operation = made.create(given)
    assert operation.state == OperationState.FAILED
    assert operation.outcome.endswith("What had been done is undone."), operation.outcome
    assert ("broken" in made.names(), made.volumes()) == (False, before)


def test_several_are_made_at_once_each_on_the_best_host_with_its_own_numbers(made: Creator) -> None:
    image = made.put("image.qcow2")
    plan = {"action": "overlay", "storage_pool_id": made.storage_pool.pk, "source_volume_id": image.pk}
    network = {"dhcp4": False, "addresses": ["192.0.2.9/24"]}
    given = made.given("web-{nn}", disks=[plan], cloud_init={"user": "anna", "networks": [network]})
    asked = request_creation(
        user=made.portal.alice,
        given=given,
        hypervisor_pool=made.portal.rows[0].hypervisor_pool,
        count=3,
        first_number=9,
    )
    operations = [succeeded(run_to_end(operation)) for operation in asked.accepted]
    assert [operation.subject_name for operation in operations] == ["web-09", "web-10", "web-11"]
    assert all(operation.parameters["placement_reason"] for operation in operations)
    seen = [ElementTree.fromstring(made.anywhere("dumpxml", f"web-{number:02d}")) for number in (9, 10, 11)]
    macs = {mac.get("address") for root in seen for mac in root.iterfind("devices/interface/mac")}
    assert (len(macs), len({root.findtext("uuid") for root in seen})) == (3, 3)
    assert asked.parent is not None
    asked.parent.refresh_from_db()
    assert (asked.parent.state, asked.parent.outcome) == (OperationState.SUCCEEDED, "3 done.")
    assert b"192.0.2.11/24" in (made.host.lab.pool_path / "web-11-seed.iso").read_bytes()


def test_pasted_xml_becomes_a_machine_and_what_libvirt_leaves_out_is_told(made: Creator) -> None:
    xml = (
        "<domain type='qemu'><name>pasted &amp; kept</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>"
        "<features><acpi/></features><unheard-of state='on'/><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>"
        "<interface type='user'><mac address='52:54:00:99:00:01'/><colour>red</colour></interface></devices></domain>"
    )
    operation = succeeded(run_to_end(made.ask({"xml": xml}, kind="create_domain_from_xml")))
    assert "unheard-of@state" in operation.outcome
    assert "devices/interface/colour" in operation.outcome
    assert "xml" not in operation.parameters
    assert made.host.virsh("domuuid", "pasted & kept") == operation.parameters["uuid"]
    wait_until(lambda: made.portal.rows[0].domains.filter(name="pasted & kept").exists())
    other = xml.replace("pasted", "other")
    with pytest.raises(NotPossible, match="MAC address"):
        made.ask({"xml": other}, kind="create_domain_from_xml")


def test_the_answers_of_an_unattended_installation_are_on_a_medium_of_their_own(made: Creator) -> None:
    medium = made.put("fedora.iso", format_="iso", content=iso_image("Fedora"))
    given = made.given("answered", method="unattended", install=True, media=[medium.pk])
    given["spec"] |= {"system": "http://fedoraproject.org/fedora/37"}
    given["unattended"] = {"user": "anna", "password": "geheim", "hostname": "answered"}
    operation = succeeded(made.create(given))
    places = [place_of(disk)[:2] for disk in disks_of(made, "answered")]
    assert places == [("disk", "answered.qcow2"), ("cdrom", "fedora.iso"), ("cdrom", "answered-seed.iso")]
    image = (made.host.lab.pool_path / "answered-seed.iso").read_bytes()
    assert b"OEMDRV" in image[32768:34816]
    assert b"geheim" not in image
    assert b"$6$" in image
    assert "unattended" not in operation.parameters
    given = made.given("not-answered", method="unattended", media=[medium.pk], unattended={"password": "x"})
    with pytest.raises(NotPossible, match="no script to install"):
        made.ask(given)


def test_a_storage_pool_that_fills_up_meanwhile_leaves_nothing(made: Creator) -> None:
    host, directory = made.host, f"/run/vmportal-small-{made.portal.rows[0].pk}"
    host.run("mkdir", "-p", directory)
    host.run("mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", directory)
    host.virsh("pool-create-as", "small", "dir", "--target", directory)
    try:
        rows = StoragePool.objects.filter(hypervisor=made.portal.rows[0], name="small", active=True)
        small = wait_until(lambda: rows.first(), seconds=60)
        image = made.put("full.img", format_="raw", size="90M")
        host.run("qemu-io", "-f", "raw", "-c", "write -P 7 0 90M", str(host.lab.pool_path / "full.img"))
        plan = {"action": "copy", "storage_pool_id": small.pk, "source_volume_id": image.pk, "format": "raw"}
        given = made.given("too-large", disks=[plan, plan])
        # What the rows say of the room, and of the image, is older than either.
        rows.update(available_bytes=10 * 1024 * MIB)
        operation = made.create(given)
        assert operation.state == OperationState.FAILED
        assert "full" in operation.outcome or "space" in operation.outcome, operation.outcome
        assert operation.outcome.endswith("What had been done is undone."), operation.outcome
        assert (host.run("ls", directory), "too-large" in made.names()) == ("", False)
    finally:
        host.virsh("pool-destroy", "small")
        host.run("umount", directory)
        host.run("rmdir", directory)
