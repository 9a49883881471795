"""What is known of one hypervisor's connection, shared by the threads that hold it and the watchdog."""

import threading
import time
from collections.abc import Callable
from uuid import UUID

from hypervisors.gateway.connections import Connection
from hypervisors.inventory.observations import Observation, StatusSeen
from hypervisors.states import HypervisorStatus

Post = Callable[[Observation], None]
# By which UUID vmportal knows what a hypervisor calls so: see inventory/domains/identities.py.
Known = Callable[[int, UUID], UUID]


def own_uuid(hypervisor_id: int, uuid: UUID) -> UUID:
    return uuid


class SessionState:
    """Status, last answer and latest load. Status changes are told to the writer as they happen."""

    def __init__(
        self,
        hypervisor_id: int,
        *,
        post: Post,
        is_ours: Callable[[], bool] = lambda: True,
        known: Known = own_uuid,
    ) -> None:
        self.hypervisor_id = hypervisor_id
        self._known = known
        # False after a freeze: another watcher may have the hypervisor's pool by now.
        self.is_ours = is_ours
        # Epoch seconds of the last answer.
        self.seen_at: float | None = None
        self.cpu_percent: float | None = None
        self.memory_used_kib: int | None = None
        # Known once the hypervisor's capabilities were read.
        self.host_uuid: UUID | None = None
        # The follower's, while it stands.
        self.connection: Connection | None = None
        self._post = post
        self._lock = threading.Lock()
        self._status = HypervisorStatus.CONNECTING
        self._reason = ""
        self._stopped = False

    @property
    def status(self) -> HypervisorStatus:
        return self._status

    @property
    def reason(self) -> str:
        return self._reason

    @property
    def is_online(self) -> bool:
        return self._status == HypervisorStatus.ONLINE

    def known_uuid(self, libvirt_uuid: UUID) -> UUID:
        """The domain's `uuid`, of libvirt's."""
        return self._known(self.hypervisor_id, libvirt_uuid)

    def post(self, observation: Observation) -> None:
        """Tell the writer, unless this session is over."""
        if not self._stopped:
            self._post(observation)

    def set_status(self, status: HypervisorStatus, reason: str = "") -> None:
        with self._lock:
            if (status, reason) == (self._status, self._reason):
                return
            self._status, self._reason = status, reason
        self.post_status()

    def post_status(self) -> None:
        self.post(StatusSeen(hypervisor_id=self.hypervisor_id, status=self._status, reason=self._reason))

    def note_answer(self) -> None:
        """The hypervisor answered just now."""
        self.seen_at = time.time()

    def stop(self) -> None:
        self._stopped = True
