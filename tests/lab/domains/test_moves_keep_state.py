"""What is not in the XML survives a move, or the move is refused: TPM, UEFI variables, disks, definitions."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deploy.lab.host import Host
from deploy.lab.process import LabError
from hypervisors.errors import NotPossible
from hypervisors.models import DomainCopy, DomainDefinition
from hypervisors.operations.domains.migration_targets import migration_targets
from hypervisors.states import DomainState, OperationState
from tests.lab.portals import Portal, PortalGuest
from tests.watching import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = ("migrations",)

TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
UEFI = (
    "<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>"
    "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/>"
)
OWN_IMAGES = "/var/lib/libvirt/images"


def test_the_state_of_a_tpm_is_not_left_behind(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("keep-tpm", start=False) as guest:
        _add(source, guest, devices=TPM)
        source.virsh("start", guest.uuid)
        source.virsh("destroy", guest.uuid)
        kept = _tpm(source, guest)
        assert kept, "it has a TPM with a state"
        guest.becomes(state=DomainState.SHUTOFF)
        wait_until(lambda: _row_definition(guest).inactive_parsed.get("tpm"))
        _wait_for_obstacles(portal, guest, count=1)
        with pytest.raises(NotPossible, match=r"the state of its TPM .* stays on this host .* Start it, and move it"):
            guest.ask("migrate", target=portal.rows[1])
        # Rows may be old: the worker looks at the XML itself.
        _forget_in_rows(guest, tpm="", tpm_backend="")
        refused = guest.do("migrate", target=portal.rows[1])
        assert refused.state == OperationState.FAILED
        assert "the state of its TPM" in refused.outcome
        assert (guest.state_on(source), guest.state_on(target)) == ("shut off", "")
        assert (_tpm(source, guest), _tpm(target, guest)) == (kept, {})


def test_tpm_and_uefi_variables_and_autostart_move_along_live(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("keep-live", start=False) as guest:
        _add(source, guest, devices=TPM, system=UEFI)
        source.virsh("autostart", guest.uuid)
        source.virsh("start", guest.uuid)
        # The firmware writes what it finds: from then on the file differs from its template.
        template = _digest(Path("/usr/share/OVMF/OVMF_VARS_4M.fd"))
        wait_until(lambda: _nvram(source, "keep-live") not in ("", template), seconds=90)
        guest.becomes(state=DomainState.RUNNING)
        wait_until(lambda: _possible(guest), seconds=60)
        _wait_until_firmware_rests(source, "keep-live")
        tpm, nvram = _tpm(source, guest), _nvram(source, "keep-live")
        moved = guest.do("migrate", target=portal.rows[1])
        assert moved.state == OperationState.SUCCEEDED, moved.outcome
        assert (guest.state_on(source), guest.state_on(target)) == ("", "running")
        assert "enable" in target.virsh("dominfo", guest.uuid).split("Autostart:")[1].splitlines()[0]
        guest.becomes(hypervisor=portal.rows[1], autostart=True)
        target.virsh("destroy", guest.uuid)
        assert (_tpm(target, guest), _nvram(target, "keep-live")) == (tpm, nvram)


def test_uefi_variables_of_what_is_paused_or_off_are_not_lost(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("keep-vars", start=False) as guest:
        _add(source, guest, system=UEFI)
        wait_until(lambda: _row_definition(guest).inactive_parsed.get("keeps_uefi_variables"))
        _wait_for_obstacles(portal, guest, count=1)
        with pytest.raises(NotPossible, match=r"its UEFI variables .* Start it, and move it while it runs"):
            guest.ask("migrate", target=portal.rows[1])
        source.virsh("start", "--paused", guest.uuid)
        guest.becomes(state=DomainState.PAUSED)
        wait_until(lambda: _row_definition(guest).live_parsed.get("keeps_uefi_variables"))
        with pytest.raises(NotPossible, match=r"It is paused, and its UEFI variables would be written .* Resume it"):
            guest.ask("migrate", target=portal.rows[1])
        _forget_in_rows(guest, keeps_uefi_variables=False)
        refused = guest.do("migrate", target=portal.rows[1])
        assert refused.state == OperationState.FAILED
        assert "Resume it, and move it while it runs." in refused.outcome
        assert (guest.state_on(source), guest.state_on(target)) == ("paused", "")


def test_another_file_of_the_same_path_is_not_taken_for_the_disk(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("keep-disk", start=False) as guest, _own_pools(portal, "keep-disk-own.qcow2") as path:
        own = "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        _add(source, guest, devices=f"{own}<source file='{path}'/><target dev='vdb' bus='virtio'/></disk>")
        before = [_own_file(host, path) for host in portal.hosts]
        wait_until(lambda: len(_row_definition(guest).inactive_parsed["disks"]) == 2)
        wait_until(lambda: _possible(guest), seconds=60)
        refused = guest.do("migrate", target=portal.rows[1])
        assert refused.state == OperationState.FAILED
        assert f"Disk vdb ({path}) is not known to be the same on {target.name}" in refused.outcome
        assert (guest.state_on(source), guest.state_on(target)) == ("shut off", "")
        assert [_own_file(host, path) for host in portal.hosts] == before


def test_what_is_off_and_on_shared_storage_moves_with_its_autostart(portal: Portal) -> None:
    source, target = portal.hosts
    with portal.guest("keep-autostart", start=False) as guest:
        source.virsh("autostart", guest.uuid)
        wait_until(lambda: _possible(guest))
        moved = guest.do("migrate", target=portal.rows[1])
        assert (moved.state, moved.outcome) == (OperationState.SUCCEEDED, f"It is on {target.name} now, shut off.")
        assert (guest.state_on(source), guest.state_on(target)) == ("", "shut off")
        assert "enable" in target.virsh("dominfo", guest.uuid).split("Autostart:")[1].splitlines()[0]


@pytest.mark.parametrize("name", ["keep-leftover", "another-name"])
def test_a_definition_left_over_on_the_target_is_not_overwritten(portal: Portal, name: str, tmp_path: Path) -> None:
    source, target = portal.hosts
    with portal.guest("keep-leftover") as guest:
        _define(
            target, f"<domain type='qemu'><name>{name}</name><uuid>{guest.uuid}</uuid><title>precious</title>"
            "<memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"
        )  # fmt: skip
        wait_until(lambda: DomainCopy.objects.filter(domain__uuid=guest.uuid, name=name).exists())
        _wait_for_obstacles(portal, guest, count=1)
        with pytest.raises(NotPossible, match="has a definition of the same machine"):
            guest.ask("migrate", target=portal.rows[1])
        # Rows may be old.
        DomainCopy.objects.all().delete()
        refused = guest.do("migrate", target=portal.rows[1])
        assert refused.state == OperationState.FAILED
        assert f"{target.name} has a definition of the same machine (the same UUID) as “{name}”" in refused.outcome
        assert target.virsh("desc", "--title", guest.uuid) == "precious"
        assert guest.state_on(source) == "running"


def _possible(guest: PortalGuest) -> list[str]:
    row = guest.row
    assert row is not None
    return [target.hypervisor.name for target in migration_targets(row) if target.is_possible]


def _wait_for_obstacles(portal: Portal, guest: PortalGuest, *, count: int) -> None:
    """Until the other host's rows have been read, so that what is left stands in the way for good."""

    def obstacles() -> int:
        row = guest.row
        assert row is not None
        return next(len(one.obstacles) for one in migration_targets(row) if one.hypervisor == portal.rows[1])

    wait_until(lambda: obstacles() == count, seconds=60)


def _wait_until_firmware_rests(host: Host, name: str) -> None:
    """Until its variables have been the same for a while."""
    seen, since = "", time.monotonic()

    def rests() -> bool:
        nonlocal seen, since
        now = _nvram(host, name)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 10

    wait_until(rests, seconds=120)


def _row_definition(guest: PortalGuest) -> DomainDefinition:
    return DomainDefinition.objects.get(domain__uuid=guest.uuid)


def _forget_in_rows(guest: PortalGuest, **values: object) -> None:
    row = _row_definition(guest)
    for parsed in (row.live_parsed, row.inactive_parsed):
        parsed.update(values)
    row.save()


def _add(host: Host, guest: PortalGuest, *, devices: str = "", system: str = "") -> None:
    xml = host.virsh("dumpxml", "--inactive", guest.uuid)
    _define(host, xml.replace("</devices>", f"{devices}</devices>").replace("</os>", f"{system}</os>"))


def _define(host: Host, xml: str) -> None:
    file = host.plan.directory / "define.xml"
    file.write_text(xml)
    host.virsh("define", str(file))


def _root(host: Host) -> Path:
    return Path(f"/proc/{host.init_pid()}/root")


def _tpm(host: Host, guest: PortalGuest) -> dict[str, str]:
    """The files of its TPM's state on this host."""
    directory = _root(host) / "var/lib/libvirt/swtpm" / guest.uuid
    return {file.name: _digest(file) for file in directory.glob("**/*.permall")}


def _nvram(host: Host, name: str) -> str:
    return _digest(_root(host) / f"var/lib/libvirt/qemu/nvram/{name}_VARS.fd")


def _own_file(host: Host, path: str) -> str:
    return _digest(_root(host) / path.lstrip("/"))


def _digest(file: Path) -> str:
    with suppress(FileNotFoundError):
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return ""


@contextmanager
def _own_pools(portal: Portal, name: str) -> Iterator[str]:
    """Each host's own storage pool of the same name and path, with a file of the same name and size in it."""
    try:
        for host in portal.hosts:
            host.run("mkdir", "-p", OWN_IMAGES)
            host.virsh("pool-define-as", "own", "dir", "--target", OWN_IMAGES)
            host.virsh("pool-start", "own")
            host.virsh("vol-create-as", "own", name, "16M", "--format", "qcow2")
        yield f"{OWN_IMAGES}/{name}"
    finally:
        for host in portal.hosts:
            for command in (("vol-delete", name, "--pool", "own"), ("pool-destroy", "own"), ("pool-undefine", "own")):
                with suppress(LabError):
                    host.virsh(*command)
