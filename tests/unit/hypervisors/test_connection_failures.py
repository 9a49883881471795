"""What libvirt, OpenSSH and GnuTLS say, turned into errors that tell an operator what to do."""

from pathlib import Path
from typing import Any

import libvirt
import pytest

from hypervisors import errors
from hypervisors.gateway.endpoints import Endpoint, openable_uri
from hypervisors.gateway.failures import translate, translate_opening
from hypervisors.gateway.uris import parse_uri
from tests.host_keys import host_key


class _Said(libvirt.libvirtError):  # type: ignore[misc, name-defined]
    """A libvirtError as libvirt's binding builds it: (code, domain, message, …)."""

    def __init__(self, code: int, message: str, domain: int = 0) -> None:
        Exception.__init__(self, message)
        self.err: Any = (code, domain, message, 2, message, None, None, -1, -1)


def _endpoint(uri: str = "qemu+ssh://root@host1/system", **fields: str) -> Endpoint:
    return Endpoint(uri=parse_uri(uri), key="host1", **fields)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Cannot recv data: Host key verification failed.: Connection reset by peer", errors.HostKeyChanged),
        ("Cannot recv data: root@h: Permission denied (publickey,password).", errors.AuthenticationFailed),
        (
            'Cannot recv data: Load key "/x/key": error in libcrypto\nroot@h: Permission denied (publickey).',
            errors.AuthenticationFailed,
        ),
        ("Cannot recv data: ssh: Could not resolve hostname h: Name or service not known", errors.HostNotFound),
        ("Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied", errors.SocketDenied),
        ("Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory", errors.SocketDenied),
        ("End of file while reading data: nc: /run/nope: No such file or directory", errors.SocketDenied),
        ("authentication unavailable: no polkit agent available", errors.SocketDenied),
        ("Cannot read CA certificate '/etc/pki/CA/cacert.pem': No such file or directory", errors.CertificateInvalid),
        ("authentication failed: Failed to verify peer's certificate", errors.CertificateInvalid),
        ("Unable to read TLS confirmation: Input/output error", errors.AuthenticationFailed),
        ("unable to connect to server at 'h:16509': Connection refused", errors.ConnectionRefused),
        ("unable to connect to server at 'h:16509': Connection timed out", errors.ConnectionTimedOut),
        ("authentication failed: Failed to start SASL negotiation", errors.AuthenticationFailed),
        ("something new", errors.ConnectionFailed),
    ],
)
def test_each_way_to_fail_has_its_class(said: str, kind: type[Exception]) -> None:
    error = translate_opening(_Said(38, said), _endpoint())
    assert type(error) is kind
    assert error.libvirt_code == 38


def test_a_changed_host_key_is_told_by_its_fingerprint_alone() -> None:
    said = (
        "Cannot recv data: @@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@\n"
        "The fingerprint for the ED25519 key sent by the remote host is\nSHA256:abcDEF.\nPlease contact your admin.\n"
        "Add correct host key in /tmp/vmportal-endpoint-x1/known_hosts\nHost key verification failed."
    )
    text = str(translate_opening(_Said(38, said), _endpoint()))
    assert "SHA256:abcDEF" in text
    assert "@@" not in text
    assert "vmportal-endpoint" not in text


def test_a_host_key_that_is_not_stored_is_not_said_to_differ() -> None:
    said = "Cannot recv data: Host key verification failed.: Connection reset by peer"
    unknown = str(translate_opening(_Said(38, said), _endpoint()))
    assert unknown.startswith("No ssh host key is stored for")
    assert unknown.endswith("ssh said: Host key verification failed: Connection reset by peer.")
    stored = _endpoint(ssh_known_hosts="h ssh-ed25519 AAAA")
    assert "is not the one stored here" in str(translate_opening(_Said(38, said), stored))


@pytest.mark.parametrize(
    ("code", "domain", "kind"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, 10, errors.NotFound),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, 10, errors.JobBusy),
        (libvirt.VIR_ERR_OPERATION_ABORTED, 10, errors.OperationAborted),
        (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, 10, errors.DomainNotAnswering),
        (libvirt.VIR_ERR_OPERATION_INVALID, 10, errors.OperationRefused),
        (libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC, errors.ConnectionLost),
    ],
)
def test_calls_that_fail_have_their_class(code: int, domain: int, kind: type[Exception]) -> None:
    error = translate(_Said(code, "no way", domain), "start virtual machine web1")
    assert type(error) is kind
    assert str(error) == "Could not start virtual machine web1: no way."


KEY, OTHER_KEY, REVOKED_KEY, THIRD_KEY = (host_key(number) for number in range(4))


def test_ssh_gets_private_files_that_are_gone_afterwards() -> None:
    endpoint = _endpoint(
        ssh_private_key="KEY\r\nLINE\r\n",
        ssh_known_hosts=f"# comment\nhost1,10.0.0.1 {KEY} comment\n{OTHER_KEY}\n@revoked * {REVOKED_KEY}\n"
        f"host2 {THIRD_KEY}\n* {THIRD_KEY}\n@cert-authority host1 {THIRD_KEY}",
    )
    with openable_uri(endpoint) as uri:
        assert uri.ssh_pid_file is not None
        directory = uri.ssh_pid_file.parent
        assert uri.text == f"qemu+ssh://root@host1/system?command={directory}/ssh"
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / "key").stat().st_mode & 0o777 == 0o600
        assert (directory / "key").read_bytes() == b"KEY\nLINE\n"
        assert (directory / "known_hosts").read_text().splitlines() == [
            f"hypervisor {KEY}",
            f"hypervisor {OTHER_KEY}",
            f"@revoked hypervisor {REVOKED_KEY}",
        ]
        assert "StrictHostKeyChecking yes" in (directory / "config").read_text()
    assert not directory.exists()


def test_tls_gets_the_files_that_are_stored() -> None:
    endpoint = _endpoint("qemu+tls://host1/system?mode=direct", tls_ca_certificate="CA")
    with openable_uri(endpoint) as uri:
        base, _, directory = uri.text.partition("&pkipath=")
        assert base == "qemu+tls://host1/system?mode=direct"
        assert [path.name for path in Path(directory).iterdir()] == ["cacert.pem"]
    with openable_uri(_endpoint("qemu+tls://host1/system")) as uri:
        assert uri.text == "qemu+tls://host1/system"


def test_secrets_are_not_shown() -> None:
    endpoint = _endpoint(ssh_private_key="hush", sasl_password="hush", tls_client_key="hush")
    assert "hush" not in repr(endpoint)


def test_what_a_guest_has_a_host_say_is_short_and_plain() -> None:
    """Its agent words errors as it likes, and those end in tasks, in the audit and in every open page."""
    hostile = "unable to execute: \x1b[2J\x00\u202egpj.exe\tat\r\n" + "<b>" * 500_000
    said = str(translate(libvirt.libvirtError(hostile), "set the guest's clock"))
    assert len(said) < 2100
    assert said.startswith("Could not set the guest's clock: unable to execute: \ufffd[2J\ufffd\ufffdgpj.exe at")
    assert not any(mark in said for mark in "\x00\x1b\u202e\r\t")
