"""An endpoint is all that is needed to connect to one hypervisor; here it becomes the URI that libvirt opens.

Keys and certificates are written into a private directory for the moments of connecting only: libvirt and ssh read
them from files, https://libvirt.org/remote.html. ssh runs through a generated wrapper with a configuration of its
own, so that it never asks, never learns a host key by itself and never reads root's configuration.
"""

import os
import shlex
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypervisors.gateway.known_hosts import usable_host_keys
from hypervisors.gateway.uris import HypervisorUri

_HOST_ALIAS = "hypervisor"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """How one hypervisor is reached. `key` names it in caches; another `revision` means reconnect."""

    uri: HypervisorUri
    key: str
    revision: int = 1
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssh_private_key: str = field(default="", repr=False)
    ssh_known_hosts: str = ""
    tls_ca_certificate: str = ""
    tls_client_certificate: str = ""
    tls_client_key: str = field(default="", repr=False)
    # Where its screens may be dialled besides the URI's own addresses; IP addresses that an administrator wrote down.
    console_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OpenableUri:
    """The URI for libvirt, and where the ssh wrapper notes its process id."""

    text: str
    ssh_pid_file: Path | None = None

    def kill_ssh(self) -> None:
        """End an ssh that hangs, so that libvirt's open() returns."""
        if self.ssh_pid_file is None:
            return
        with suppress(OSError, ValueError):
            os.kill(int(self.ssh_pid_file.read_text()), signal.SIGKILL)


@contextmanager
def openable_uri(endpoint: Endpoint) -> Iterator[OpenableUri]:
    """The URI to hand to libvirt; the files that it names are gone when the context ends."""
    writers = {"ssh": _write_ssh, "tls": _write_tls}
    writer = writers.get(endpoint.uri.transport)
    if writer is None:
        yield OpenableUri(text=endpoint.uri.text)
        return
    # TemporaryDirectory makes it 0700.
    with tempfile.TemporaryDirectory(prefix="vmportal-endpoint-", ignore_cleanup_errors=True) as directory:
        yield writer(endpoint, Path(directory))


def _write_tls(endpoint: Endpoint, directory: Path) -> OpenableUri:
    files = {
        "cacert.pem": endpoint.tls_ca_certificate,
        "clientcert.pem": endpoint.tls_client_certificate,
        "clientkey.pem": endpoint.tls_client_key,
    }
    if not any(files.values()):
        # libvirt then looks into /etc/pki.
        return OpenableUri(text=endpoint.uri.text)
    for name, content in files.items():
        if content:
            _write_private(directory / name, content)
    return OpenableUri(text=endpoint.uri.with_parameters(pkipath=str(directory)))


def _write_ssh(endpoint: Endpoint, directory: Path) -> OpenableUri:
    lines = [
        "BatchMode yes",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "ConnectTimeout 5",
        "ServerAliveInterval 5",
        "ServerAliveCountMax 3",
        "ControlMaster no",
        "ControlPath none",
        "ForwardAgent no",
        "ForwardX11 no",
        "PermitLocalCommand no",
        "LogLevel ERROR",
    ]
    if endpoint.ssh_private_key:
        _write_private(directory / "key", endpoint.ssh_private_key)
        lines += [f"IdentityFile {directory / 'key'}", "IdentitiesOnly yes", "IdentityAgent none"]
        lines += ["PreferredAuthentications publickey"]
    if endpoint.ssh_known_hosts.strip():
        # Keys of other hosts would let those pass for this one; with none left, nobody passes.
        keys = usable_host_keys(endpoint.ssh_known_hosts, endpoint.uri.host, endpoint.uri.port or 22)
        _write_private(directory / "known_hosts", "\n".join(key.line_for(_HOST_ALIAS) for key in keys))
        lines += [f"UserKnownHostsFile {directory / 'known_hosts'}", "GlobalKnownHostsFile /dev/null"]
        lines += [f"HostKeyAlias {_HOST_ALIAS}", "CheckHostIP no"]
    _write_private(directory / "config", "\n".join(lines))
    wrapper, pid_file = directory / "ssh", directory / "pid"
    _write_private(
        wrapper,
        f'#!/bin/sh\necho $$ > {shlex.quote(str(pid_file))}\nexec ssh -F {shlex.quote(str(directory / "config"))} "$@"',
    )
    wrapper.chmod(0o700)
    return OpenableUri(text=endpoint.uri.with_parameters(command=str(wrapper)), ssh_pid_file=pid_file)


def _write_private(path: Path, content: str) -> None:
    # ssh and GnuTLS want Unix line ends and a final one; browsers paste CRLF.
    content = content.replace("\r\n", "\n").strip() + "\n"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
