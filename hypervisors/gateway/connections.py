"""Connections to hypervisors: opened within a bounded time, with precise errors, https://libvirt.org/remote.html.

libvirt's open() has no timeout (134 s on dropped packets, for ever on a frozen daemon), so it runs in a thread that
is left behind when it takes too long.
"""

import logging
import os
import socket
import threading
from collections import Counter
from typing import Any

import libvirt

from hypervisors import errors
from hypervisors.gateway.endpoints import Endpoint, OpenableUri, openable_uri
from hypervisors.gateway.event_loop import start_event_loop
from hypervisors.gateway.failures import host_label, translate_opening, translated
from hypervisors.gateway.uris import DEFAULT_PORTS

__all__ = ["Connection", "cached_connection", "open_connection", "start_event_loop", "translated"]

logger = logging.getLogger(__name__)

PRE_CONNECT_SECONDS = 3
# Keepalive: after 5 s of silence, 3 probes 5 s apart; a dead link is noticed after 19 s.
_KEEPALIVE_INTERVAL_SECONDS = 5
_KEEPALIVE_COUNT = 3
# Openings of one hypervisor that may hang at the same time before further ones are refused at once.
_MAX_HANGING_OPENINGS = 3


class Connection:
    """An open connection. `raw` is the virConnect; it may be used by several threads at once."""

    def __init__(self, raw: "libvirt.virConnect", endpoint: Endpoint) -> None:
        self.raw = raw
        self.endpoint = endpoint

    def is_alive(self) -> bool:
        """Whether the link stands as far as this side knows; asks nothing of the hypervisor, so never blocks."""
        try:
            return bool(self.raw.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self, *, wait_seconds: float = 1) -> None:
        """Close. A frozen hypervisor holds this up for `wait_seconds` at most; the rest happens in the background."""
        closing = threading.Thread(target=_close_quietly, args=(self.raw,), name="libvirt-close", daemon=True)
        closing.start()
        closing.join(wait_seconds)


def open_connection(
    endpoint: Endpoint, *, timeout_seconds: float = 8, read_only: bool = False, event_loop: bool = True
) -> Connection:
    """Connect. Raises: the precise subclass of errors.ConnectionFailed, within `timeout_seconds`.

    Without an event loop there are neither events nor keepalive, but downloads are not read ahead into memory: a
    process that carries bytes must have none at all.
    """
    if event_loop:
        start_event_loop()
    opening = _Opening(endpoint, read_only=read_only, keep_alive=event_loop)
    return opening.result(timeout_seconds)


class _Opening:
    """One attempt to open, in a thread."""

    _hanging: Counter[str] = Counter()
    _hanging_lock = threading.Lock()

    def __init__(self, endpoint: Endpoint, *, read_only: bool, keep_alive: bool) -> None:
        self._endpoint = endpoint
        self._read_only = read_only
        self._keep_alive = keep_alive
        self._lock = threading.Lock()
        self._abandoned = False
        self._done = threading.Event()
        self._connection: Connection | None = None
        self._error: errors.ConnectionFailed | None = None
        self._uri: OpenableUri | None = None

    def result(self, timeout_seconds: float) -> Connection:
        with self._hanging_lock:
            if self._hanging[self._endpoint.key] >= _MAX_HANGING_OPENINGS:
                raise _timed_out(self._endpoint)
            self._hanging[self._endpoint.key] += 1
        threading.Thread(target=self._run, name=f"open-{self._endpoint.key}", daemon=True).start()
        self._done.wait(timeout_seconds)
        with self._lock:
            if not self._done.is_set():
                self._abandoned = True
                if self._uri is not None:
                    self._uri.kill_ssh()
                raise _timed_out(self._endpoint)
        if self._connection is None:
            raise self._error or _timed_out(self._endpoint)
        return self._connection

    def _run(self) -> None:
        connection: Connection | None = None
        try:
            connection = self._open()
        except errors.ConnectionFailed as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - the waiting thread must hear of whatever went wrong
            self._error = errors.ConnectionFailed(f"Could not connect to {host_label(self._endpoint)}: {error}")
        finally:
            with self._hanging_lock:
                self._hanging[self._endpoint.key] -= 1
            with self._lock:
                self._connection = connection
                self._done.set()
            if self._abandoned and connection is not None:
                connection.close()

    def _open(self) -> Connection:
        _pre_connect(self._endpoint)
        flags = libvirt.VIR_CONNECT_RO if self._read_only else 0
        with openable_uri(self._endpoint) as uri:
            self._uri = uri
            try:
                raw = libvirt.openAuth(uri.text, [_CREDENTIALS, _give_credentials, self._endpoint], flags)
            except libvirt.libvirtError as error:
                raise translate_opening(error, self._endpoint) from error
        if self._keep_alive:
            _keep_alive(raw)
        return Connection(raw, self._endpoint)


_CREDENTIALS = [
    libvirt.VIR_CRED_AUTHNAME,
    libvirt.VIR_CRED_USERNAME,
    libvirt.VIR_CRED_PASSPHRASE,
    libvirt.VIR_CRED_NOECHOPROMPT,
]


def _give_credentials(credentials: list[list[Any]], endpoint: Endpoint) -> int:
    """libvirt's callback: fill in the fifth item of each; -1 when we have nothing to say."""
    if not endpoint.sasl_username:
        return -1
    for credential in credentials:
        is_name = credential[0] in (libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_USERNAME)
        credential[4] = endpoint.sasl_username if is_name else endpoint.sasl_password
    return 0


def _pre_connect(endpoint: Endpoint) -> None:
    """Find out within seconds whether anything answers there. Raises: errors.ConnectionFailed."""
    uri = endpoint.uri
    if uri.transport not in DEFAULT_PORTS:
        return
    try:
        socket.create_connection((uri.host, uri.port or 0), timeout=PRE_CONNECT_SECONDS).close()
    except socket.gaierror as error:
        raise errors.HostNotFound(
            f"The name {uri.host} does not resolve. Check its spelling and the DNS of this server."
        ) from error
    except TimeoutError as error:
        raise errors.ConnectionTimedOut(
            f"{uri.host} did not answer on port {uri.port} within {PRE_CONNECT_SECONDS} s. "
            "Check that it is up and that no firewall drops packets."
        ) from error
    except ConnectionRefusedError as error:
        raise errors.ConnectionRefused(
            f"{uri.host} answers, but nothing listens on port {uri.port}. {_LISTEN_ADVICE[uri.transport]}"
        ) from error
    except OSError as error:
        raise errors.ConnectionTimedOut(f"{uri.host} cannot be reached: {error.strerror or error}.") from error


_LISTEN_ADVICE = {
    "tcp": "Is libvirtd's TCP socket switched on (libvirtd-tcp.socket)?",
    "tls": "Is libvirtd's TLS socket switched on (libvirtd-tls.socket)?",
    "ssh": "Does sshd run there?",
}


def _keep_alive(raw: "libvirt.virConnect") -> None:
    try:
        raw.setKeepAlive(_KEEPALIVE_INTERVAL_SECONDS, _KEEPALIVE_COUNT)
    except libvirt.libvirtError:
        # The test driver and very old daemons have none.
        logger.debug("No keepalive on this connection.")


def _timed_out(endpoint: Endpoint) -> errors.ConnectionTimedOut:
    return errors.ConnectionTimedOut(
        f"{host_label(endpoint)} took the connection but does not answer: its libvirt hangs or is overloaded."
    )


def _close_quietly(raw: "libvirt.virConnect") -> None:
    try:
        raw.close()
    except libvirt.libvirtError:
        logger.debug("Closing a connection failed.", exc_info=True)


class _Cache:
    """The connections of this process; of another process after a fork, hence the pid."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.locks: dict[str, threading.Lock] = {}
        self.connections: dict[str, Connection] = {}


_cache = _Cache()


def cached_connection(endpoint: Endpoint) -> Connection:
    """This process's connection to it, opened when there is none, it died, or the endpoint changed.

    Threads share it; one slow hypervisor holds up only those who want the same. Raises: errors.ConnectionFailed.
    """
    global _cache
    if _cache.pid != os.getpid():
        _cache = _Cache()
    cache = _cache
    with cache.lock:
        lock = cache.locks.setdefault(endpoint.key, threading.Lock())
    with lock:
        connection = cache.connections.get(endpoint.key)
        if connection is not None and connection.endpoint == endpoint and connection.is_alive():
            return connection
        if connection is not None:
            del cache.connections[endpoint.key]
            connection.close()
        cache.connections[endpoint.key] = open_connection(endpoint)
        return cache.connections[endpoint.key]
