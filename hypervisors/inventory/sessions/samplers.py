"""The thread that samples one hypervisor: usage every few seconds; the host and its networks now and then.

It has a connection of its own, because what it asks may block: statistics on a QEMU that hangs, the capabilities of a
host that has never been asked. A watchdog replaces it then; the follower is not held up.
"""

import logging
import random
from collections.abc import Callable, Hashable, Iterable
from uuid import UUID

import redis
from django.conf import settings

from hypervisors import errors
from hypervisors.broadcast import publish_usage
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.statistics import (
    DomainStatistics,
    read_domain_statistics,
    read_memory_balloon,
    request_memory_statistics,
)
from hypervisors.gateway.endpoints import Endpoint
from hypervisors.gateway.events import HypervisorEvent
from hypervisors.gateway.hypervisors.capabilities import read_capabilities
from hypervisors.gateway.hypervisors.hosts import read_host, read_host_load
from hypervisors.gateway.networks.networks import list_networks
from hypervisors.inventory.hypervisors.listings import READERS
from hypervisors.inventory.observations import (
    CapabilitiesRead,
    DomainsAnswering,
    HostRead,
    NetworksListed,
    ThingsListed,
)
from hypervisors.inventory.sessions.host_claims import HostClaims
from hypervisors.inventory.sessions.memory_reports import MemoryReports
from hypervisors.inventory.sessions.secondary_workers import SecondaryWorker
from hypervisors.inventory.sessions.states import SessionState
from hypervisors.inventory.sessions.usage_meters import AnswerJudge, UsageMeter, monotonic_and_epoch
from hypervisors.models.usage import UsageSample, domain_key, hypervisor_key, record_usage

logger = logging.getLogger(__name__)

_NETWORKS_SECONDS = 60.0
# What others may ask to be looked at: some changes of these come without an event.
ASKED_FOR = frozenset({"networks", *READERS})
_LISTINGS_SECONDS = 300.0
# What an event on it has listed anew, and after how long. Each start and stop of a machine adds or takes a device per
# card, and a host may have two thousand. Networks count the cards that are plugged in.
_LISTED_AT = {
    "network": (("networks",), 0.0),
    "secret": (("secret",), 0.0),
    "node_device": (("node_device", "networks"), 3.0),
}
# Bridges come and go without an event.
_HOST_SECONDS = 60.0
# They change with an upgrade of QEMU, mostly together with libvirtd's restart, which is a new connection.
_CAPABILITIES_SECONDS = 3600.0
# The first reading of capabilities has libvirt start and ask each QEMU that is installed.
_HOST_HUNG_SECONDS = 120.0
# A sweep may take this share of the period; slower ones come less often.
_MAX_SHARE = 0.2


class Sampler(SecondaryWorker):
    """Takes samples while the follower is connected."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        state: SessionState,
        answers: AnswerJudge,
        memory_reports: MemoryReports,
        claims: HostClaims,
        on_host_known: Callable[[], None],
    ) -> None:
        super().__init__(endpoint, label=f"sampler of {endpoint.key}", state=state)
        self._claims = claims
        self._on_host_known = on_host_known
        self._answers = answers
        self._memory_reports = memory_reports
        self._meter = UsageMeter()
        self._period_seconds = float(settings.USAGE_PERIOD_SECONDS)

    def hung_seconds(self) -> float:
        """After how long a call counts as hung."""
        is_slow = self.present_job in ("host", "capabilities", *READERS)
        return _HOST_HUNG_SECONDS if is_slow else 3 * self._period_seconds

    def on_event(self, event: HypervisorEvent) -> None:
        """Something of the host's own changed, and is listed anew. Called in libvirt's event thread."""
        jobs, settle_seconds = _LISTED_AT[event.subject]
        for job in jobs:
            self.agenda.add(job, after_seconds=settle_seconds)

    def on_connected(self, connection: Connection) -> None:
        for job in ("host", "networks", "capabilities", *READERS):
            self.agenda.add(job)
        # Hundreds of hypervisors are not all asked in the same moment.
        self.agenda.add("usage", after_seconds=random.uniform(0, 1))  # noqa: S311 - spread, not secrecy

    def do(self, connection: Connection, job: Hashable) -> None:
        if job == "usage":
            self._sample(connection)
        elif job == "host":
            self.agenda.add("host", after_seconds=_HOST_SECONDS)
            self._read_host(connection)
        elif job == "capabilities":
            self._read_capabilities(connection)
        elif job == "networks":
            self.agenda.add("networks", after_seconds=_NETWORKS_SECONDS)
            networks = tuple(list_networks(connection))
            self._state.post(NetworksListed(hypervisor_id=self._state.hypervisor_id, networks=networks))

        elif job in READERS:
            self.agenda.add(job, after_seconds=_LISTINGS_SECONDS)
            things = READERS[str(job)](connection)
            self._state.post(ThingsListed(hypervisor_id=self._state.hypervisor_id, what=str(job), things=things))

    def _read_host(self, connection: Connection) -> None:
        facts = read_host(connection)
        self._state.host_uuid = facts.host_uuid
        # The follower finds out whether the machine is another row's, and does not come back then.
        self._on_host_known()
        if self._claims.claim(facts.host_uuid, self._state.hypervisor_id) is not None:
            raise errors.ConnectionLost("Another hypervisor's row is this machine.")
        self._state.post(HostRead(hypervisor_id=self._state.hypervisor_id, facts=facts))

    def _read_capabilities(self, connection: Connection) -> None:
        self.agenda.add("capabilities", after_seconds=_CAPABILITIES_SECONDS)
        facts = read_capabilities(connection)
        self._state.post(CapabilitiesRead(hypervisor_id=self._state.hypervisor_id, facts=facts))

    def _sample(self, connection: Connection) -> None:
        started, epoch = monotonic_and_epoch()
        try:
            readings = self._memory_reports.believed(read_domain_statistics(connection), now=started)
            load = read_host_load(connection)
            finished, _epoch = monotonic_and_epoch()
        finally:
            self.agenda.add("usage", after_seconds=self._period_seconds)
        self._period_seconds = max(float(settings.USAGE_PERIOD_SECONDS), (finished - started) / _MAX_SHARE)
        domains = self._meter.measure(readings, epoch=epoch, now=started)
        host = self._meter.measure_host(load, domains.values(), epoch=epoch)
        if changes := self._answers.judge(readings):
            self._state.post(DomainsAnswering(hypervisor_id=self._state.hypervisor_id, answering=changes))
        if host is not None:
            self._state.cpu_percent = round(host.cpu_percent, 1)
            self._state.memory_used_kib = None if host.memory_kib is None else int(host.memory_kib)
        if not self.is_stopped and self._state.is_ours():
            self._tell(domains, host, epoch=epoch)
            self._ask_for_memory(connection, readings, now=started)

    def _ask_for_memory(self, connection: Connection, readings: Iterable[DomainStatistics], *, now: float) -> None:
        """Have guests that could tell what they use do so: once each, and never in their definition."""
        for uuid in self._memory_reports.to_ask(readings, now=now):
            self.touch()
            try:
                balloon = read_memory_balloon(connection, uuid)
                if balloon.can_tell and not balloon.period_seconds:
                    request_memory_statistics(connection, uuid, period_seconds=int(settings.USAGE_PERIOD_SECONDS))
            except (errors.ConnectionLost, errors.ConnectionFailed):
                raise
            except (errors.HypervisorError, ValueError) as error:
                logger.info("%s is not asked for its memory again: %s", uuid, error)

    def _tell(self, domains: dict[UUID, UsageSample], host: UsageSample | None, *, epoch: int) -> None:
        hypervisor_id = self._state.hypervisor_id
        domains = {self._state.known_uuid(uuid): sample for uuid, sample in domains.items()}
        samples = {domain_key(uuid): sample for uuid, sample in domains.items()}
        if host is not None:
            samples[hypervisor_key(hypervisor_id)] = host
        if not samples:
            return
        try:
            record_usage(samples, ranking=str(hypervisor_id))
        except redis.RedisError as error:
            logger.warning("Usage samples were not recorded: %s", error)
        publish_usage(
            hypervisor_id,
            sampled_at=epoch,
            host=[] if host is None else _rounded(host),
            domains={str(uuid): _rounded(sample) for uuid, sample in domains.items()},
        )


def _rounded(sample: UsageSample) -> list[float | None]:
    return [None if value is None else round(value, 1) for value in sample.values()]
