"""Every way to reach a real hypervisor, and every precise way not to."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.lab import sign_in
from deploy.lab.host import Host
from deploy.lab.lab import Lab, bring_up, take_down
from deploy.lab.process import run
from hypervisors import errors
from hypervisors.gateway.connections import cached_connection, open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.hypervisors.hosts import check_answers
from hypervisors.gateway.uris import parse_uri


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.hosts[0]


def _endpoint(uri: str, **fields: str) -> Endpoint:
    return Endpoint(uri=parse_uri(uri), key=f"test-{time.monotonic_ns()}", **fields)


def _tls(lab: Lab) -> dict[str, str]:
    return {
        "tls_ca_certificate": (lab.plan.pki_path / "cacert.pem").read_text(),
        "tls_client_certificate": (lab.plan.pki_path / "clientcert.pem").read_text(),
        "tls_client_key": (lab.plan.pki_path / "clientkey.pem").read_text(),
    }


def _ssh(lab: Lab, host: Host) -> dict[str, str]:
    return {
        "ssh_private_key": lab.plan.ssh_key_path.read_text(),
        "ssh_known_hosts": sign_in.known_hosts_line(host.plan),
    }


def _answers(endpoint: Endpoint) -> bool:
    connection = open_connection(endpoint)
    check_answers(connection)
    connection.close()
    return True


def test_tcp(host: Host) -> None:
    assert _answers(_endpoint(host.uri))


def test_tls(lab: Lab, host: Host) -> None:
    assert _answers(_endpoint(host.tls_uri, **_tls(lab)))


def test_ssh(lab: Lab, host: Host) -> None:
    assert _answers(_endpoint(host.ssh_uri, **_ssh(lab, host)))


def test_a_local_socket(host: Host) -> None:
    socket = f"/proc/{host.init_pid()}/root/run/libvirt/libvirt-sock"
    assert _answers(_endpoint(f"qemu+unix:///system?socket={socket}"))


def test_a_cached_connection_is_shared_until_the_endpoint_changes(host: Host) -> None:
    endpoint = _endpoint(host.uri)
    first = cached_connection(endpoint)
    assert cached_connection(endpoint) is first
    changed = cached_connection(Endpoint(uri=endpoint.uri, key=endpoint.key, revision=2))
    assert changed is not first
    first.close()
    changed.close()


def test_a_cached_connection_that_died_is_opened_anew(host: Host) -> None:
    endpoint = _endpoint(host.uri)
    first = cached_connection(endpoint)
    first.close()
    second = cached_connection(endpoint)
    check_answers(second)
    second.close()


def test_a_rejected_key(lab: Lab, host: Host, tmp_path: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other"))
    other = (tmp_path / "other").read_text()
    with pytest.raises(errors.AuthenticationFailed, match="rejected the ssh key of user root"):
        open_connection(_endpoint(host.ssh_uri, **(_ssh(lab, host) | {"ssh_private_key": other})))


def test_a_changed_host_key(lab: Lab, host: Host) -> None:
    another = next(other for other in lab.hosts if other.name != host.name)
    key = sign_in.known_hosts_line(another.plan).split(maxsplit=1)[1]
    stored = {"ssh_known_hosts": f"{host.address} {key}"}
    with pytest.raises(errors.HostKeyChanged, match="SHA256:"):
        open_connection(_endpoint(host.ssh_uri, **(_ssh(lab, host) | stored)))


def test_an_unknown_host_key(lab: Lab, host: Host) -> None:
    with pytest.raises(errors.HostKeyChanged, match="No ssh host key is stored"):
        open_connection(_endpoint(host.ssh_uri, **(_ssh(lab, host) | {"ssh_known_hosts": "# none yet"})))


def test_a_line_of_another_host_lets_nobody_pass_for_this_one(lab: Lab, host: Host) -> None:
    another = next(other for other in lab.hosts if other.name != host.name)
    key = sign_in.known_hosts_line(host.plan).split(maxsplit=1)[1]
    text = f"{sign_in.known_hosts_line(another.plan)}\nrogue.example.org {key}\n@cert-authority * {key}"
    with pytest.raises(errors.HostKeyChanged):
        open_connection(_endpoint(host.ssh_uri, **(_ssh(lab, host) | {"ssh_known_hosts": text})))
    mixed = f"{text}\n{sign_in.known_hosts_line(host.plan)}"
    assert _answers(_endpoint(host.ssh_uri, **(_ssh(lab, host) | {"ssh_known_hosts": mixed})))


def test_a_key_that_is_none(lab: Lab, host: Host) -> None:
    with pytest.raises(errors.AuthenticationFailed, match="cannot be used"):
        open_connection(_endpoint(host.ssh_uri, **(_ssh(lab, host) | {"ssh_private_key": "garbage"})))


def test_no_libvirt_behind_ssh(lab: Lab, host: Host) -> None:
    with pytest.raises(errors.SocketDenied, match="not installed or does not run"):
        open_connection(_endpoint(f"{host.ssh_uri}?socket=/run/no-such-socket", **_ssh(lab, host)))


def test_a_client_certificate_is_missing(lab: Lab, host: Host) -> None:
    with pytest.raises(errors.AuthenticationFailed, match="client certificate"):
        open_connection(_endpoint(host.tls_uri, tls_ca_certificate=_tls(lab)["tls_ca_certificate"]))


def test_a_certificate_that_is_garbage(lab: Lab, host: Host) -> None:
    with pytest.raises(errors.CertificateInvalid):
        open_connection(_endpoint(host.tls_uri, **(_tls(lab) | {"tls_ca_certificate": "garbage"})))


@pytest.fixture(scope="module")
def host_with_password() -> Iterator[Host]:
    """One more host, which wants a user name and a password."""
    with tempfile.TemporaryDirectory(prefix="vmportal-lab-", ignore_cleanup_errors=True) as directory:
        lab = bring_up(f"sasl{os.getpid()}", Path(directory) / "lab", host_count=1, sasl_host=1)
        try:
            yield lab.hosts[0]
        finally:
            take_down(lab.plan)


def test_a_password_is_wanted(host_with_password: Host) -> None:
    uri, password = host_with_password.uri, sign_in.sasl_password(host_with_password.lab)
    assert _answers(_endpoint(uri, sasl_username=sign_in.SASL_USERNAME, sasl_password=password))
    with pytest.raises(errors.AuthenticationFailed, match=f"password of user {sign_in.SASL_USERNAME}"):
        open_connection(_endpoint(uri, sasl_username=sign_in.SASL_USERNAME, sasl_password="wrong"))
    with pytest.raises(errors.AuthenticationFailed, match="none are stored"):
        open_connection(_endpoint(uri))


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("qemu+tcp://no-such-host.invalid/system", errors.HostNotFound),
        ("qemu+ssh://no-such-host.invalid/system", errors.HostNotFound),
        ("qemu+unix:///system?socket=/run/no-such-socket", errors.SocketDenied),
    ],
)
def test_nothing_there(uri: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        open_connection(_endpoint(uri))


def test_nothing_listens(host: Host) -> None:
    with pytest.raises(errors.ConnectionRefused, match="nothing listens on port 1"):
        open_connection(_endpoint(f"qemu+tcp://{host.address}:1/system"))


def test_dropped_packets_cost_seconds_not_minutes(lab: Lab, host: Host) -> None:
    unused = host.address.rsplit(".", 1)[0] + ".250"
    started = time.monotonic()
    with pytest.raises(errors.ConnectionTimedOut):
        open_connection(_endpoint(f"qemu+tcp://{unused}/system"))
    # The kernel alone gives up after two minutes.
    assert time.monotonic() - started < 30
