"""XML written by a person, on real libvirt: what it knows stays, what it drops is told, nothing is overwritten."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisors.errors import Conflict
from hypervisors.models import DomainDefinition, XmlVersion
from hypervisors.states import OperationState
from tests.lab.portals import Portal, PortalGuest
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("operations",)

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
METADATA = "<metadata><other:note xmlns:other='urn:other'>kept &amp; <other:b/>so</other:note></metadata>"
COMMAND_LINE = (
    f"<qemu:commandline xmlns:qemu='{QEMU}'><qemu:arg value='-name'/><qemu:arg value='x,y'/></qemu:commandline>"
)


def stored(guest: PortalGuest) -> str:
    """With its passwords, as virsh tells."""
    return guest.portal.hosts[0].virsh("dumpxml", guest.uuid, "--inactive", "--security-info")


def virsh_edit(guest: PortalGuest, tmp_path: Path, edit: Callable[[str], str]) -> str:
    """Have virsh define it otherwise; the XML without passwords once vmportal has seen it."""
    before = DomainDefinition.objects.get(domain__uuid=guest.uuid).inactive_sha256
    (tmp_path / "domain.xml").write_text(edit(stored(guest)))
    guest.portal.hosts[0].virsh("define", str(tmp_path / "domain.xml"))
    seen = DomainDefinition.objects.filter(domain__uuid=guest.uuid).exclude(inactive_sha256=before)
    return str(wait_until(seen.first, seconds=60).inactive_xml)


def base_of(guest: PortalGuest) -> str:
    return str(DomainDefinition.objects.get(domain__uuid=guest.uuid).inactive_sha256)


def odd(xml: str) -> str:
    xml = xml.replace("<memory ", f"{METADATA}<memory ", 1).replace("</domain>", f"{COMMAND_LINE}</domain>")
    return xml.replace("<graphics type='vnc'", "<graphics type='vnc' passwd='s3cret'", 1)


def pieces(xml: str) -> list[str]:
    """What a form or a person that knows nothing of it must leave as it is."""
    return re.findall(
        r"<metadata>.*?</metadata>|<qemu:commandline>.*?</qemu:commandline>|passwd='[^']*'", xml, re.DOTALL
    )


def test_what_is_edited_keeps_all_that_was_not(portal: Portal, tmp_path: Path) -> None:
    with portal.guest("xml-kept", start=False) as guest:
        shown = virsh_edit(guest, tmp_path, odd)
        before = pieces(stored(guest))
        assert len(before) == 3
        assert "s3cret" not in shown
        typed = shown.replace("<vcpu placement='static'>1<", "<vcpu placement='static'>2<")
        operation = guest.do("define_xml", xml=typed, base_sha256=base_of(guest))
        assert (operation.state, operation.outcome) == (OperationState.SUCCEEDED, "It is defined so.")
        assert pieces(stored(guest)) == before
        assert "<vcpu placement='static'>2<" in stored(guest)
        assert "xml" not in operation.parameters


def test_what_libvirt_does_not_know_is_refused_or_told(portal: Portal, tmp_path: Path) -> None:
    with portal.guest("xml-odd", start=False) as guest:
        shown = DomainDefinition.objects.get(domain__uuid=guest.uuid).inactive_xml
        typed = shown.replace("<features>", "<odd a='1'/><features>").replace("</name>", "</name><title>new</title>")
        # A password is kept, and not shown: it is not left out.
        typed = typed.replace("<graphics type='vnc'", "<graphics type='vnc' passwd='s3cret'", 1)
        refused = guest.do("define_xml", xml=typed, base_sha256=base_of(guest))
        assert refused.state == OperationState.FAILED
        assert "without the schema" in refused.outcome
        operation = guest.do("define_xml", xml=typed, base_sha256=base_of(guest), by_schema=False)
        assert operation.state == OperationState.SUCCEEDED, operation.outcome
        assert "left out what it does not know: odd, odd@a." in operation.outcome
        assert "passwd='s3cret'" in stored(guest)
        assert "<title>new</title>" in stored(guest)


def test_what_somebody_else_changed_is_not_overwritten_and_every_version_is_kept(
    portal: Portal, tmp_path: Path
) -> None:
    with portal.guest("xml-conflict", start=False) as guest:
        first = DomainDefinition.objects.get(domain__uuid=guest.uuid)
        virsh_edit(guest, tmp_path, lambda xml: xml.replace("</name>", "</name><title>theirs</title>"))
        typed = first.inactive_xml.replace("</name>", "</name><title>mine</title>")
        with pytest.raises(Conflict):
            guest.ask("define_xml", xml=typed, base_sha256=first.inactive_sha256)
        theirs = DomainDefinition.objects.get(domain__uuid=guest.uuid)
        # The same before vmportal has seen it: the worker looks at what stands there.
        first.save()
        operation = guest.do("define_xml", xml=typed, base_sha256=first.inactive_sha256)
        assert operation.state == OperationState.FAILED
        assert "changed since you opened it" in operation.outcome
        assert "<title>theirs</title>" in stored(guest)
        theirs.save()
        restored = guest.do("define_xml", xml=first.inactive_xml, base_sha256=theirs.inactive_sha256)
        assert restored.state == OperationState.SUCCEEDED, restored.outcome
        versions = wait_until(lambda: _versions(guest, 3), seconds=60)
        assert [version.sha256 for version in versions] == [
            first.inactive_sha256,
            theirs.inactive_sha256,
            first.inactive_sha256,
        ]
        assert [version.changed_by for version in versions] == ["alice", "", ""]


def _versions(guest: PortalGuest, count: int) -> list[XmlVersion]:
    found = list(XmlVersion.objects.filter(domain__uuid=guest.uuid).order_by("-pk"))
    return found if len(found) >= count else []
