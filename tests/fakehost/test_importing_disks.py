"""What imports, copies and exports ask of a host before they touch its volumes, on libvirt's test driver."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from hypervisors.errors import NameTaken, NotPossible, StorageBusy
from hypervisors.gateway.connections import Connection
from hypervisors.imaging.appliances import PackagedDisk
from hypervisors.imaging.ovf import ApplianceDisk
from hypervisors.libvirtxml.storage_volumes import VolumeSpec
from hypervisors.models import Domain, Hypervisor
from hypervisors.operations.domains.creation.disk_steps import CopiedDisk
from hypervisors.operations.domains.exporting import packing
from hypervisors.operations.domains.exporting.packing import BeginArchive
from hypervisors.operations.domains.importing import extraction
from hypervisors.operations.domains.importing.extraction import JudgeDisk, check_room
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.storage.image_checks import check_copied
from hypervisors.operations.storage.volume_readers import needed_file
from hypervisors.states import DomainState
from tests.fakehost.fake_storage import GIB, Storage
from tests.rows import define

pytestmark = pytest.mark.django_db(transaction=True)


class _Asked:
    """As much of a Run as these ask of."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @property
    def source(self) -> Hypervisor:
        return self._storage.row.hypervisor

    def ask(self, question: Callable[[Connection], Any], **_more: Any) -> Any:
        return question(self._storage.connection)


@pytest.fixture
def run(storage: Storage) -> Run:
    xml = f"<volume><name>web1.img</name><capacity>{GIB}</capacity></volume>"
    storage.connection.raw.storagePoolLookupByName("images").createXML(xml, 0)
    return cast(Run, _Asked(storage))


def test_a_disk_that_a_running_guest_can_forge_is_not_converted(storage: Storage, run: Run) -> None:
    disk = "<disk type='file'><source file='/images/web1.img'/><target dev='vda'/></disk>"
    storage.connection.raw.createXML(
        f"<domain type='test'><name>db1</name><memory>65536</memory><os><type>hvm</type></os>"
        f"<devices>{disk}</devices></domain>"
    )
    declared = ApplianceDisk(name="web1.img", file_name="web1.img", file_bytes=GIB, capacity_bytes=0, format="")
    packaged = PackagedDisk(disk=declared, volume_name="web1.img", size_bytes=GIB)
    with pytest.raises(NotPossible, match="It is in use: vda of “db1”"):
        JudgeDisk(storage.row, packaged, number=1).do(run, {})


def test_a_header_that_points_beyond_all_numbers_reads_nothing(storage: Storage, run: Run) -> None:
    file = needed_file(run, storage.row, "web1.img")
    assert (file.read(2**69, 512), file.read(file.size_bytes, 512), file.read(-1, 512)) == (b"", b"", b"")


def test_an_import_does_not_wait_until_another_copy_has_ended(
    storage: Storage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_busy(*_arguments: Any) -> None:
        raise StorageBusy("has asynchronous jobs running")

    monkeypatch.setattr(extraction, "refresh_storage_pool", is_busy)
    check_room(run, storage.row, 0)


def test_a_source_is_judged_right_before_it_is_copied(storage: Storage, run: Run) -> None:
    def forged(_run: Run) -> None:
        raise NotPossible("It names another file by now.")

    spec = VolumeSpec(name="copy.qcow2", format="qcow2", capacity_bytes=GIB)
    step = CopiedDisk(storage.row, spec, source_storage_pool=storage.row, source_name="web1.img", check=forged)
    with pytest.raises(NotPossible, match="names another file"):
        step.do(run, step.intend(run))
    assert storage.names() == ["web1.img"]


def test_what_a_running_machine_writes_to_is_not_copied_into_another(
    storage: Storage, run: Run, make_domain: Callable[..., Domain]
) -> None:
    user = make_domain(name="db1", hypervisor=storage.row.hypervisor, state=DomainState.RUNNING)
    disk = "<disk type='file' device='disk'><source file='/images/web1.img'/><target dev='vda'/></disk>"
    define(user, live_xml=f"<domain type='qemu'><name>db1</name><devices>{disk}</devices></domain>")
    with pytest.raises(NotPossible, match="It is in use: vda of “db1”"):
        check_copied(run, storage.mirror("web1.img"))


def test_an_archive_is_not_begun_in_what_somebody_else_put_there_meanwhile(
    storage: Storage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BeginArchive(storage.row, "web1.img")
    assert step.is_done(run, {})
    facts = storage.find("web1.img")
    assert facts is not None
    monkeypatch.setattr(packing, "read_volume", lambda *_arguments: replace(facts, physical_bytes=5))
    for ask in (lambda: step.is_done(run, {}), lambda: step.undo(run, {}, {})):
        with pytest.raises(NameTaken, match="left alone"):
            ask()
    assert storage.names() == ["web1.img"]
    step.undo(run, {}, step.found(run, {}))
    assert storage.names() == []
