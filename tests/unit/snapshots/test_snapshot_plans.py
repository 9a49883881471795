"""Which snapshots can be taken of a machine, and why not the others."""

from collections.abc import Callable
from typing import Any

import pytest

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, DomainSnapshot, StoragePool, Volume
from hypervisors.operations.domains.deletion.plan import deletion_plan
from hypervisors.operations.domains.snapshotting.names import checked_snapshot_name, file_name
from hypervisors.operations.domains.snapshotting.parameters import checked_parameters
from hypervisors.operations.domains.snapshotting.plan import snapshot_plan
from hypervisors.operations.engine.requests import why_not
from hypervisors.states import DomainState
from tests.rows import define

pytestmark = pytest.mark.django_db

GIB = 1024**3
AGENT = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='{}'/></channel>"


def _xml(*disks: str, os: str = "<os/>", more: str = "") -> str:
    return f"<domain type='kvm'><name>web1</name>{os}<devices>{''.join(disks)}{more}</devices></domain>"


def _disk(target: str, path: str, format_: str = "qcow2", more: str = "", device: str = "disk") -> str:
    return (
        f"<disk type='file' device='{device}'><driver name='qemu' type='{format_}'/><source file='{path}'/>"
        f"<target dev='{target}' bus='virtio'/>{more}</disk>"
    )


@pytest.fixture
def storage_pool(domain: Domain) -> StoragePool:
    return StoragePool.objects.create(
        hypervisor=domain.hypervisor,
        uuid="00000000-0000-4000-8000-000000000001",
        name="images",
        pool_type="dir",
        active=True,
        autostart=True,
        target_path="/images",
        available_bytes=100 * GIB,
    )


@pytest.fixture
def volume(storage_pool: StoragePool) -> Volume:
    return Volume.objects.create(
        storage_pool=storage_pool, name="a.qcow2", path="/images/a.qcow2", volume_type="file", format="qcow2"
    )


def _runs(domain: Domain, xml: str) -> None:
    Domain.objects.filter(pk=domain.pk).update(state=DomainState.RUNNING)
    domain.refresh_from_db()
    define(domain, live_xml=xml, inactive_xml=xml)


def _is_off(domain: Domain, xml: str) -> None:
    define(domain, live_xml="", inactive_xml=xml)


def test_of_one_that_runs_every_kind_can_be_taken(domain: Domain, volume: Volume) -> None:
    _runs(domain, _xml(_disk("vda", volume.path)))
    plan = snapshot_plan(domain)
    assert plan.why_not == {"internal": "", "external": "", "external_memory": ""}
    assert plan.best == "internal"
    assert "no channel" in plan.why_no_quiesce


def test_of_one_that_is_off_there_is_no_memory(domain: Domain, volume: Volume) -> None:
    _is_off(domain, _xml(_disk("vda", volume.path)))
    plan = snapshot_plan(domain)
    assert "off" in plan.why_not["external_memory"]
    assert (plan.why_not["internal"], plan.why_not["external"]) == ("", "")
    spec = checked_parameters(domain, {"name": "a", "mode": "internal"}).spec(is_active=False)
    assert not spec.has_memory


@pytest.mark.parametrize(
    ("xml", "internal", "external"),
    [
        (_xml(_disk("vda", "/images/a.qcow2", "raw")), "only qcow2", ""),
        (_xml(_disk("vda", "/images/a.qcow2"), os="<os firmware='efi'/>"), "UEFI", ""),
        (_xml(_disk("vda", "/elsewhere/b.qcow2")), "", "in no storage pool"),
        (_xml(_disk("vda", "/images/a.qcow2", more="<shareable/>")), "shared", "shared"),
        (_xml(_disk("vda", "/images/a.qcow2", more="<transient/>")), "thrown away", "thrown away"),
        (_xml(_disk("vda", "/images/a.qcow2", more="<mirror job='copy'/>")), "being copied", "being copied"),
        (_xml(_disk("sda", "/images/a.iso", "raw", device="cdrom")), "no disk", "no disk"),
    ],
)
def test_what_cannot_be_taken_says_why(domain: Domain, volume: Volume, xml: str, internal: str, external: str) -> None:
    _runs(domain, xml)
    plan = snapshot_plan(domain)
    for mode, why in (("internal", internal), ("external", external), ("external_memory", external)):
        assert (why in plan.why_not[mode]) if why else plan.why_not[mode] == ""
    if internal:
        with pytest.raises(NotPossible):
            checked_parameters(domain, {"name": "a", "mode": "internal"})


def test_media_and_what_is_only_read_are_left_out(domain: Domain, volume: Volume) -> None:
    disks = [
        _disk("vda", volume.path),
        _disk("sda", "/x.iso", "raw", device="cdrom"),
        _disk("vdb", "/y.img", "raw", more="<readonly/>"),
    ]
    _runs(domain, _xml(*disks))
    parameters = checked_parameters(domain, {"name": "a", "mode": "external"})
    assert (parameters.held, parameters.left_out) == (["vda"], ["sda", "vdb"])


def test_libvirt_is_not_told_of_an_empty_floppy_drive_in_an_internal_snapshot(domain: Domain, volume: Volume) -> None:
    empty = "<disk type='file' device='floppy'><target dev='fda'/></disk>"
    _runs(domain, _xml(_disk("vda", volume.path), empty))
    told = {
        mode: [
            disk.target for disk in checked_parameters(domain, {"name": "a", "mode": mode}).spec(is_active=True).disks
        ]
        for mode in ("internal", "external")
    }
    assert told == {"internal": ["vda"], "external": ["vda", "fda"]}


def test_a_floppy_that_can_be_written_to_is_to_be_ejected_first(domain: Domain, volume: Volume) -> None:
    _runs(domain, _xml(_disk("vda", volume.path), _disk("fda", "/images/a.img", "raw", device="floppy")))
    why_not = snapshot_plan(domain).why_not
    assert "eject it first" in why_not["internal"]
    assert why_not["external"] == ""


def test_files_stand_beside_the_disk_under_names_that_are_free(domain: Domain, volume: Volume) -> None:
    _runs(domain, _xml(_disk("vda", volume.path)))
    Volume.objects.create(storage_pool=volume.storage_pool, name="web1-vda.before-upgrade.qcow2", path="/images/x")
    parameters = checked_parameters(domain, {"name": "Before upgrade", "mode": "external_memory"})
    assert [file.path for file in parameters.new_files] == [
        "/images/web1-vda.Before-upgrade.qcow2",
        "/images/web1-memory.Before-upgrade.save",
    ]
    parameters = checked_parameters(domain, {"name": "before/upgrade".replace("/", " "), "mode": "external"})
    assert parameters.new_files[0].name == "web1-vda.before-upgrade-2.qcow2"
    assert parameters.new_files[0].backing_path == volume.path


def test_a_full_storage_pool_is_said_before(domain: Domain, volume: Volume) -> None:
    _runs(domain, _xml(_disk("vda", volume.path)))
    StoragePool.objects.update(available_bytes=100 * 1024**2)
    plan = snapshot_plan(domain)
    assert "too full" in plan.why_not["internal"]
    assert "too full" in plan.why_not["external_memory"]
    assert plan.why_not["external"] == ""


@pytest.mark.parametrize(("state", "why"), [("connected", ""), ("disconnected", "does not run")])
def test_file_systems_are_frozen_where_the_agent_runs(domain: Domain, volume: Volume, state: str, why: str) -> None:
    _runs(domain, _xml(_disk("vda", volume.path), more=AGENT.format(state)))
    assert why in snapshot_plan(domain).why_no_quiesce
    if why:
        with pytest.raises(NotPossible, match="frozen"):
            checked_parameters(domain, {"name": "a", "mode": "external", "quiesce": True})
    else:
        assert checked_parameters(domain, {"name": "a", "mode": "external", "quiesce": True}).quiesce
    # Memory is kept as it is: there is nothing to freeze.
    assert not checked_parameters(domain, {"name": "a", "mode": "internal", "quiesce": True}).quiesce


def test_the_other_kind_is_refused_once_there_is_one(domain: Domain, volume: Volume) -> None:
    _runs(domain, _xml(_disk("vda", volume.path)))
    DomainSnapshot.objects.create(domain=domain, name="e1", kind="external")
    plan = snapshot_plan(domain)
    assert "e1" in plan.why_not["internal"]
    assert plan.best == "external"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "needs a name"),
        ("a/b", "/"),
        (".a", "begin with"),
        ("--all", "begin with"),
        ("12", "number alone"),
        ("a\nb", "control character"),
        ("x" * 101, "too long"),
        ("taken", "already"),
        (None, "text"),
    ],
)
def test_names_that_cannot_be(name: object, why: str) -> None:
    with pytest.raises(NotPossible, match=why):
        checked_snapshot_name(name, {"taken"})


def test_file_names_are_plain_whatever_the_names() -> None:
    assert file_name("../web 1", "vda", "ä/… b", suffix=".qcow2", taken=()) == "web-1-vda.b.qcow2"
    assert file_name("ü", "vda", "ö", suffix=".qcow2", taken=()) == "x-vda.x.qcow2"
    assert len(file_name("w" * 300, "vda", "s" * 300, suffix=".qcow2", taken=())) < 140


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"persistent": False}, "transient"),
        ({"is_template": True}, "template"),
        ({"has_managed_save": True}, "saved state"),
        ({"state": DomainState.CRASHED}, "crashed"),
        ({"state": DomainState.RUNNING, "answering": False}, "does not answer"),
    ],
)
def test_machines_that_none_is_taken_of(make_domain: Callable[..., Domain], fields: dict[str, Any], why: str) -> None:
    assert why in why_not(make_domain(**fields), "create_snapshot")


def test_one_with_snapshots_is_not_renamed_nor_made_a_template(make_domain: Callable[..., Domain]) -> None:
    domain = make_domain(has_snapshots=True)
    for kind in ("rename", "make_template"):
        assert "has snapshots" in why_not(domain, kind)


def test_a_deletion_takes_the_memory_of_snapshots_along(domain: Domain, volume: Volume) -> None:
    _is_off(domain, _xml(_disk("vda", volume.path)))
    memory = Volume.objects.create(storage_pool=volume.storage_pool, name="m.save", path="/images/m.save")
    Volume.objects.create(storage_pool=volume.storage_pool, name="other.save", path="/images/other.save")
    assert deletion_plan(domain).files == ()
    DomainSnapshot.objects.create(domain=domain, name="e1", kind="external", memory_path=memory.path)
    plan = deletion_plan(domain)
    assert plan.files == (memory,)
    assert any("m.save" in text for text in plan.goes_along)
