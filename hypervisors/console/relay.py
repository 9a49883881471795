"""Carry bytes both ways between a browser's websocket and a VNC server, with backpressure on both sides."""

import select
import socket
import ssl
import time

from hypervisors.console.closing import GOING_AWAY, NORMAL, ConsoleClosed
from hypervisors.console.sessions import Wakeup
from hypervisors.console.view_only import ViewOnlyFilter
from hypervisors.console.websockets import ConsoleWebSocket

PING_SECONDS = 25
# A browser answers pings; one that is silent for so long is gone.
_SILENT_SECONDS = 3 * PING_SECONDS
_READ_BYTES = 1 << 18
# Read on from the browser only while less than this waits for the VNC server.
_MAX_WAITING_BYTES = 1 << 18


class TargetClosed(Exception):
    """The VNC server ended the connection."""


class Relay:
    """One console's loop, run by its own thread until somebody closes."""

    def __init__(
        self,
        *,
        browser: ConsoleWebSocket,
        target: socket.socket,
        wakeup: Wakeup,
        view_only: bool = False,
        already_received: bytes = b"",
    ) -> None:
        self._browser = browser
        self._target = target
        self._wakeup = wakeup
        self._is_tls = isinstance(target, ssl.SSLSocket)
        self._filter = ViewOnlyFilter() if view_only else None
        self._to_target = self._allowed(already_received)
        self._ping_at = time.monotonic() + PING_SECONDS

    def run(self) -> None:
        """Raises: ConsoleClosed, TargetClosed, OSError when the browser vanished; it never returns."""
        self._browser.setblocking(False)
        self._target.setblocking(False)
        browser, target = _Watched(self._browser.fileno()), _Watched(self._target.fileno())
        poller = select.poll()
        poller.register(self._wakeup.fileno(), select.POLLIN)
        if self._to_target:
            self._write_target()
        while True:
            browser.watch(poller, self._browser_interest())
            target.watch(poller, self._target_interest())
            happened = dict(poller.poll(self._patience_ms()))
            self._wakeup.check()
            self._keep_alive()
            if browser.file in happened:
                self._serve_browser(happened[browser.file])
            if target.file in happened:
                self._serve_target(happened[target.file])
            if self._is_tls and self._has_decrypted():
                self._read_target()

    def _serve_browser(self, events: int) -> None:
        if events & select.POLLOUT:
            self._browser.unclog()
        if events & ~select.POLLOUT:
            self._read_browser()

    def _serve_target(self, events: int) -> None:
        if events & select.POLLOUT:
            self._write_target()
        if events & ~select.POLLOUT:
            self._read_target()

    def _browser_interest(self) -> int:
        reads = select.POLLIN if len(self._to_target) < _MAX_WAITING_BYTES else 0
        return reads | (select.POLLOUT if self._browser.is_clogged else 0)

    def _target_interest(self) -> int:
        reads = 0 if self._browser.is_clogged else select.POLLIN
        return reads | (select.POLLOUT if self._to_target else 0)

    def _patience_ms(self) -> float:
        if self._is_tls and self._has_decrypted():
            return 0
        return max(0.0, self._ping_at - time.monotonic()) * 1000

    def _has_decrypted(self) -> bool:
        """TLS has decrypted more than was read: the socket itself will not tell."""
        pending = self._target.pending() if isinstance(self._target, ssl.SSLSocket) else 0
        return pending > 0 and not self._browser.is_clogged

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now - self._browser.heard_at > _SILENT_SECONDS:
            raise ConsoleClosed(GOING_AWAY, "The browser does not answer.")
        if now >= self._ping_at:
            self._ping_at = now + PING_SECONDS
            self._browser.send_ping()

    def _read_browser(self) -> None:
        messages = self._browser.receive_data()
        if messages is None:
            raise ConsoleClosed(NORMAL)
        if messages:
            self._to_target += self._allowed(messages[0] if len(messages) == 1 else b"".join(messages))
        if self._to_target:
            self._write_target()

    def _allowed(self, data: bytes) -> bytes:
        return data if self._filter is None else self._filter.feed(data)

    def _write_target(self) -> None:
        try:
            sent = self._target.send(self._to_target)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return
        except OSError as error:
            raise TargetClosed from error
        self._to_target = self._to_target[sent:]

    def _read_target(self) -> None:
        if self._browser.is_clogged:
            return
        try:
            data = self._target.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise TargetClosed from error
        if not data:
            raise TargetClosed
        self._browser.send_data(data)


class _Watched:
    """One file of the poller, which hears of it only when what we want to know changes."""

    def __init__(self, file: int) -> None:
        self.file = file
        self._interest = 0

    def watch(self, poller: select.poll, interest: int) -> None:
        """A hang-up is reported without being asked for, and would spin us while we may not read: then do not look."""
        if interest == self._interest:
            return
        if interest:
            poller.register(self.file, interest)
        else:
            poller.unregister(self.file)
        self._interest = interest
