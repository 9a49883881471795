"""Wherever a domain's XML names a volume, it is found; and nothing else is."""

import pytest

from hypervisors.libvirtxml.domain_references import is_backed_by, volume_references

PATH = "/images/disk1.qcow2"


def found(inside: str) -> list[str]:
    return volume_references(f"<domain>{inside}</domain>", path=PATH, storage_pool="images", volume="disk1.qcow2")


@pytest.mark.parametrize(
    ("xml", "roles"),
    [
        (f"<devices><disk><source file='{PATH}'/><target dev='vda'/></disk></devices>", ["vda"]),
        (f"<devices><disk><source dev='{PATH}'/><target dev='sda'/></disk></devices>", ["sda"]),
        ("<devices><disk><source pool='images' volume='disk1.qcow2'/><target dev='vdb'/></disk></devices>", ["vdb"]),
        (
            f"<devices><disk><source file='/x'/><backingStore><source file='{PATH}'/></backingStore>"
            "<target dev='vda'/></disk></devices>",
            ["vda"],
        ),
        (f"<devices><disk><mirror><source file='{PATH}'/></mirror><target dev='vda'/></disk></devices>", ["vda"]),
        (f"<os><kernel>{PATH}</kernel></os>", ["kernel"]),
        (f"<os><nvram>  {PATH}\n</nvram></os>", ["nvram"]),
        (f"<os><nvram template='{PATH}'/></os>", ["nvram"]),
        (f"<devices><filesystem><source dir='{PATH}'/></filesystem></devices>", ["source"]),
        ("<os><kernel>/images/./x/../disk1.qcow2</kernel></os>", ["kernel"]),
        ("<os><kernel>//images/disk1.qcow2</kernel></os>", ["kernel"]),
        (
            "<devices><disk><source file='/dev/pts/../../images/disk1.qcow2'/><target dev='vda'/></disk></devices>",
            ["vda"],
        ),
        ("<devices><disk><source file='images/disk1.qcow2'/><target dev='vda'/></disk></devices>", ["vda"]),
        ("<devices><interface><source dev='images/disk1.qcow2'/></interface></devices>", []),
        (f"<description>it was {PATH} once</description>", []),
        ("<devices><disk><source file='/images/disk1.qcow2.old'/><target dev='vda'/></disk></devices>", []),
        ("<devices><disk><source pool='other' volume='disk1.qcow2'/><target dev='vda'/></disk></devices>", []),
        ("<name>disk1.qcow2</name><!-- /images/disk1.qcow2 -->", []),
    ],
)
def test_a_volume_is_found_where_it_is_named(xml: str, roles: list[str]) -> None:
    assert found(xml) == roles


def test_a_volume_without_a_path_is_known_by_its_names_alone() -> None:
    xml = "<domain><os><kernel></kernel></os></domain>"
    assert volume_references(xml, path="", storage_pool="images", volume="disk1.qcow2") == []


@pytest.mark.parametrize(
    ("backing_path", "is_so"),
    [
        (PATH, True),
        ("/images/../images//disk1.qcow2", True),
        ('json:{"driver":"qcow2","file":{"driver":"file","filename":"/images/disk1.qcow2"}}', True),
        ('json:{"file.filename":"/images/disk1.qcow2"}', True),
        ("/images/disk1.qcow2.old", False),
        ('json:{"file.filename":"/images/other.qcow2"}', False),
        ("", False),
    ],
)
def test_a_volume_on_top_of_another_is_known_by_its_backing_path(backing_path: str, is_so: bool) -> None:
    assert is_backed_by(backing_path, PATH) is is_so
