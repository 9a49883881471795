"""Every way to a screen, against QEMU's own VNC server: plain, with a password, with TLS, by ssh, on a unix socket."""

import datetime
import getpass
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hypervisors.errors import (
    AuthenticationFailed,
    CertificateInvalid,
    ConnectionFailed,
    ConnectionRefused,
    NotPossible,
)
from hypervisors.gateway.consoles.display_links import DisplayLink, open_display_link
from hypervisors.gateway.consoles.displays import VncDisplay
from hypervisors.gateway.consoles.rfb_security import read_exactly
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.ssh_tunnels import close_shared_connections
from hypervisors.gateway.uris import parse_uri
from tests.lab.consoles.screens import NAME, accepts, free_port, start_screen, until

__all__ = ["start_screen"]


def screen_name(link: DisplayLink) -> str:
    """What ServerInit calls the screen: proof that the whole opening was passed."""
    deadline = time.monotonic() + 10
    try:
        link.socket.sendall(b"\1")
        head = read_exactly(link.socket, 24, deadline)
        return read_exactly(link.socket, struct.unpack(">I", head[20:])[0], deadline).decode()
    finally:
        link.close()


def endpoint(uri: str, **fields: str) -> Endpoint:
    return Endpoint(uri=parse_uri(uri), key=uri, **fields)  # type: ignore[arg-type]


HERE = endpoint("qemu:///system")


def test_a_plain_screen_of_this_machine(start_screen: Callable[..., int]) -> None:
    link = open_display_link(HERE, VncDisplay(address="0.0.0.0", port=start_screen()))
    assert NAME in screen_name(link)


def test_a_screen_on_a_unix_socket(start_screen: Callable[..., int], tmp_path: Path) -> None:
    start_screen(path=str(tmp_path / "vnc"))
    assert NAME in screen_name(open_display_link(HERE, VncDisplay(socket=str(tmp_path / "vnc"))))


def test_a_screen_over_the_network(start_screen: Callable[..., int]) -> None:
    link = open_display_link(
        endpoint("qemu+tcp://127.0.0.1/system"), VncDisplay(address="127.0.0.1", port=start_screen())
    )
    assert NAME in screen_name(link)


def test_nothing_listens_any_more() -> None:
    with pytest.raises(ConnectionRefused, match="any more"):
        open_display_link(HERE, VncDisplay(address="127.0.0.1", port=free_port(7000)))


def test_what_answers_is_no_vnc_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        display = VncDisplay(address="127.0.0.1", port=listener.getsockname()[1])
        answering = threading.Thread(target=_answer_as_ssh, args=(listener,))
        answering.start()
        with pytest.raises(ConnectionFailed, match="not a VNC server"):
            open_display_link(HERE, display)
        answering.join(30)


def _answer_as_ssh(listener: socket.socket) -> None:
    answered, _ = listener.accept()
    with answered, suppress(OSError):
        answered.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        # Until the other side closes.
        answered.recv(1)


# --- passwords ---------------------------------------------------------------------------------------------------

PASSWORD = ("-object", "secret,id=word,data=geheim78")


def test_a_password_is_answered_for_the_browser(start_screen: Callable[..., int]) -> None:
    port = start_screen(",password-secret=word", *PASSWORD)
    link = open_display_link(HERE, VncDisplay(address="127.0.0.1", port=port, password="geheim78"))
    assert NAME in screen_name(link)


def test_a_wrong_or_missing_password_says_so(start_screen: Callable[..., int]) -> None:
    port = start_screen(",password-secret=word", *PASSWORD)
    with pytest.raises(AuthenticationFailed, match="rejected the login"):
        open_display_link(HERE, VncDisplay(address="127.0.0.1", port=port, password="falsch"))
    with pytest.raises(AuthenticationFailed, match=r"has a VNC password.*vnc_password.*qemu\.conf"):
        open_display_link(HERE, VncDisplay(address="127.0.0.1", port=port))


def test_a_password_that_ran_out_is_named(start_screen: Callable[..., int]) -> None:
    port = start_screen(",password-secret=word", *PASSWORD)
    ran_out = datetime.datetime(2024, 5, 6, 7, 8, tzinfo=datetime.UTC)
    display = VncDisplay(address="127.0.0.1", port=port, password="falsch", password_valid_to=ran_out)
    with pytest.raises(AuthenticationFailed, match="expired on 2024-05-06 at 07:08 UTC"):
        open_display_link(HERE, display)


# --- TLS ---------------------------------------------------------------------------------------------------------


class Authority:
    """A certificate authority for one test."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab")])
        self.certificate = self._sign(self.name, self.key, [(x509.BasicConstraints(ca=True, path_length=None), True)])

    def issue(self, address: str) -> tuple[str, str]:
        """A certificate for an address, and its key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        return pem(self._sign(name, key, [(alternative, False)])), key_pem(key)

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: list[tuple[x509.ExtensionType, bool]]
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self.name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.fixture
def authority() -> Authority:
    return Authority()


def tls_options(directory: Path, authority: Authority, address: str) -> tuple[str, ...]:
    """QEMU's options for TLS that wants a client certificate, as vnc_tls_x509_verify does."""
    certificate, key = authority.issue(address)
    (directory / "ca-cert.pem").write_text(pem(authority.certificate))
    (directory / "server-cert.pem").write_text(certificate)
    (directory / "server-key.pem").write_text(key)
    return ("-object", f"tls-creds-x509,id=tls,dir={directory},endpoint=server,verify-peer=on")


def tls_endpoint(authority: Authority, signer: Authority | None = None) -> Endpoint:
    certificate, key = (signer or authority).issue("127.0.0.1")
    return endpoint(
        "qemu+tls://127.0.0.1/system",
        tls_ca_certificate=pem(authority.certificate),
        tls_client_certificate=certificate,
        tls_client_key=key,
    )


def test_a_screen_with_tls_both_ways(start_screen: Callable[..., int], authority: Authority, tmp_path: Path) -> None:
    port = start_screen(",tls-creds=tls", *tls_options(tmp_path, authority, "127.0.0.1"))
    link = open_display_link(tls_endpoint(authority), VncDisplay(address="127.0.0.1", port=port))
    assert link.socket.__class__.__name__ == "SSLSocket"
    assert NAME in screen_name(link)


def test_tls_of_another_host_is_refused(start_screen: Callable[..., int], authority: Authority, tmp_path: Path) -> None:
    port = start_screen(",tls-creds=tls", *tls_options(tmp_path, authority, "127.0.0.9"))
    with pytest.raises(CertificateInvalid, match=r"127\.0\.0\.1"):
        open_display_link(tls_endpoint(authority), VncDisplay(address="127.0.0.1", port=port))


def test_tls_of_another_authority_is_refused(
    start_screen: Callable[..., int], authority: Authority, tmp_path: Path
) -> None:
    port = start_screen(",tls-creds=tls", *tls_options(tmp_path, authority, "127.0.0.1"))
    with pytest.raises(CertificateInvalid):
        open_display_link(tls_endpoint(Authority()), VncDisplay(address="127.0.0.1", port=port))


def test_our_certificate_of_another_authority_is_refused_there(
    start_screen: Callable[..., int], authority: Authority, tmp_path: Path
) -> None:
    port = start_screen(",tls-creds=tls", *tls_options(tmp_path, authority, "127.0.0.1"))
    stranger = tls_endpoint(authority, signer=Authority())
    with pytest.raises(ConnectionFailed):
        screen_name(open_display_link(stranger, VncDisplay(address="127.0.0.1", port=port)))


def test_tls_without_certificates_says_what_to_do(
    start_screen: Callable[..., int], authority: Authority, tmp_path: Path
) -> None:
    if Path("/etc/pki/CA/cacert.pem").exists():
        pytest.skip("this machine has libvirt certificates of its own")
    port = start_screen(",tls-creds=tls", *tls_options(tmp_path, authority, "127.0.0.1"))
    with pytest.raises(NotPossible, match=r"qemu\+tls"):
        open_display_link(HERE, VncDisplay(address="127.0.0.1", port=port))


# --- ssh ---------------------------------------------------------------------------------------------------------


def test_a_screen_on_a_unix_socket_by_ssh(
    start_screen: Callable[..., int], ssh_endpoint: Callable[..., Endpoint], tmp_path: Path
) -> None:
    start_screen(path=str(tmp_path / "vnc"))
    display = VncDisplay(socket=str(tmp_path / "vnc"))
    first, second = (open_display_link(ssh_endpoint(), display) for _ in range(2))
    assert NAME in screen_name(first)
    assert NAME in screen_name(second)
    with pytest.raises(ConnectionFailed):
        open_display_link(ssh_endpoint(), VncDisplay(socket=str(tmp_path / "nothing")))
    with pytest.raises(NotPossible, match="cannot be reached through ssh"):
        open_display_link(ssh_endpoint(), VncDisplay(socket="/run/a:/run/b"))


@pytest.fixture
def ssh_endpoint(tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    """An sshd of this test's own; makes endpoints that log in to it."""
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    port = free_port(7200)
    configuration = tmp_path / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\n"
        f"PidFile {tmp_path}/pid\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(configuration)], stderr=subprocess.DEVNULL)
    until(lambda: accepts(port), "sshd did not start")

    def make(key: str = "user", host_key: str = "host") -> Endpoint:
        return endpoint(
            f"qemu+ssh://{getpass.getuser()}@127.0.0.1:{port}/system",
            ssh_private_key=(tmp_path / key).read_text(),
            ssh_known_hosts=(tmp_path / f"{host_key}.pub").read_text(),
        )

    yield make
    close_shared_connections()
    server.terminate()
    server.wait(10)


def test_a_screen_by_ssh(start_screen: Callable[..., int], ssh_endpoint: Callable[..., Endpoint]) -> None:
    display = VncDisplay(address="127.0.0.1", port=start_screen())
    first = open_display_link(ssh_endpoint(), display)
    second = open_display_link(ssh_endpoint(), display)
    assert first.stream is not None
    assert second.stream is not None
    assert NAME in screen_name(first)
    assert NAME in screen_name(second)
    assert first.stream.process.poll() is not None
    assert second.stream.process.poll() is not None


def test_no_key_is_left_on_disk_after_login(
    start_screen: Callable[..., int],
    ssh_endpoint: Callable[..., Endpoint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # tmp_path is too long for a socket's address.
    own = Path(tempfile.mkdtemp())
    monkeypatch.setattr("tempfile.tempdir", str(own))
    link = open_display_link(ssh_endpoint(), VncDisplay(address="127.0.0.1", port=start_screen()))
    assert not [path for path in own.rglob("*") if path.is_file() and "PRIVATE KEY" in path.read_text("latin-1")]
    assert NAME in screen_name(link)
    shutil.rmtree(own)


def test_a_port_closed_behind_ssh_says_so(ssh_endpoint: Callable[..., Endpoint]) -> None:
    with pytest.raises(ConnectionFailed, match=r"refused|failed"):
        open_display_link(ssh_endpoint(), VncDisplay(address="127.0.0.1", port=free_port(7400)))


def test_a_rejected_key_says_so(ssh_endpoint: Callable[..., Endpoint]) -> None:
    with pytest.raises(ConnectionFailed, match="Permission denied"):
        open_display_link(ssh_endpoint(key="stranger"), VncDisplay(address="127.0.0.1", port=5900))


def test_another_host_key_is_refused(ssh_endpoint: Callable[..., Endpoint]) -> None:
    with pytest.raises(ConnectionFailed, match="Host key verification failed"):
        open_display_link(ssh_endpoint(host_key="stranger"), VncDisplay(address="127.0.0.1", port=5900))
