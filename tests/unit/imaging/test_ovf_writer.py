"""Descriptors that we write are read back as what they were written from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisors.imaging.ovf import parse_ovf
from hypervisors.imaging.ovf_documents import one_line
from hypervisors.imaging.ovf_writer import ExportedDisk, ExportedMachine, build_ovf

DISKS = [
    ExportedDisk(file_name="web1-1.vmdk", file_bytes=1000, capacity_bytes=2**30, populated_bytes=2**20),
    ExportedDisk(file_name="web1-2.vmdk", file_bytes=2000, capacity_bytes=5 * 2**30, populated_bytes=0),
]


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_what_is_written_reads_back(firmware: str) -> None:
    machine = ExportedMachine(
        name="web1",
        description="two lines",
        system="debian12",
        vcpus=3,
        memory_kib=3 * 2**19,
        firmware=firmware,
        secure_boot=firmware == "uefi",
        networks=["default", "backup", "default"],
        cd_drives=1,
    )
    read = parse_ovf(build_ovf(machine, DISKS))
    assert (read.name, read.description, read.system) == ("web1", "two lines", "debian12")
    assert (read.vcpus, read.memory_kib, read.firmware) == (3, 3 * 2**19, firmware)
    assert read.secure_boot == (firmware == "uefi")
    assert [(disk.file_name, disk.file_bytes, disk.capacity_bytes) for disk in read.disks] == [
        (disk.file_name, disk.file_bytes, disk.capacity_bytes) for disk in DISKS
    ]
    assert [disk.populated_bytes for disk in read.disks] == [2**20, 0]
    assert [card.network for card in read.cards] == ["default", "backup", "default"]
    assert (read.cd_drives, read.not_mapped) == (1, ())


def test_the_order_of_many_disks_is_kept() -> None:
    many = [
        ExportedDisk(file_name=f"{number}.vmdk", file_bytes=1, capacity_bytes=2**20, populated_bytes=0)
        for number in range(32)
    ]
    read = parse_ovf(build_ovf(ExportedMachine(name="big"), many))
    assert [disk.file_name for disk in read.disks] == [disk.file_name for disk in many]


@given(name=st.text(min_size=1, max_size=60), description=st.text(max_size=200), network=st.text(max_size=30))
def test_no_text_breaks_the_descriptor(name: str, description: str, network: str) -> None:
    machine = ExportedMachine(name=name, description=description, networks=[network])
    read = parse_ovf(build_ovf(machine, DISKS))
    assert read.description == one_line(description, most=4000)
    assert len(read.cards) == 1
