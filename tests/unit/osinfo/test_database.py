"""Where systems are read from: later directories win, and our own entries only fill what is missing."""

import os
import threading
from pathlib import Path

import pytest
from lxml import etree

from hypervisors.osinfo import find_system, warm_up
from hypervisors.osinfo.database import Database
from hypervisors.osinfo.files import OWN_ENTRIES

OS = """<libosinfo><os id="http://example.com/{name}"><short-id>{name}</short-id><name>{title}</name>{rest}</os></libosinfo>"""


def write(directory: Path, name: str, *, title: str = "", rest: str = "", relative: str = "") -> Path:
    path = directory / "os" / "example.com" / (relative or f"{name}.xml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OS.format(name=name, title=title or name, rest=rest))
    return path


def title_of(database: Database, name: str) -> str | None:
    system = database.find(name)
    return system and system.name


def test_a_later_directory_takes_precedence_and_an_empty_file_takes_away(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write(first, "one", title="old")
    write(second, "one", title="new")
    write(first, "two")
    write(second, "two").write_text("")
    database = Database([first, second, tmp_path / "nowhere"])
    assert title_of(database, "one") == "new"
    assert title_of(database, "two") is None


def test_what_is_inherited_is_taken_field_by_field(tmp_path: Path) -> None:
    resources = "<resources arch='{arch}'><minimum>{minimum}</minimum><recommended{inherit}/></resources>"
    minimum = "<ram>1048576</ram><n-cpus>2</n-cpus>"
    parent = resources.format(arch="all", minimum=minimum, inherit="")
    devices = "<devices><device id='a'/><device id='b'/></devices>"
    write(tmp_path, "parent", rest=parent + devices + "<firmware arch='x86_64' type='efi'/>")
    own = (
        "<derives-from id='http://example.com/parent'/>"
        "<devices><device id='b' supported='false'/><device id='c'/></devices>"
        "<firmware arch='x86_64' type='bios' supported='false'/>"
        "<resources arch='x86_64' inherit='true'><minimum><n-cpus>4</n-cpus></minimum></resources>"
    )
    write(tmp_path, "child", rest=own)
    write(tmp_path, "stranger", rest="<derives-from id='http://example.com/parent'/>")
    database = Database([tmp_path])
    child, stranger = database.find("child"), database.find("stranger")
    assert child is not None
    assert stranger is not None
    assert child.devices == {"a", "c"}
    assert (child.firmwares, child.needs_uefi) == ({"efi"}, True)
    assert (child.minimum.memory_kib, child.minimum.vcpus) == (1024, 4)
    assert stranger.minimum.memory_kib is None


def test_systems_that_derive_from_each_other_are_read_all_the_same(tmp_path: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        write(
            tmp_path,
            name,
            rest=f"<derives-from id='http://example.com/{other}'/><devices><device id='{name}'/></devices>",
        )
    one = Database([tmp_path]).find("one")
    assert one is not None
    assert "one" in one.devices


@pytest.mark.parametrize(
    "content",
    [
        "<libosinfo><os id='x'",
        "\x00\x01",
        "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"
        "<libosinfo><os id='bad'><short-id>&e;</short-id></os></libosinfo>",
        "<libosinfo><os id='bad'/></libosinfo>",
    ],
)
def test_a_file_that_is_none_costs_itself_alone(tmp_path: Path, content: str) -> None:
    write(tmp_path, "good")
    write(tmp_path, "bad").write_text(content)
    database = Database([tmp_path])
    assert title_of(database, "good") == "good"
    assert database.find("bad") is None


def test_changed_files_are_read_anew_and_others_are_not(tmp_path: Path) -> None:
    path = write(tmp_path, "one", title="before")
    database = Database([tmp_path], look_seconds=0)
    assert title_of(database, "one") == "before"
    assert database.systems() is database.systems()
    write(tmp_path, "one", title="after")
    os.utime(path, (1, 1))
    assert title_of(database, "one") == "after"


def test_our_own_entries_fill_what_the_database_does_not_have(tmp_path: Path) -> None:
    own = Database([tmp_path]).find("debian12")
    assert own is not None
    assert own.is_own_entry
    theirs = tmp_path / "os" / "debian-12.xml"
    theirs.parent.mkdir()
    theirs.write_text(
        "<libosinfo><os id='http://debian.org/debian/12'><short-id>debian12</short-id><name>Theirs</name></os></libosinfo>"
    )
    found = Database([tmp_path]).find("debian12")
    assert found is not None
    assert (found.name, found.is_own_entry) == ("Theirs", False)


def test_every_entry_of_ours_derives_from_what_is_installed() -> None:
    entries = etree.parse(OWN_ENTRIES).getroot()
    assert len(entries) > 40
    for entry in entries:
        system = find_system(entry.get("id", ""))
        assert system is not None
        assert system.devices, f"{system.short_id} derives from nothing that is known"
        assert system.family in ("linux", "freebsd", "winnt")


def test_reading_ahead_is_over_when_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread would be left behind, with the lock, by the fork that comes next."""
    fresh = Database()
    monkeypatch.setattr("hypervisors.osinfo.database._database", fresh)
    threads = threading.active_count()
    warm_up()
    assert threading.active_count() == threads
    assert fresh._files is not None
