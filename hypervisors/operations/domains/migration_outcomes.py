"""Where a domain is after a migration: what each of the two hosts shows, and what that means.

| source  | target  | means |
|---|---|---|
| absent or off | active  | it moved |
| active  | absent or off | it stayed |
| running | cannot be asked | it stayed |
| off     | absent  | it stayed, or was shut off meanwhile |
| absent  | off     | it moved, shut off |
| active  | active  | one of them is still being tidied up, or the machine runs twice: alarm |
| off     | off     | a definition is left over: alarm, though nothing runs |
| absent  | absent  | alarm |
"""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Hypervisor
from hypervisors.operations.engine.bounded_calls import BackgroundCall
from hypervisors.operations.engine.runs import Run
from hypervisors.states import ACTIVE_DOMAIN_STATES, DomainState

# A state; None where the domain is absent; or why the host cannot be asked.
Observed = DomainState | HypervisorError | None


@dataclass(frozen=True, kw_only=True)
class BothHosts:
    """What was seen on either side."""

    source: Observed
    target: Observed

    @property
    def has_moved(self) -> bool:
        if _active(self.target):
            return self.source is None or _off(self.source)
        return _off(self.target) and self.source is None

    @property
    def has_stayed(self) -> bool:
        if _active(self.source):
            # The source lets it run again only when the target has not taken over; nobody needs to ask there.
            unasked = isinstance(self.target, HypervisorError) and self.source != DomainState.PAUSED
            return self.target is None or _off(self.target) or unasked
        return _off(self.source) and self.target is None

    @property
    def is_decided(self) -> bool:
        return self.has_moved or self.has_stayed

    @property
    def is_active(self) -> bool:
        return _active(self.source) or _active(self.target)

    @property
    def is_paused_at_target(self) -> bool:
        return self.target == DomainState.PAUSED


def look_at_both(run: Run) -> BothHosts:
    """At the same time: one that is slow to answer does not make the other's answer old."""
    target = BackgroundCall(lambda: _look(run, run.target), name="look-at-target")
    source = _look(run, run.source)
    target.join()
    return BothHosts(source=source, target=target.result())


def unreachable_hosts(run: Run, seen: BothHosts) -> list[tuple[str, HypervisorError]]:
    """Those that could not be asked, and why."""
    pairs = ((run.source.name, seen.source), (run.target.name, seen.target))
    return [(name, observed) for name, observed in pairs if isinstance(observed, HypervisorError)]


def explain(run: Run, seen: BothHosts) -> str:
    """What was seen and, where it is not as it should be, what to do."""
    hosts = {"name": run.name, "source": run.source.name, "target": run.target.name}
    if seen.has_stayed:
        unasked = _("%(target)s does not answer.") if isinstance(seen.target, HypervisorError) else ""
        return f"{_stayed_text(seen)} {unasked}".strip() % hosts
    if _active(seen.source) and _active(seen.target):
        if DomainState.PAUSED in (seen.source, seen.target):
            return (
                _(
                    "%(name)s is active on %(source)s and on %(target)s, one of them paused: the move was broken off "
                    "half-way. When you are sure that the other one works, force off the paused one by hand "
                    "(virsh destroy)."
                )
                % hosts
            )
        return (
            _(
                "ALARM: %(name)s runs on %(source)s and on %(target)s at once. Force one of them off at once (virsh "
                "destroy): both write to the same disks. Then check its file systems."
            )
            % hosts
        )
    if seen.source is None and seen.target is None:
        return (
            _(
                "ALARM: neither %(source)s nor %(target)s knows %(name)s any more. Its disks were not touched; "
                "define it again from its last known XML."
            )
            % hosts
        )
    return (
        _("%(name)s is shut off, and defined on both %(source)s and %(target)s. Undefine one of them (virsh undefine).")
        % hosts
    )


def _stayed_text(seen: BothHosts) -> str:
    if seen.source == DomainState.PAUSED:
        return _("It is still on %(source)s, paused.")
    if _active(seen.source):
        return _("It still runs on %(source)s.")
    return _("It is still on %(source)s, shut off.")


def _look(run: Run, hypervisor: Hypervisor) -> Observed:
    def state(connection: Connection) -> DomainState | None:
        return domain_state(connection, run.uuid)

    try:
        return run.ask(state, hypervisor=hypervisor)
    except HypervisorError as error:
        return error


def _active(observed: Observed) -> bool:
    return isinstance(observed, DomainState) and observed in ACTIVE_DOMAIN_STATES


def _off(observed: Observed) -> bool:
    return isinstance(observed, DomainState) and observed not in ACTIVE_DOMAIN_STATES
