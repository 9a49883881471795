"""Which libvirt URIs vmportal accepts, https://libvirt.org/uri.html and https://libvirt.org/remote.html.

An allow-list: libvirt's URI parameters can name commands to run and files to read on this machine, and switch
verification off. What a connection needs beyond the address (keys, certificates, passwords) is stored with the
hypervisor, encrypted. What was typed is taken apart once; every URI that goes on is built anew from its parts, so
that libvirt never reads a person's text in another way than we did.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from hypervisors.errors import InvalidUri

Transport = Literal["unix", "tcp", "tls", "ssh", "test"]

DEFAULT_PORTS: dict[str, int] = {"tcp": 16509, "tls": 16514, "ssh": 22}
_TRANSPORTS: dict[str, Transport] = {
    "qemu": "unix",
    "qemu+unix": "unix",
    "qemu+tcp": "tcp",
    "qemu+tls": "tls",
    "qemu+ssh": "ssh",
}
_TEST_SCHEMES = {"test", "test+unix"}
_OTHER_HYPERVISORS = {"xen", "esx", "vpx", "gsx", "vmwareplayer", "lxc", "vz", "bhyve", "hyperv", "ch", "openvz"}
_SAFE_PATH = re.compile(r"/[A-Za-z0-9/._+-]+")
_PARAMETERS = {
    "socket": _SAFE_PATH,
    "mode": re.compile("auto|direct|legacy"),
    "proxy": re.compile("auto|netcat|native"),
}
_ALLOWED_PARAMETERS: dict[str, set[str]] = {
    "unix": {"socket", "mode"},
    "tcp": {"mode"},
    "tls": {"mode"},
    "ssh": {"socket", "mode", "proxy"},
    "test": {"socket"},
}
_PARAMETER_HINTS = {
    "keyfile": "paste the private key into its own field instead",
    "no_verify": "it would switch verification off; paste the host key or CA certificate into its own field instead",
    "no_tty": "vmportal never asks on a terminal",
    "pkipath": "paste the certificates into their own fields instead",
    "known_hosts": "paste the host key into its own field instead",
    "command": "it would run a command on this server",
    "netcat": "it would run a command on the hypervisor",
}
# Nothing that is escaped, quoted, or begins a fragment: `%`, `#`, `;`, quotes, blanks.
_CHARACTERS = re.compile(r"[A-Za-z0-9:/?&=@\[\]._+$~-]+")
_AUTHORITY = re.compile(r"([^@]*@)?(\[[0-9A-Fa-f:.]+\]|[^@:\[\]]*)(:[0-9]{0,5})?")
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
# A name that ends so is read as an IPv4 address by some, in spellings such as 127.1 or 0x7f000001.
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_USERNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\$?")


@dataclass(frozen=True, kw_only=True)
class HypervisorUri:
    """A URI that passed the checks; `host` is without brackets, `port` is never missing for tcp, tls and ssh."""

    transport: Transport
    host: str = ""
    port: int | None = None
    username: str = ""
    path: str = "/system"
    socket: str = ""
    mode: str = ""
    proxy: str = ""

    @property
    def text(self) -> str:
        """The URI built from the parts; the same for all spellings."""
        return self.with_parameters()

    def with_parameters(self, **more: str) -> str:
        """The same with parameters of ours, such as the files in which a connection's keys are."""
        own = {"socket": self.socket, "mode": self.mode, "proxy": self.proxy}
        parameters = {name: value for name, value in own.items() if value}
        query = "&".join(f"{name}={quote(value, safe='/')}" for name, value in (parameters | more).items())
        return f"{self._scheme}://{self._authority}{self.path}{'?' if query else ''}{query}"

    def __str__(self) -> str:
        return self.text

    @property
    def _scheme(self) -> str:
        if self.transport == "unix":
            return "qemu+unix" if self.socket or self.mode else "qemu"
        if self.transport == "test":
            return "test+unix" if self.socket else "test"
        return f"qemu+{self.transport}"

    @property
    def _authority(self) -> str:
        username = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS.get(self.transport) else f":{self.port}"
        return f"{username}{host}{port}"


def parse_uri(text: str, *, allow_test_driver: bool = False) -> HypervisorUri:
    """The URI taken apart. Raises: InvalidUri, whose text says what is wrong and what would do."""
    text = text.strip()
    if not text or len(text) > 500 or not text.isprintable() or " " in text:
        raise InvalidUri("A connection URI is one word such as qemu:///system or qemu+ssh://root@host/system.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InvalidUri(f"“{text}” is not a URI: {error}.") from error
    transport = _transport(text, parts.scheme, allow_test_driver=allow_test_driver)
    if parts.password is not None:
        raise InvalidUri("A password does not belong into the URI, which is shown; put it into its own field.")
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if not _CHARACTERS.fullmatch(text) or authority is None or authority[1] == "@" or port == 0:
        raise InvalidUri(f"“{text}” has parts or characters that a connection URI cannot have.")
    parameters = _parameters(transport, parts.query)
    host = _host(text, transport, parts.hostname or "")
    _check_path(text, transport, parts.path)
    return HypervisorUri(
        transport=transport,
        host=host,
        port=_port(text, transport, port),
        username=_username(transport, parts.username or ""),
        path=parts.path,
        **parameters,
    )


def _transport(text: str, scheme: str, *, allow_test_driver: bool) -> Transport:
    if scheme in _TRANSPORTS:
        return _TRANSPORTS[scheme]
    if scheme in _TEST_SCHEMES and allow_test_driver:
        return "test"
    driver = scheme.partition("+")[0]
    if driver in _OTHER_HYPERVISORS:
        raise InvalidUri(f"vmportal manages KVM/QEMU hypervisors; “{driver}” is another kind. Use a qemu… URI.")
    if driver in _TEST_SCHEMES:
        raise InvalidUri("libvirt's test driver is for tests only; use a qemu… URI.")
    if driver == "qemu":
        raise InvalidUri(f"“{scheme}” is not a supported transport. Use qemu, qemu+tcp, qemu+tls or qemu+ssh.")
    raise InvalidUri(
        f"“{text}” is not a hypervisor's URI. Use qemu:///system for this machine, or qemu+ssh://user@host/system, "
        "qemu+tls://host/system, qemu+tcp://host/system."
    )


def _parameters(transport: Transport, query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, _, value in (part.partition("=") for part in query.split("&") if part):
        if name not in _ALLOWED_PARAMETERS[transport]:
            hint = _PARAMETER_HINTS.get(name, "it is not supported with this transport")
            raise InvalidUri(f"The parameter “{name}” is not accepted: {hint}.")
        if not _PARAMETERS[name].fullmatch(value):
            raise InvalidUri(f"“{value}” is not a possible value of the parameter “{name}”.")
        if name in parameters:
            raise InvalidUri(f"The parameter “{name}” stands there twice.")
        parameters[name] = value
    return parameters


def _host(text: str, transport: Transport, host: str) -> str:
    if transport in DEFAULT_PORTS and not host:
        raise InvalidUri(f"“{text}” names no host. Write for example qemu+{transport}://host1.example.org/system.")
    if transport not in DEFAULT_PORTS and host:
        raise InvalidUri(
            f"“{text}” names a host but no transport. Write qemu+ssh://, qemu+tls:// or qemu+tcp:// before the host, "
            "or three slashes for this machine: qemu:///system."
        )
    return _plain_host(host) if host else ""


def _plain_host(host: str) -> str:
    """A name, or an address in its one spelling."""
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        if len(host) <= 253 and _NAME.fullmatch(host) and not _NUMBER.fullmatch(host):
            return host
    raise InvalidUri(f"“{host}” is not a host name or address.")


def _check_path(text: str, transport: Transport, path: str) -> None:
    if transport == "test":
        if path != "/default" and (not _SAFE_PATH.fullmatch(path) or path.startswith("//")):
            raise InvalidUri("A test URI is test:///default or test:///absolute/path.xml.")
        return
    if path == "/session":
        raise InvalidUri("A session's virtual machines belong to one user of one machine; use …/system.")
    if path != "/system":
        raise InvalidUri(f"“{text}” must end in /system.")


def _port(text: str, transport: Transport, port: int | None) -> int | None:
    if port is not None and transport not in DEFAULT_PORTS:
        raise InvalidUri(f"“{text}” has a port, but its transport uses none.")
    return port if port is not None else DEFAULT_PORTS.get(transport)


def _username(transport: Transport, username: str) -> str:
    if not username:
        return ""
    if transport != "ssh":
        raise InvalidUri("Only ssh URIs carry a user name; the SASL user name has its own field.")
    if not _USERNAME.fullmatch(username):
        raise InvalidUri(f"“{username}” is not a user name.")
    return username
