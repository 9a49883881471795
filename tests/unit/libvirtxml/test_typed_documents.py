"""XML that somebody typed: hostile, huge or broken, it is refused with a reason; and secrets find their way back."""

import time

import pytest
from lxml import etree

from hypervisors.libvirtxml.secret_restoring import restore_secrets
from hypervisors.libvirtxml.typed_documents import MalformedXml, read_typed


@pytest.mark.parametrize(
    ("xml", "line", "said"),
    [
        ("", 1, "no XML"),
        ("<domain>\n  <a>\n</domain>", 3, "line 3: .*mismatch"),
        ("<domain>\n<a b=1/>\n</domain>", 2, "line 2"),
        ("<network/>", 1, "begins with <domain>"),
        ("<domain>\n<!-- --><!DOCTYPE x>\n</domain>", 2, "no entities"),
        (
            "<?xml version='1.0'?>\n<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain>&e;</domain>",
            2,
            "no ent",
        ),
        ("<domain>&undeclared;</domain>", 1, "line 1"),
        ("<?xml version='1.0' encoding='UTF-7'?><domain>+ADw-a/+AD4-</domain>", 1, "UTF-8 is read"),
        ("<domain>" + "<a>" * 1000 + "</a>" * 1000 + "</domain>", 1, "depth"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(xml: str, line: int, said: str) -> None:
    with pytest.raises(MalformedXml, match=said) as refused:
        read_typed(xml, root="domain")
    assert refused.value.line == line


def test_what_is_huge_or_made_of_entities_costs_nothing() -> None:
    bomb = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
        f"<!ENTITY b{n} '{'&a;' * 10 if not n else f'&b{n - 1};' * 10}'>" for n in range(12)
    )
    started = time.monotonic()
    for xml in (bomb + "]><domain>&b11;</domain>", "<domain>" + "<a/>" * 10_000_000 + "</domain>"):
        with pytest.raises(MalformedXml):
            read_typed(xml, root="domain")
    assert time.monotonic() - started < 5


SHOWN = """<domain><name>a</name><devices>
  <disk type='network'><source protocol='https' name='x'><host name='h'/></source><target dev='vda'/></disk>
  <graphics type='vnc' port='-1' autoport='yes'/>
  <graphics type='spice' autoport='yes'><image compression='off'/></graphics>
</devices></domain>"""
SECURE = SHOWN.replace("'-1' autoport='yes'/>", "'-1' autoport='yes' passwd='s3cret'/>").replace(
    "<host name='h'/>", "<host name='h'/><cookies><cookie name='c'>v</cookie></cookies>"
)


def _passwords(xml: str) -> dict[str, str | None]:
    return {one.get("type", ""): one.get("passwd") for one in etree.fromstring(xml).iter("graphics")}


def test_secrets_return_to_what_was_left_as_it_was() -> None:
    typed = SHOWN.replace("<name>a</name>", "<name>a</name><title>new</title>")
    restored = restore_secrets(typed, shown=SHOWN, secure=SECURE)
    assert _passwords(restored.xml) == {"vnc": "s3cret", "spice": None}
    assert etree.fromstring(restored.xml).findtext(".//cookie") == "v"
    assert restored.lost == ()


def test_a_changed_display_keeps_its_password() -> None:
    typed = SHOWN.replace("port='-1' autoport='yes'/>", "port='5950' autoport='no'/>")
    assert _passwords(restore_secrets(typed, shown=SHOWN, secure=SECURE).xml)["vnc"] == "s3cret"


def test_a_password_that_is_typed_stands_and_an_empty_one_takes_it_away() -> None:
    new = SHOWN.replace("port='-1'", "port='-1' passwd='other'")
    assert _passwords(restore_secrets(new, shown=SHOWN, secure=SECURE).xml)["vnc"] == "other"
    none = SHOWN.replace("port='-1'", "port='-1' passwd=''")
    assert _passwords(restore_secrets(none, shown=SHOWN, secure=SECURE).xml)["vnc"] is None


def test_a_secret_without_a_place_is_told() -> None:
    typed = SHOWN.replace("<graphics type='vnc' port='-1' autoport='yes'/>", "")
    restored = restore_secrets(typed, shown=SHOWN, secure=SECURE)
    assert restored.lost == ("devices/graphics",)
    assert "s3cret" not in restored.xml
