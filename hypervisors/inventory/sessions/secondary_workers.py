"""Threads that ask one hypervisor what may block, on a connection of their own, while the follower is connected."""

from collections.abc import Hashable

from hypervisors import errors
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.inventory.sessions.connection_workers import ConnectionWorker
from hypervisors.inventory.sessions.states import SessionState
from hypervisors.states import HypervisorStatus


class SecondaryWorker(ConnectionWorker):
    """A subclass says in `do` what each job is."""

    def __init__(self, endpoint: Endpoint, *, label: str, state: SessionState) -> None:
        super().__init__(endpoint, label=label)
        self._state = state

    def may_connect(self) -> bool:
        return self._state.is_online

    def open(self) -> Connection:
        if self.endpoint.uri.transport != "test":
            return super().open()
        # Each connection to the test driver is a world of its own: only the follower's has the domains.
        if self._state.connection is None:
            raise errors.ConnectionLost("The follower is not connected.")
        return self._state.connection

    def close(self, connection: Connection) -> None:
        if connection is not self._state.connection:
            super().close(connection)

    def perform(self, connection: Connection, job: Hashable) -> None:
        if self._state.status == HypervisorStatus.OFFLINE:
            raise errors.ConnectionLost("The follower has lost its connection.")
        self.do(connection, job)

    def do(self, connection: Connection, job: Hashable) -> None:
        """May raise errors.HypervisorError."""
        raise NotImplementedError
