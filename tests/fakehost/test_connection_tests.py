"""Every way in which a connection can fail before libvirt answers, against real sockets, a real sshd and real TLS."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from deploy.ports import free_port
from hypervisors.models import Hypervisor, HypervisorPool
from hypervisors.operations.hypervisors.connection_tests import ConnectionTest
from hypervisors.operations.hypervisors.ssh_keys import generate_private_key, public_key_of
from tests.connection_outcomes import outcome
from tests.hypervisor_forms import HTMX, finished_test_id, polled

pytestmark = pytest.mark.usefixtures("tasks_at_once")


def test_a_name_that_does_not_resolve() -> None:
    test = outcome("qemu+tls://no-such-host.invalid/system")
    assert test.failure == "HostNotFound"
    assert "no-such-host.invalid does not resolve" in test.message


@pytest.mark.parametrize(("scheme", "advice"), [("tcp", "libvirtd-tcp"), ("tls", "libvirtd-tls"), ("ssh", "sshd")])
def test_nothing_listens(scheme: str, advice: str) -> None:
    port = free_port()
    test = outcome(f"qemu+{scheme}://127.0.0.1:{port}/system")
    assert test.failure == "ConnectionRefused"
    assert str(port) in test.message
    assert advice in test.message


def test_no_such_socket_here(tmp_path: Path) -> None:
    test = outcome(f"qemu:///system?socket={tmp_path}/no-such-socket")
    assert test.failure == "SocketDenied"


@contextmanager
def listening(serve: Any) -> Iterator[int]:
    """A port on which `serve` gets each connection, in threads."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        # Wakes accept(), which close() alone does not.
        listener.shutdown(socket.SHUT_RDWR)


def test_something_that_takes_the_connection_and_stays_silent() -> None:
    held = []
    with listening(held.append) as port:
        test = outcome(f"qemu+tcp://127.0.0.1:{port}/system")
    for connection in held:
        connection.close()
    assert test.failure == "ConnectionTimedOut"
    # Eight seconds are given; a busy machine may take longer to notice.
    assert 7 < test.seconds < 30


# --- TLS -----------------------------------------------------------------------------------------------------------


def certificate(directory: Path, name: str, *, signed_by: str = "", subject: str = "/CN=127.0.0.1") -> None:
    """A key and a certificate made by openssl: {name}.key, {name}.pem."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
    command += ["-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.pem")]
    if signed_by:
        command += ["-CA", str(directory / f"{signed_by}.pem"), "-CAkey", str(directory / f"{signed_by}.key")]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    certificate(directory, "ca", subject="/CN=our CA")
    certificate(directory, "server", signed_by="ca")
    certificate(directory, "client", signed_by="ca", subject="/CN=vmportal")
    certificate(directory, "strange-ca", subject="/CN=another CA")
    certificate(directory, "strange-client", signed_by="strange-ca", subject="/CN=vmportal")
    return directory


@contextmanager
def tls_server(directory: Path, *, asks_for_client: bool) -> Iterator[int]:
    """A server that closes after the handshake; it may ask for a client certificate of our CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    if asks_for_client:
        context.load_verify_locations(directory / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED

    def shake_hands(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with listening(shake_hands) as port:
        yield port


def tls_credentials(directory: Path, *, ca: str = "ca", client: str = "client") -> dict[str, str]:
    return {
        "tls_ca_certificate": (directory / f"{ca}.pem").read_text(),
        "tls_client_certificate": (directory / f"{client}.pem").read_text(),
        "tls_client_key": (directory / f"{client}.key").read_text(),
    }


def test_a_server_certificate_of_another_ca(certificates: Path) -> None:
    strange = tls_credentials(certificates, ca="strange-ca", client="strange-client")
    with tls_server(certificates, asks_for_client=False) as port:
        test = outcome(f"qemu+tls://127.0.0.1:{port}/system", **strange)
    assert test.failure == "CertificateInvalid"


def test_a_server_certificate_for_another_name(certificates: Path) -> None:
    with tls_server(certificates, asks_for_client=True) as port:
        test = outcome(f"qemu+tls://localhost:{port}/system", **tls_credentials(certificates))
    assert test.failure == "CertificateInvalid"
    assert "name localhost" in test.message


def test_a_client_certificate_that_is_refused(certificates: Path) -> None:
    strange = tls_credentials(certificates, ca="strange-ca", client="strange-client")
    # libvirt checks both against the CAs before it speaks.
    strange["tls_ca_certificate"] += (certificates / "ca.pem").read_text()
    with tls_server(certificates, asks_for_client=True) as port:
        test = outcome(f"qemu+tls://127.0.0.1:{port}/system", **strange)
    assert test.failure == "AuthenticationFailed"
    assert "client certificate" in test.message


# --- ssh -----------------------------------------------------------------------------------------------------------


@dataclass
class SshServer:
    """A real sshd of ours on loopback."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"qemu+ssh://root@127.0.0.1:{self.port}/system"

    def make_host_key(self) -> None:
        key = self.directory / "host_key"
        key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)

    def fingerprint(self) -> str:
        listing = subprocess.run(
            ["ssh-keygen", "-lf", str(self.directory / "host_key.pub")], check=True, capture_output=True, text=True
        )
        return listing.stdout.split()[1]

    def authorize(self, public_key: str) -> None:
        (self.directory / "authorized_keys").write_text(f"{public_key}\n")

    def start(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        config = self.directory / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.directory}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {self.directory}/authorized_keys\nPasswordAuthentication no\nUsePAM no\n"
            "StrictModes no\nPermitRootLogin yes\nKbdInteractiveAuthentication no\n"
        )
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        while b"listening on" not in (line := self.process.stderr.readline()):
            assert line, "sshd did not start"

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.communicate(timeout=30)
            self.process = None


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    if shutil.which("sshd", path="/usr/sbin") is None:
        pytest.fail("sshd is not installed; ./test installs it.")
    server = SshServer(tmp_path)
    server.make_host_key()
    server.authorize(public_key_of(generate_private_key()))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def accepted(test: ConnectionTest) -> str:
    return "\n".join(key.line for key in test.host_keys)


def test_an_unknown_host_key_is_shown_with_its_fingerprint(ssh_server: SshServer) -> None:
    test = outcome(ssh_server.uri, ssh_private_key=generate_private_key())
    assert test.failure == "HostKeyChanged"
    assert not test.host_key_changed
    assert [key.fingerprint for key in test.host_keys] == [ssh_server.fingerprint()]


def test_another_host_key_than_the_accepted_one_is_told_apart(ssh_server: SshServer) -> None:
    known = accepted(outcome(ssh_server.uri, ssh_private_key=generate_private_key()))
    ssh_server.stop()
    ssh_server.make_host_key()
    ssh_server.start()
    test = outcome(ssh_server.uri, ssh_private_key=generate_private_key(), ssh_known_hosts=known)
    assert test.failure == "HostKeyChanged"
    assert test.host_key_changed
    assert [key.fingerprint for key in test.host_keys] == [ssh_server.fingerprint()]


def test_a_rejected_ssh_key(ssh_server: SshServer) -> None:
    known = accepted(outcome(ssh_server.uri, ssh_private_key=generate_private_key()))
    test = outcome(ssh_server.uri, ssh_private_key=generate_private_key(), ssh_known_hosts=known)
    assert test.failure == "AuthenticationFailed"
    assert "user root" in test.message


def test_a_machine_without_libvirt_behind_a_good_key(ssh_server: SshServer, tmp_path: Path) -> None:
    key = generate_private_key()
    ssh_server.authorize(f"restrict,port-forwarding {public_key_of(key)}")
    known = accepted(outcome(ssh_server.uri, ssh_private_key=key))
    uri = f"{ssh_server.uri}?socket={tmp_path}/no-such-socket"
    test = outcome(uri, ssh_private_key=key, ssh_known_hosts=known)
    assert test.failure == "SocketDenied"


def test_the_operator_accepts_the_host_key_in_the_form(
    ssh_server: SshServer, client: Client, alice: User, hypervisor_pool: HypervisorPool
) -> None:
    client.force_login(alice)
    token = client.post(reverse("hypervisor_key_pair")).content.decode()
    token = token.split('name="ssh_generated_key" value="')[1].split('"')[0]
    fields = {"name": "h", "hypervisor_pool": hypervisor_pool.pk, "transport": "ssh", "host": "127.0.0.1"}
    fields |= {"port": ssh_server.port, "username": "root", "ssh_generated_key": token}

    page = polled(client, client.post(reverse("hypervisor_test"), fields, headers=HTMX))
    assert ssh_server.fingerprint() in page
    test_id = finished_test_id(page)
    again = client.post(reverse("hypervisor_test"), {**fields, "accept_host_key": test_id}, headers=HTMX)
    # The key is put into the form, and this time our key is what is refused.
    assert 'id="id_ssh_known_hosts"' in again.content.decode()
    known = again.content.decode().split('id="id_ssh_known_hosts"')[1].split(">", 1)[1].split("</textarea>")[0]
    page = polled(client, again)
    assert 'data-failure="AuthenticationFailed"' in page
    test_id = finished_test_id(page)
    saving = {**fields, "ssh_known_hosts": known, "test": test_id, "save_anyway": "1"}
    client.post(reverse("hypervisor_add"), saving, headers=HTMX)
    row = Hypervisor.objects.get(name="h")
    assert "ssh-ed25519" in row.credentials.ssh_known_hosts
