"""A thread that holds one connection to one hypervisor, does the jobs on its agenda, and reconnects when it breaks."""

import logging
import random
import threading
import time
from collections.abc import Hashable

from hypervisors import errors
from hypervisors.gateway.connections import Connection, open_connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.inventory.sessions.agenda import Agenda
from hypervisors.inventory.sessions.concurrency_limits import OPENING

logger = logging.getLogger(__name__)

# Longest pause between attempts: an operator who repaired a host does not wait longer for it to come back, and a
# hundred dead hosts cost ten short attempts a second.
_MAX_PAUSE_SECONDS = 10.0


class ConnectionWorker:
    """Base of the threads below a session; a subclass says what to do when connected and for each job."""

    # Threads of one hypervisor that hang for ever and are left behind, at most, of each kind.
    most_left_behind = 3

    def __init__(self, endpoint: Endpoint, *, label: str) -> None:
        self.endpoint = endpoint
        self.label = label
        self.agenda = Agenda()
        # When the libvirt call that runs now began; None between calls. The watchdog reads it.
        self.busy_since: float | None = None
        self.present_job: Hashable | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=label, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell it to end; it does when its present call returns. Nothing that it says afterwards counts."""
        self._stopping.set()
        self.agenda.add("stop")

    @property
    def is_stopped(self) -> bool:
        return self._stopping.is_set()

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def blocked_seconds(self) -> float:
        """For how long the present call has not returned."""
        since = self.busy_since
        return 0.0 if since is None else time.monotonic() - since

    def touch(self) -> None:
        """The present job makes progress."""
        self.busy_since = time.monotonic()

    def open(self) -> Connection:
        """Raises: errors.ConnectionFailed."""
        with OPENING.held():
            return open_connection(self.endpoint)

    def close(self, connection: Connection) -> None:
        connection.close()

    def rest(self) -> None:
        """The present job waits for something on our side."""
        self.busy_since = None

    # What a subclass fills in. Each may raise errors.HypervisorError.
    def on_connected(self, connection: Connection) -> None:
        raise NotImplementedError

    def perform(self, connection: Connection, job: Hashable) -> None:
        raise NotImplementedError

    def on_failed(self, error: errors.HypervisorError) -> None:
        """No connection could be opened, or it broke."""

    def may_connect(self) -> bool:
        """Whether an attempt makes sense now."""
        return True

    def after_job(self) -> None:
        """A call was answered."""

    def _run(self) -> None:
        failures = 0
        while not self.is_stopped:
            started = time.monotonic()
            if self.may_connect():
                failures = 0 if self._connect_and_serve() else failures + 1
            pause = min(_MAX_PAUSE_SECONDS, 2.0 ** max(0, failures - 1)) * random.uniform(0.8, 1.2)  # noqa: S311
            # An attempt that itself took long has already been a pause.
            self._stopping.wait(max(1.0, pause - (time.monotonic() - started)) if failures else 0.5)

    def _connect_and_serve(self) -> bool:
        """True when there was a connection that worked for a while."""
        connection: Connection | None = None
        try:
            connection = self.open()
            self._serve(connection)
        except errors.HypervisorError as error:
            self._report(error)
            return connection is not None and not isinstance(error, errors.ConnectionFailed)
        except Exception as error:
            logger.exception("%s failed in a way that nobody foresaw; it starts over.", self.label)
            self._report(errors.ConnectionLost(f"The inventory of this hypervisor failed: {error!r}."))
            return False
        finally:
            self.busy_since = None
            if connection is not None:
                self.close(connection)
        return True

    def _report(self, error: errors.HypervisorError) -> None:
        if not self.is_stopped:
            self.on_failed(error)

    def _serve(self, connection: Connection) -> None:
        self.agenda.clear()
        self.touch()
        self.on_connected(connection)
        self.busy_since = None
        while not self.is_stopped:
            job = self.agenda.next(timeout_seconds=5)
            if job is None or self.is_stopped:
                continue
            if job == "lost":
                raise errors.ConnectionLost("The connection broke.")
            self.touch()
            self.present_job = job
            self._perform(connection, job)
            self.busy_since = None
            if not self.is_stopped:
                self.after_job()

    def _perform(self, connection: Connection, job: Hashable) -> None:
        try:
            self.perform(connection, job)
        except errors.HypervisorError as error:
            if isinstance(error, errors.ConnectionLost | errors.ConnectionFailed) or not connection.is_alive():
                raise
            # One object that cannot be read must not cost us the others.
            logger.warning("%s: %s", self.label, error)
