"""The lab itself: hosts that answer by every way in, guests that count through migrations, faults, and nothing left."""

import subprocess
from pathlib import Path

import pytest

from deploy.lab import fault, sign_in
from deploy.lab.host import Host
from deploy.lab.lab import Lab, bring_up, take_down
from deploy.lab.process import LabError, run, wait_until


def virsh(uri: str, *arguments: str, **environment: str) -> str:
    return run("virsh", "--quiet", "--connect", uri, *arguments, environment=environment).strip()


def ssh_uri(host: Host, directory: Path) -> str:
    """With the lab's key, and a stand-in for ssh that knows the host's."""
    line = (host.plan.directory / "ssh" / "host_key.pub").read_text()
    (directory / "known_hosts").write_text(f"{host.address} {line}")
    ssh = directory / "ssh"
    options = f"-F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={directory}/known_hosts"
    ssh.write_text(f'#!/bin/sh\nexec ssh {options} -o IdentitiesOnly=yes -i "{host.lab.ssh_key_path}" "$@"\n')
    ssh.chmod(0o700)
    return f"{host.ssh_uri}?command={ssh}"


def is_defined(host: Host, uuid: str) -> bool:
    return uuid in host.virsh("list", "--all", "--uuid").split()


# --- hosts


def test_each_host_is_a_host_of_its_own(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.virsh("hostname") == host.name
        assert f"<uuid>{host.host_uuid}</uuid>" in host.virsh("capabilities")
        assert "active" in host.virsh("pool-list", "--all").split()
        assert host.virsh("net-list", "--name") == "default"


def test_each_host_answers_by_tls_and_ssh(lab: Lab, tmp_path: Path) -> None:
    for host in lab.hosts:
        assert virsh(f"{host.tls_uri}?pkipath={lab.plan.pki_path}", "hostname") == host.name
        assert virsh(ssh_uri(host, tmp_path), "hostname") == host.name


def test_tls_without_the_labs_certificate_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "cacert.pem").write_bytes((lab.plan.pki_path / "cacert.pem").read_bytes())
    with pytest.raises(LabError):
        virsh(f"{lab.hosts[0].tls_uri}?pkipath={tmp_path}", "hostname")


def test_hosts_know_each_other_by_name(lab: Lab) -> None:
    for host in lab.hosts:
        known = {host.run("getent", "hosts", other.name).split()[0] for other in lab.hosts}
        assert known == {other.address for other in lab.hosts}


def test_a_host_with_sasl_wants_the_password(tmp_path: Path, lab: Lab) -> None:
    other = bring_up(f"{lab.name}-sasl", tmp_path / "lab", host_count=1, sasl_host=1)
    try:
        (host,) = other.hosts
        right = sign_in.client_file(other.plan)
        wrong = tmp_path / "wrong.conf"
        wrong.write_text(right.read_text().replace(sign_in.sasl_password(other.plan), "wrong"))
        assert host.virsh("hostname") == host.name
        with pytest.raises(LabError, match="authentication failed"):
            virsh(host.uri, "hostname", LIBVIRT_AUTH_FILE=str(wrong))
        tls_uri = f"{host.tls_uri}?pkipath={other.plan.pki_path}"
        assert virsh(tls_uri, "hostname", LIBVIRT_AUTH_FILE=str(right)) == host.name
        with pytest.raises(LabError, match="authentication failed"):
            virsh(tls_uri, "hostname", LIBVIRT_AUTH_FILE=str(wrong))
    finally:
        take_down(other.plan)


# --- guests


def test_a_guest_counts_on_through_migrations_both_ways(lab: Lab) -> None:
    first, second = lab.hosts
    with lab.guest(first, "migrating") as guest:
        guest.wait_until_counting()
        for source, target in ((first, second), (second, first)):
            source.virsh("migrate", "--live", "--p2p", "--persistent", "--undefinesource", guest.uuid, target.uri)
            assert lab.host_running(guest) == target
            assert not is_defined(source, guest.uuid)
            guest.wait_until_counting()
        counts = guest.counts()
        assert guest.boots() == 1
        assert counts == list(range(1, len(counts) + 1))


def test_two_hosts_cannot_write_one_disk(lab: Lab) -> None:
    first, second = lab.hosts
    with lab.guest(first, "locked") as guest:
        (lab.plan.directory / "copy.xml").write_text(first.virsh("dumpxml", "--inactive", guest.uuid))
        with pytest.raises(LabError, match='Failed to get "write" lock'):
            second.virsh("create", str(lab.plan.directory / "copy.xml"))


def test_what_is_typed_reaches_the_guests_shell(lab: Lab) -> None:
    host = lab.hosts[0]
    with lab.guest(host, "typing") as guest:
        guest.wait_until_counting()
        for letter in "POWEROFF":
            host.virsh("send-key", guest.uuid, f"KEY_{letter}")
        host.virsh("send-key", guest.uuid, "KEY_ENTER")
        wait_until(lambda: host.virsh("domstate", guest.uuid) == "shut off", 60, waiting_for="power off")


def test_a_guest_answers_the_power_button_and_gets_an_address(lab: Lab) -> None:
    host = lab.hosts[1]
    with lab.guest(host, "button") as guest:
        guest.wait_until_counting()
        wait_until(lambda: "192.168.122." in host.virsh("domifaddr", guest.uuid), 60, waiting_for="an address")
        host.virsh("reboot", guest.uuid)
        wait_until(lambda: guest.boots() == 2, 90, waiting_for="a second boot")
        guest.wait_until_counting()
        host.virsh("shutdown", guest.uuid)
        wait_until(lambda: host.virsh("domstate", guest.uuid) == "shut off", 60, waiting_for="power off")


# --- faults


def test_a_cut_host_is_out_of_reach_and_its_guests_run_on(lab: Lab) -> None:
    host = lab.hosts[0]
    with lab.guest(host, "cut-off") as guest:
        guest.wait_until_counting()
        with fault.during(fault.cut, fault.mend, host):
            assert not host.accepts()
            guest.wait_until_counting()
        wait_until(host.accepts, 15, waiting_for="the mended link")
        assert host.virsh("domstate", guest.uuid) == "running"
        assert guest.boots() == 1


def test_a_frozen_libvirtd_takes_connections_and_answers_nothing(lab: Lab) -> None:
    host = lab.hosts[0]
    with fault.during(fault.freeze, fault.thaw, host):
        assert host.accepts()
        with pytest.raises(LabError, match="no answer"):
            host.virsh("hostname", timeout_seconds=2)
    assert host.virsh("hostname") == host.name


def test_guests_outlive_their_libvirtd(lab: Lab) -> None:
    host = lab.hosts[0]
    with lab.guest(host, "orphan") as guest:
        guest.wait_until_counting()
        with fault.during(fault.kill_libvirtd, fault.start_libvirtd, host):
            assert not host.accepts()
            guest.wait_until_counting()
        assert host.virsh("domstate", guest.uuid) == "running"


def test_a_frozen_qemu_stands_still(lab: Lab) -> None:
    host = lab.hosts[1]
    with lab.guest(host, "stuck") as guest:
        guest.wait_until_counting()
        with fault.during(fault.freeze_qemu, fault.thaw_qemu, host, "stuck"):
            assert "State:\tT" in Path(f"/proc/{host.qemu_pid('stuck')}/status").read_text()
            counted = guest.counts()
            with pytest.raises(LabError):
                wait_until(lambda: guest.counts() != counted, 2)
        guest.wait_until_counting()
        assert guest.boots() == 1


def test_a_killed_host_comes_back_with_what_it_had_defined(lab: Lab) -> None:
    host = lab.hosts[1]
    with lab.guest(host, "survivor") as guest:
        with fault.during(fault.kill_host, fault.start_host, host):
            assert not host.processes()
        assert host.virsh("domstate", guest.uuid) == "shut off"
        host.virsh("start", guest.uuid)


# --- coming and going


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    bring_up(lab.name, lab.plan.directory, host_count=2)
    before = lab.plan.file.read_text()
    bring_up(lab.name, lab.plan.directory, host_count=2)
    assert lab.plan.file.read_text() == before


def test_a_name_or_directory_in_use_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="already"):
        bring_up(lab.name, tmp_path / "other", host_count=1)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(LabError, match="not empty"):
        bring_up(f"{lab.name}-b", tmp_path, host_count=1)
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_first_look_shows_the_disks_of_its_guests(lab: Lab, tmp_path: Path) -> None:
    other = bring_up(f"{lab.name}-disks", tmp_path / "lab", host_count=2, guest_count=2)
    try:
        for host in other.hosts:
            listed = host.virsh("vol-list", "shared")
            assert all(Path(guest.disk_path).name in listed for guest in other.example_guests)
    finally:
        take_down(other.plan)


@pytest.mark.parametrize("harm", ["none", "crash"])
def test_nothing_is_left_of_a_lab_that_is_down(lab: Lab, tmp_path: Path, harm: str) -> None:
    name = f"{lab.name}-gone"
    other = bring_up(name, tmp_path / "lab", host_count=2, guest_count=2)
    assert traces(name, other.plan.machine_link, tmp_path)
    if harm == "crash":
        other.hosts[0].kill()
        run("ip", "netns", "del", other.hosts[1].plan.namespace)
        run("umount", "--lazy", str(other.plan.shared_path))
        other.plan.file.unlink()
    take_down(other.plan)
    assert not traces(name, other.plan.machine_link, tmp_path)
    assert lab.hosts[0].virsh("hostname") == lab.hosts[0].name


def traces(name: str, link: str, directory: Path) -> list[str]:
    """Every line in which the machine tells of it."""
    commands = (["ps", "-eo", "args"], ["ip", "-br", "link"], ["ip", "netns"], ["iptables-save"])
    told = "".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout for command in commands)
    told += Path("/proc/mounts").read_text()
    told += "\n".join(
        str(path) for place in ("/srv", "/run/vmportal-labs", str(directory)) for path in Path(place).glob("*")
    )
    return [line for line in told.splitlines() if name in line or f"{link}@" in line or str(directory) in line]
