"""Go back to a snapshot: what the machine is and holds becomes what it was then, and what came since is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import ConnectionFailed, ConnectionLost, HypervisorError, NotPossible
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.gateway.domains.snapshots import SnapshotFacts, list_snapshots, revert_to_snapshot
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import (
    DomainOperation,
    not_answering,
    saved,
    transient,
    without_snapshots,
)
from hypervisors.operations.domains.snapshotting.existing import asked_snapshot, check_same, created_epoch
from hypervisors.operations.domains.snapshotting.others import (
    devices_then,
    needs_for_former_cards,
    returning_devices,
    returning_volumes,
    takes_back_settings,
    why_no_return,
)
from hypervisors.operations.domains.snapshotting.others_now import why_no_return_now
from hypervisors.operations.domains.snapshotting.reasons import (
    refusal_text,
    supports_external_revert,
    tree_of,
    tree_of_parsed,
    why_no_revert,
)
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run, failed, interrupted, succeeded
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.operations.engine.types import checked_choice
from hypervisors.privileges import Privilege

STATES = {
    "": gettext_lazy("As it was then"),
    "running": gettext_lazy("Running"),
    "paused": gettext_lazy("Paused"),
}
_WAIT_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class RevertSnapshotParameters:
    """`created`: seconds since 1970 of the one that was looked at. `state`: afterwards, "" as it was then.

    `devices`: the host's that it gets back, which who asked may give it.
    """

    name: str
    created: int = 0
    state: str = ""
    force: bool = False
    devices: list[str] = field(default_factory=list)


class RevertSnapshot(DomainOperation):
    kind = "revert_snapshot"
    label = gettext_lazy("Go back to a snapshot")
    icon = "arrow-back-up"
    privilege = Privilege.DOMAIN_SNAPSHOT
    queue = STORAGE_QUEUE
    own_slots_per_hypervisor = 6
    is_dangerous = True
    question = gettext_lazy("Take “%s” back to a snapshot?")
    warning = gettext_lazy("What was written to its disks since then is lost, and what it does now.")
    obstacles = (without_snapshots, transient, saved, not_answering)
    Parameters: ClassVar[type[Any]] = RevertSnapshotParameters

    def is_offered(self, domain: Domain) -> bool:
        """Beside each snapshot."""
        return False

    def check(self, domain: Domain, given: Mapping[str, Any]) -> RevertSnapshotParameters:
        snapshot = asked_snapshot(domain, given)
        reason = why_no_revert(domain, snapshot, tree_of(domain.snapshots.all())) or why_no_return(domain, snapshot)
        if reason:
            raise NotPossible(reason)
        return RevertSnapshotParameters(
            name=snapshot.name,
            created=created_epoch(snapshot),
            state=checked_choice(given.get("state") or "", STATES, what=_("state afterwards")),
            force=bool(given.get("force")),
            devices=returning_devices(domain, snapshot),
        )

    def locks(self, domain: Domain, parameters: RevertSnapshotParameters) -> tuple[str, ...]:
        """The disks that it gets back, too."""
        written = returning_volumes(domain, asked_snapshot(domain, {"name": parameters.name}))
        return (*super().locks(domain, parameters), *dict.fromkeys(lock_key(volume) for volume in written))

    def also_needs(
        self, domain: Domain, parameters: RevertSnapshotParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        """What was the machine's once is the host's again: to get it back is to be given it anew."""
        snapshot = asked_snapshot(domain, {"name": parameters.name})
        is_more = bool(parameters.devices) or takes_back_settings(domain, snapshot)
        needs = [(Privilege.HYPERVISOR_MANAGE, domain.hypervisor)] if is_more else []
        return [*needs, *needs_for_former_cards(domain, snapshot)]

    def run(self, run: Run) -> Result:
        """Not done twice: what happened since a worker died would be lost too."""
        name = run.parameters.name
        if run.adopted or run.resumed:
            is_there = run.ask(lambda connection: _is_current(connection, run, name))
            said = _("It is at “%(name)s” now.") if is_there else _("It is not at “%(name)s”.")
            return interrupted(
                _("The worker that did this was interrupted. %(said)s") % {"said": said % {"name": name}}
            )
        self._look(run)
        try:
            self._revert(run)
        except (NotAnswered, ConnectionLost, ConnectionFailed) as error:
            return interrupted(_("%(error)s Whether it went back is not known.") % {"error": error})
        except HypervisorError as error:
            return failed(str(error))
        if not run.ask(lambda connection: _is_current(connection, run, name)):
            return failed(_("libvirt said that it went back, and it is not at “%(name)s”.") % {"name": name})
        return succeeded(_("It is back at “%(name)s”.") % {"name": name})

    def _look(self, run: Run) -> None:
        """Raises: errors.NotPossible."""
        parameters: RevertSnapshotParameters = run.parameters
        check_same(run, parameters.name, parameters.created)
        found = run.ask(lambda connection: list_snapshots(connection, run.uuid))
        refusal = tree_of_parsed(one.parsed for one in found).why_no_revert(
            parameters.name, external_supported=supports_external_revert(run.source)
        )
        if refusal is not None:
            raise NotPossible(refusal_text(refusal, host=run.source.name))
        _check_nobody_loses(run, found)

    def _revert(self, run: Run) -> None:
        """Raises: errors.HypervisorError."""
        parameters, endpoint, uuid = run.parameters, endpoint_of(run.source), run.uuid
        call = BackgroundCall(
            lambda: revert_to_snapshot(
                cached_connection(endpoint), uuid, parameters.name, state=parameters.state, force=parameters.force
            ),
            name="revert",
        )
        while not call.wait(_WAIT_SECONDS):
            if run.lost.is_set():
                raise NotAnswered(_("Somebody else looks after it."))
        call.result()


def _check_nobody_loses(run: Run, found: Sequence[SnapshotFacts]) -> None:
    """Raises: errors.NotPossible when somebody has, or needs, by now what it would get back."""
    domain, parameters = run.operation.domain, run.parameters
    chosen = next((one for one in found if one.parsed.name == parameters.name), None)
    if domain is None or chosen is None:
        return
    snapshot = domain.snapshots.filter(name=parameters.name).first()
    reason = why_no_return(domain, snapshot) if snapshot is not None else ""
    reason = reason or why_no_return_now(run, domain, chosen, found)
    if reason:
        raise NotPossible(reason)
    if not set(devices_then(domain, chosen.xml)) <= set(parameters.devices):
        raise NotPossible(_("It would get other devices of its host back by now. Look at it, and try again."))


def _is_current(connection: Connection, run: Run, name: str) -> bool:
    return any(one.is_current and one.parsed.name == name for one in list_snapshots(connection, run.uuid))
