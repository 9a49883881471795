"""The client's half of RFB's opening, up to ClientInit: version, then None, VNC password, or VeNCrypt with X.509.

https://github.com/rfbproto/rfbproto/blob/master/rfbproto.rst#handshaking-messages and its VeNCrypt section.
"""

import socket
import ssl
import struct
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from hypervisors.errors import AuthenticationFailed, CertificateInvalid, ConnectionFailed, NotPossible
from hypervisors.gateway.endpoints import Endpoint

_VERSION = b"RFB 003.008\n"
_NONE, _VNC_PASSWORD, _VENCRYPT = 1, 2, 19
_X509_NONE, _X509_VNC = 260, 261
# Where libvirt keeps a client's certificates when a connection names no other place.
_SYSTEM_CA = Path("/etc/pki/CA/cacert.pem")
_SYSTEM_CERTIFICATE = Path("/etc/pki/libvirt/clientcert.pem")
_SYSTEM_KEY = Path("/etc/pki/libvirt/private/clientkey.pem")


def authenticate(link: socket.socket, endpoint: Endpoint, password: str, deadline: float) -> socket.socket:
    """Pass the server's security; the socket to go on with, wrapped in TLS if need be. Next comes ClientInit.

    `deadline` is of time.monotonic(). Raises: errors.ConnectionFailed, errors.NotPossible, OSError.
    """
    version = read_exactly(link, 12, deadline)
    if not version.startswith(b"RFB 003.00") or version[10:11] < b"8":
        raise ConnectionFailed("What answers there is not a VNC server of protocol 3.8.")
    link.sendall(_VERSION)
    offered = read_exactly(link, read_exactly(link, 1, deadline)[0], deadline)
    if not offered:
        raise ConnectionFailed(f"The VNC server refused: {_reason(link, deadline)}.")
    if _NONE in offered:
        link.sendall(bytes([_NONE]))
    elif _VNC_PASSWORD in offered:
        link.sendall(bytes([_VNC_PASSWORD]))
        _answer_challenge(link, password, deadline)
    elif _VENCRYPT in offered:
        link.sendall(bytes([_VENCRYPT]))
        return _over_tls(link, endpoint, password, deadline)
    else:
        raise NotPossible(f"The VNC server wants a login that vmportal does not speak (types {list(offered)}).")
    _read_result(link, deadline)
    return link


def read_exactly(link: socket.socket, count: int, deadline: float) -> bytes:
    """So many bytes, before the deadline. Raises: ConnectionFailed when it closes before, OSError, TimeoutError."""
    data = b""
    while len(data) < count:
        link.settimeout(max(0.001, deadline - time.monotonic()))
        part = link.recv(count - len(data))
        if not part:
            raise ConnectionFailed("The VNC server closed the connection.")
        data += part
    return data


def _read_result(link: socket.socket, deadline: float) -> None:
    (result,) = struct.unpack(">I", read_exactly(link, 4, deadline))
    if result:
        raise AuthenticationFailed(f"The VNC server rejected the login: {_reason(link, deadline)}.")


def _reason(link: socket.socket, deadline: float) -> str:
    (length,) = struct.unpack(">I", read_exactly(link, 4, deadline))
    return read_exactly(link, min(length, 500), deadline).decode("utf-8", "replace").strip().rstrip(".")


def _answer_challenge(link: socket.socket, password: str, deadline: float) -> None:
    challenge = read_exactly(link, 16, deadline)
    if not password:
        raise AuthenticationFailed(
            "The screen has a VNC password that is not in the VM's definition. If vnc_password is set in "
            "/etc/libvirt/qemu.conf of its host, take it out there and start the VM anew."
        )
    link.sendall(vnc_response(challenge, password))


def vnc_response(challenge: bytes, password: str) -> bytes:
    """RFB's answer: DES with the password's first 8 bytes as key, the bits of each mirrored."""
    key = password.encode("latin-1", "replace")[:8].ljust(8, b"\0")
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    # DES is three times the same key in 3DES. It is what RFB's authors chose in 1998; the grant is our protection.
    cipher = Cipher(TripleDES(mirrored * 3), modes.ECB())  # noqa: S305
    encryptor = cipher.encryptor()
    return encryptor.update(challenge) + encryptor.finalize()


def _over_tls(link: socket.socket, endpoint: Endpoint, password: str, deadline: float) -> socket.socket:
    context = _tls_context(endpoint)
    subtype = _choose_subtype(link, deadline)
    link.settimeout(max(0.001, deadline - time.monotonic()))
    wrapped = _wrap(link, context, endpoint.uri.host)
    try:
        if subtype == _X509_VNC:
            _answer_challenge(wrapped, password, deadline)
        _read_result(wrapped, deadline)
    except BaseException:
        # The caller knows only the socket inside, which is spent.
        wrapped.close()
        raise
    return wrapped


def _wrap(link: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(link, server_hostname=host or socket.gethostname())
    except ssl.SSLCertVerificationError as error:
        raise CertificateInvalid(f"The VNC certificate of {host}: {error.verify_message}.") from error
    except ssl.SSLError as error:
        raise AuthenticationFailed(f"TLS with the VNC server failed: {error.reason or error}.") from error


def _choose_subtype(link: socket.socket, deadline: float) -> int:
    if read_exactly(link, 2, deadline) != b"\0\2":
        raise NotPossible("The VNC server speaks another version of VeNCrypt than 0.2.")
    link.sendall(b"\0\2")
    if read_exactly(link, 1, deadline) != b"\0":
        raise NotPossible("The VNC server does not accept VeNCrypt 0.2.")
    (count,) = read_exactly(link, 1, deadline)
    offered = struct.unpack(f">{count}I", read_exactly(link, 4 * count, deadline))
    subtype = next((kind for kind in (_X509_NONE, _X509_VNC) if kind in offered), None)
    if subtype is None:
        raise NotPossible("The VNC server's TLS wants a login that vmportal does not speak; use x509 without SASL.")
    link.sendall(struct.pack(">I", subtype))
    if read_exactly(link, 1, deadline) != b"\1":
        raise NotPossible("The VNC server does not accept VeNCrypt with X.509.")
    return subtype


def _tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Mutual TLS with the hypervisor's certificates, or libvirt's own of this machine; the host's name is verified."""
    try:
        if endpoint.tls_ca_certificate:
            context = ssl.create_default_context(cadata=endpoint.tls_ca_certificate)
            _load_stored_certificate(context, endpoint)
            return context
        if not _SYSTEM_CA.exists():
            raise NotPossible("This screen is served over TLS; add its host by a qemu+tls:// URI with certificates.")
        context = ssl.create_default_context(cafile=str(_SYSTEM_CA))
        if _SYSTEM_CERTIFICATE.exists():
            context.load_cert_chain(_SYSTEM_CERTIFICATE, _SYSTEM_KEY)
        return context
    except (ssl.SSLError, OSError) as error:
        raise CertificateInvalid(f"The certificates stored for {endpoint.uri.host} cannot be used: {error}.") from error


def _load_stored_certificate(context: ssl.SSLContext, endpoint: Endpoint) -> None:
    if not endpoint.tls_client_certificate:
        return
    # OpenSSL reads them from a file only; NamedTemporaryFile makes it 0600.
    with tempfile.NamedTemporaryFile("w", prefix="vmportal-console-") as chain:
        chain.write(f"{endpoint.tls_client_certificate.strip()}\n{endpoint.tls_client_key.strip()}\n")
        chain.flush()
        context.load_cert_chain(chain.name)
