"""A volume's XML as somebody wrote it: what is understood of it is what libvirt is given, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisors.libvirtxml.storage_volumes import VolumeSpec, build_volume
from hypervisors.libvirtxml.typed_documents import MalformedXml
from hypervisors.libvirtxml.typed_volumes import comparable, read_typed_volume

SECRET = "11111111-2222-4333-8444-555555555501"


def volume(
    inside: str = "", *, target: str = "<format type='qcow2'/>", size: str = "<capacity>1048576</capacity>"
) -> str:
    return f"<volume><name>a.img</name>{size}{inside}<target>{target}</target></volume>"


@pytest.mark.parametrize(
    "spec",
    [
        VolumeSpec(name="a b.qcow2", format="qcow2", capacity_bytes=2**30),
        VolumeSpec(name="a.raw", format="raw", capacity_bytes=2**30, preallocation="full"),
        VolumeSpec(name="o", format="qcow2", capacity_bytes=2**20, backing_path="/i/b & c.img", backing_format="raw"),
    ],
)
def test_what_the_form_makes_is_understood(spec: VolumeSpec) -> None:
    typed = read_typed_volume(build_volume(spec))
    assert (typed.name, typed.format, typed.capacity_bytes) == (spec.name, spec.format, spec.capacity_bytes)
    assert (typed.backing_path, typed.backing_format) == (spec.backing_path, spec.backing_format)
    assert typed.reserved_bytes == spec.reserved_bytes
    # libvirt is given no more than that.
    assert read_typed_volume(typed.xml) == typed


@pytest.mark.parametrize(
    ("unit", "size_bytes"),
    [("", 3), ("bytes", 3), ("B", 3), ("k", 3072), ("KB", 3000), ("KiB", 3072), ("G", 3 * 2**30), ("gib", 3 * 2**30)],
)
def test_sizes_are_in_libvirts_units_and_handed_on_as_bytes(unit: str, size_bytes: int) -> None:
    attribute = f" unit='{unit}'" if unit else ""
    typed = read_typed_volume(volume(size=f"<capacity{attribute}> 3 </capacity>"))
    assert typed.capacity_bytes == size_bytes
    assert f'<capacity unit="bytes">{size_bytes}</capacity>' in typed.xml


def test_raw_volumes_take_their_whole_size_unless_told() -> None:
    raw = "<format type='raw'/>"
    assert read_typed_volume(volume(target=raw)).reserved_bytes == 1048576
    assert read_typed_volume(volume("<allocation>0</allocation>", target=raw)).reserved_bytes == 0
    assert read_typed_volume(volume("<allocation unit='TiB'>1</allocation>", target=raw)).reserved_bytes == 1048576
    assert read_typed_volume(volume()).reserved_bytes == 0


def test_a_secret_is_told() -> None:
    encryption = f"<encryption format='luks'><secret type='passphrase' uuid='{SECRET}'/></encryption>"
    typed = read_typed_volume(volume(target=f"<format type='raw'/>{encryption}"))
    assert (typed.encryption, typed.secret_uuid) == ("luks", SECRET)


def test_a_comment_hides_nothing_of_a_path() -> None:
    backing = "<backingStore><path>/etc/<!-- x -->shadow</path><format type='raw'/></backingStore>"
    assert read_typed_volume(volume(backing)).backing_path == "/etc/shadow"


def test_what_libvirt_does_and_does_not_show_is_not_told_as_lost() -> None:
    assert "nocow" not in comparable(volume(target="<format type='raw'/><nocow/>"))


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<pool/>", "what belongs here begins with <volume>"),
        ("<volume>", "cannot be read"),
        ("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><volume>&e;</volume>", "no document type"),
        (volume().replace("a.img", "../a"), "has no “/”"),
        (volume().replace("a.img", "a\n"), "one line of printable"),
        (volume().replace("<name>a.img</name>", ""), "needs a name"),
        (volume().replace("a.img", "<b>a</b>"), "<b> has no place in <name>"),
        (volume("<name>b</name>"), "<volume> has more than one <name>"),
        (volume("<source><device path='/dev/sda'/></source>"), "<source> has no place in <volume>"),
        (volume().replace("<volume>", "<volume type='dir'>"), "leave its type out"),
        (volume(target="<format type='dir'/>"), "qcow2 or raw"),
        (volume(target=""), "Say its format"),
        (volume(size=""), "Say its size"),
        (volume(size="<capacity>-1</capacity>"), "whole number"),
        (volume(size="<capacity unit='parsec'>1</capacity>"), "whole number"),
        (volume(size=f"<capacity>{'9' * 30}</capacity>"), "more than any storage holds"),
        (volume(size="<capacity unit='EiB'>9</capacity>"), "more than any storage holds"),
        (volume("<backingStore><path>/i/b</path></backingStore>"), "QEMU would take that for raw"),
        (volume("<backingStore><format type='raw'/></backingStore>"), "names no <path>"),
        (
            volume("<backingStore><path>/i/b</path><path>/etc/shadow</path><format type='raw'/></backingStore>"),
            "more than one <path>",
        ),
        (volume("<x:backingStore xmlns:x='y'><path>/etc/shadow</path></x:backingStore>"), "has no place in <volume>"),
        (volume(target="<format type='raw'/><encryption format='qcow'/>"), "LUKS"),
        (
            volume(
                target="<format type='raw'/><encryption format='luks'><secret type='passphrase' uuid='u'/>"
                "<cipher name='aes,file=/etc/shadow'/></encryption>"
            ),
            "letters and digits",
        ),
    ],
)
def test_what_cannot_be_made_is_said(xml: str, reason: str) -> None:
    with pytest.raises(MalformedXml, match=reason.replace("(", r"\(")):
        read_typed_volume(xml)


_TAGS = st.sampled_from(["volume", "name", "target", "path", "format", "backingStore", "capacity", "encryption", "x"])
_ELEMENTS = st.recursive(
    st.tuples(_TAGS, st.text("ab/&<'", max_size=4).map(lambda text: text.replace("&", "&amp;").replace("<", "&lt;"))),
    lambda children: st.tuples(_TAGS, st.lists(children, max_size=4)),
    max_leaves=12,
)


def _written(element: object) -> str:
    tag, inside = element  # type: ignore[misc]
    return f"<{tag}>{inside if isinstance(inside, str) else ''.join(map(_written, inside))}</{tag}>"


@given(st.lists(_ELEMENTS, max_size=6))
@settings(max_examples=150, deadline=None)
def test_whatever_is_written_is_understood_or_refused(elements: list[object]) -> None:
    text = volume("".join(map(_written, elements)))
    try:
        typed = read_typed_volume(text)
    except MalformedXml:
        return
    assert read_typed_volume(typed.xml) == typed
