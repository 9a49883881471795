"""The images under a disk, what is being made of it, and a definition that names another image."""

import pytest

from hypervisors.libvirtxml.disk_layers import (
    DiskLayer,
    build_copy_destination,
    disk_layers,
    disk_mirror,
    is_whole_image,
    with_disk_source,
)
from hypervisors.libvirtxml.domains import parse_domain

RUNNING = """<domain type='kvm' id='3'><name>web1</name><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a/top.qcow2' index='3'/>
<backingStore type='file' index='2'><format type='qcow2'/><source file='/a/middle.qcow2'/>
<backingStore type='block' index='1'><format type='raw'/><source dev='/dev/vg/base'/><backingStore/></backingStore>
</backingStore>
<mirror type='file' file='/b/new.qcow2' format='qcow2' job='copy' ready='yes'><format type='qcow2'/>
<source file='/b/new.qcow2'/></mirror><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/a/two.img'/><backingStore/>
<mirror type='file' job='active-commit'><source file='/a/two-base.img'/></mirror><target dev='vdb' bus='virtio'/></disk>
</devices></domain>"""

DEFINED = """<domain type='kvm'><name>web1</name><metadata><x:note xmlns:x='urn:x'>keep</x:note></metadata><devices>
<disk type='volume' device='disk'><driver name='qemu' type='qcow2' cache='none' discard='unmap'/>
<source pool='images' volume='web1.qcow2' startupPolicy='mandatory'><seclabel model='dac' relabel='no'/></source>
<target dev='vda' bus='virtio'/><serial>S1</serial></disk></devices></domain>"""


def test_the_images_of_a_running_disk_are_told_from_the_top() -> None:
    assert disk_layers(RUNNING, "vda") == (
        DiskLayer(path="/a/top.qcow2", format="qcow2"),
        DiskLayer(path="/a/middle.qcow2", format="qcow2"),
        DiskLayer(path="/dev/vg/base", format="raw"),
    )
    assert disk_layers(RUNNING, "vdb") == (DiskLayer(path="/a/two.img", format="raw"),)
    assert disk_layers(RUNNING, "vdz") == ()


def test_what_a_job_makes_is_told_with_whether_it_is_ready() -> None:
    copy, commit = disk_mirror(RUNNING, "vda"), disk_mirror(RUNNING, "vdb")
    assert copy is not None
    assert commit is not None
    assert (copy.job, copy.path, copy.is_ready) == ("copy", "/b/new.qcow2", True)
    assert (commit.job, commit.path, commit.is_ready) == ("active-commit", "/a/two-base.img", False)
    assert disk_mirror(DEFINED, "vda") is None


@pytest.mark.parametrize(("is_block", "kind", "name"), [(False, "file", "file"), (True, "block", "dev")])
def test_a_definition_gets_another_image_and_keeps_all_else(is_block: bool, kind: str, name: str) -> None:
    edited = with_disk_source(DEFINED, "vda", path="/b/new <1>.img", format_="raw", is_block=is_block)
    disk = parse_domain(edited).disks[0]
    assert (disk.source_kind, disk.source, disk.format, disk.target) == (kind, "/b/new <1>.img", "raw", "vda")
    for kept in ("cache='none'", "discard='unmap'", "<serial>S1</serial>", "relabel='no'", ">keep<"):
        assert kept.replace("'", '"') in edited
    assert "pool=" not in edited
    assert "startupPolicy" not in edited
    back = with_disk_source(edited, "vda", path="/a/old.qcow2", format_="qcow2", is_block=False)
    assert parse_domain(back).disks[0].source == "/a/old.qcow2"
    assert f'{name}="/b' not in back


def test_a_disk_that_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="vdc"):
        with_disk_source(DEFINED, "vdc", path="/x", format_="raw", is_block=False)


def test_an_encrypted_image_and_a_part_of_a_file_are_no_whole_images() -> None:
    assert is_whole_image(DEFINED, "vda")
    for hidden in ("<encryption format='luks'/>", "<slices><slice type='storage' offset='1' size='2'/></slices>"):
        assert not is_whole_image(DEFINED.replace("<seclabel", f"{hidden}<seclabel"), "vda")
    assert not is_whole_image(DEFINED, "vdc")


def test_the_destination_of_a_copy_escapes_what_it_names() -> None:
    xml = build_copy_destination("/a&b/<c>.img", "raw", is_block=False)
    assert xml == '<disk type="file"><driver type="raw"/><source file="/a&amp;b/&lt;c&gt;.img"/></disk>'
