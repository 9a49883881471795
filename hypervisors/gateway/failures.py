"""libvirt's error codes turned into `errors.py`'s classes, https://libvirt.org/html/libvirt-virterror.html."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from hypervisors import errors
from hypervisors.gateway.endpoints import Endpoint

# Without this, libvirt's binding prints every error to stderr besides raising it.
libvirt.registerErrorHandler(lambda *_: None, None)

_BY_CODE: dict[int, type[errors.HypervisorError]] = {
    libvirt.VIR_ERR_NO_DOMAIN: errors.NotFound,
    libvirt.VIR_ERR_NO_NETWORK: errors.NotFound,
    libvirt.VIR_ERR_NO_STORAGE_POOL: errors.NotFound,
    libvirt.VIR_ERR_NO_STORAGE_VOL: errors.NotFound,
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT: errors.NotFound,
    libvirt.VIR_ERR_NO_NODE_DEVICE: errors.NotFound,
    libvirt.VIR_ERR_NO_NWFILTER: errors.NotFound,
    libvirt.VIR_ERR_NO_SECRET: errors.NotFound,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: errors.JobBusy,
    libvirt.VIR_ERR_OPERATION_ABORTED: errors.OperationAborted,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: errors.DomainNotAnswering,
    libvirt.VIR_ERR_AGENT_UNSYNCED: errors.DomainNotAnswering,
}
_MOST_CHARACTERS = 2000
_LOST = re.compile(
    "client socket is closed|end of file while reading|cannot (recv|send|read|write) data|keepalive timeout"
    "|broken pipe|connection reset|connection closed|invalid connection pointer",
    re.IGNORECASE,
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn libvirtError into errors.*; `what` is what was asked, as in "start virtual machine web1"."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error, what) from error


def translate(error: libvirt.libvirtError, what: str) -> errors.HypervisorError:
    """The error to raise for a call on an open connection."""
    code, said = error.get_error_code(), message_of(error)
    if error.get_error_domain() == libvirt.VIR_FROM_RPC or _LOST.search(said):
        kind: type[errors.HypervisorError] = errors.ConnectionLost
    else:
        kind = _BY_CODE.get(code, errors.OperationRefused)
    return kind(f"Could not {what}: {_sentence(said)}", libvirt_code=code)


def message_of(error: libvirt.libvirtError) -> str:
    """What libvirt said, without the prefix of the call's name.

    A guest's agent and QEMU are quoted in it, at whatever length and with whatever characters a guest chooses.
    """
    said = (error.get_error_message() or str(error)).strip()[:_MOST_CHARACTERS]
    return "".join(_shown(character) for character in said)


def _shown(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


def is_missing(error: libvirt.libvirtError) -> bool:
    """Whether the object is simply not there (any more)."""
    return _BY_CODE.get(error.get_error_code()) is errors.NotFound


def translate_opening(error: libvirt.libvirtError, endpoint: Endpoint) -> errors.ConnectionFailed:
    """The error to raise when open() failed: the texts are libvirt's, OpenSSH's and GnuTLS's."""
    code, said = error.get_error_code(), message_of(error)
    kind, advice = next(
        ((kind, advice) for pattern, kind, advice in _OPENING if pattern.search(said)),
        _OPENING_BY_CODE.get(code, (errors.ConnectionFailed, "Could not connect to {host}: {said}")),
    )
    if kind is errors.HostKeyChanged and not endpoint.ssh_known_hosts.strip():
        advice = _NO_HOST_KEY
    text = advice.format(
        host=host_label(endpoint), port=endpoint.uri.port, said=_condensed(said), user=_user_label(endpoint)
    )
    return kind(text, libvirt_code=code)


def host_label(endpoint: Endpoint) -> str:
    return endpoint.uri.host or "this machine"


def _user_label(endpoint: Endpoint) -> str:
    if endpoint.uri.transport == "ssh":
        return f"user {endpoint.uri.username}" if endpoint.uri.username else "the default user"
    return f"user {endpoint.sasl_username}" if endpoint.sasl_username else "nobody (no user name is stored)"


def _condensed(said: str) -> str:
    """One line, without our private directory and without ssh's banners."""
    fingerprint = re.search(r"fingerprint for the (\S+) key sent by the remote host is\s+(\S+?)\.?\s", said)
    if fingerprint:
        return f"The host showed the {fingerprint[1]} key {fingerprint[2]}."
    said = re.sub(r"[^\s\"']*/vmportal-endpoint-[^/\s]+/", "", said)
    # libvirt appends the system's error to ssh's own sentence.
    return _sentence(" ".join(said.removeprefix("Cannot recv data: ").split()).replace(".: ", ": "))


def _sentence(said: str) -> str:
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _rule(
    pattern: str, kind: type[errors.ConnectionFailed], advice: str
) -> tuple[re.Pattern[str], type[errors.ConnectionFailed], str]:
    return re.compile(pattern, re.IGNORECASE), kind, advice


_NO_HOST_KEY = (
    "No ssh host key is stored for {host} yet. Compare its key on its own console "
    "(/etc/ssh/ssh_host_ed25519_key.pub), and store it. ssh said: {said}"
)
# First match wins.
_OPENING = [
    _rule("no .* host key is known", errors.HostKeyChanged, _NO_HOST_KEY),
    _rule(
        "host key verification failed|host identification has changed",
        errors.HostKeyChanged,
        "The ssh host key of {host} is not the one stored here. If the machine was reinstalled, compare "
        "its key on its own console (/etc/ssh/ssh_host_ed25519_key.pub) and store the new one. ssh said: {said}",
    ),
    _rule(
        "cannot read ca certificate|cannot read certificate",
        errors.CertificateInvalid,
        "No CA certificate is stored for {host}, and this server has none of its own. Store the CA that signed "
        "{host}'s certificate, and a client certificate with its key. libvirt said: {said}",
    ),
    _rule(
        "kex_exchange_identification|banner exchange",
        errors.ConnectionFailed,
        "What listens on port {port} of {host} is not an ssh server, or it turns us away. ssh said: {said}",
    ),
    _rule(
        "could not resolve hostname|name or service not known|temporary failure in name resolution",
        errors.HostNotFound,
        "The name {host} does not resolve. Check its spelling and the DNS of this server. {said}",
    ),
    _rule(
        r"invalid format|error in libcrypto|load key|passphrase",
        errors.AuthenticationFailed,
        "The stored ssh private key cannot be used: it must be an OpenSSH or PEM key without a passphrase. "
        "ssh said: {said}",
    ),
    _rule(
        r"permission denied \(|too many authentication failures",
        errors.AuthenticationFailed,
        "{host} rejected the ssh key of {user}. Add the public key to that user's authorized_keys. ssh said: {said}",
    ),
    _rule(
        "failed to connect socket to.*(permission denied)|polkit|authentication unavailable|access denied",
        errors.SocketDenied,
        "The user that vmportal runs as there has no permission on libvirt's socket. Add it to the group “libvirt”. "
        "libvirt said: {said}",
    ),
    _rule(
        "failed to connect socket to|unix connect failed|virt-ssh-helper|no such file or directory",
        errors.SocketDenied,
        "libvirt's socket cannot be opened on {host}: libvirtd (or virtqemud) is not installed or does not run there. "
        "libvirt said: {said}",
    ),
    _rule(
        "tls confirmation|fatal alert|certificate required|error in the push function|premature termination",
        errors.AuthenticationFailed,
        "{host} rejected our client certificate, or none is stored. It must be signed by the CA that {host} trusts. "
        "libvirt said: {said}",
    ),
    _rule(
        r"certificate|tls handshake|cacert\.pem|clientcert\.pem|clientkey\.pem|x509",
        errors.CertificateInvalid,
        "The certificates do not fit {host}: its certificate must be valid, signed by the stored CA, and name {host}; "
        "the stored client certificate and key must belong together. libvirt said: {said}",
    ),
    _rule(
        "connection refused",
        errors.ConnectionRefused,
        "{host} answers, but nothing listens on port {port}. Is libvirtd's listening switched on there? {said}",
    ),
    _rule(
        "timed out|timeout|no route to host|network is unreachable",
        errors.ConnectionTimedOut,
        "{host} does not answer. Check that it is up and that no firewall drops port {port}. {said}",
    ),
    _rule(
        "failed to collect auth",
        errors.AuthenticationFailed,
        "{host} asks for a user name and password, and none are stored here.",
    ),
    _rule(
        "sasl|no mechanism available|authentication failed|failed to collect auth|username",
        errors.AuthenticationFailed,
        "{host} rejected the user name or password of {user}. libvirt said: {said}",
    ),
]
_LOGIN_REJECTED = (errors.AuthenticationFailed, "{host} rejected the login of {user}. libvirt said: {said}")
_OPENING_BY_CODE: dict[int, tuple[type[errors.ConnectionFailed], str]] = {
    libvirt.VIR_ERR_AUTH_FAILED: _LOGIN_REJECTED,
    libvirt.VIR_ERR_AUTH_CANCELLED: _LOGIN_REJECTED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: _LOGIN_REJECTED,
}
