"""Which other hypervisors have a domain, and the alarm for one that runs on several of them at once."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from uuid import UUID

from django.utils import timezone

from hypervisors.inventory.domains.copies import Copy, load_copies
from hypervisors.inventory.domains.observed import RUNNING_STATES, ObservedDomain, is_passing

# So long two must be seen to run at once: while a migration switches over, what is known of one is a moment old.
_DOUBLE_RUN_SECONDS = 2.0


class KnownCopies:
    """Copies by domain and hypervisor. `observed` and `online` are the mirror's own, and read only."""

    def __init__(self, observed: Mapping[UUID, Mapping[int, ObservedDomain]], online: Collection[int]) -> None:
        self._observed = observed
        self._online = online
        self._copies: dict[UUID, dict[int, Copy]] = {}
        # Since when (time.monotonic()) domains seem to run on several hypervisors, while that is no alarm yet.
        self._doubled_at: dict[UUID, float] = {}
        # Domains whose copies are not saved as they are.
        self.changed: set[UUID] = set()

    def load(self, hypervisor_ids: Collection[int], known: Collection[UUID]) -> dict[UUID, dict[int, Copy]]:
        """Take the rows of known domains over, and return them."""
        found = {uuid: copies for uuid, copies in load_copies(hypervisor_ids).items() if uuid in known}
        self._copies.update(found)
        return found

    def of(self, uuid: UUID) -> Mapping[int, Copy]:
        return self._copies.get(uuid, {})

    def alarming(self, uuid: UUID) -> list[int]:
        """The hypervisors where it runs, too, beside where it belongs."""
        return sorted(pk for pk, copy in self.of(uuid).items() if copy.runs_too_since is not None)

    def forget(self, uuid: UUID) -> None:
        self._copies.pop(uuid, None)
        self._doubled_at.pop(uuid, None)
        self.changed.discard(uuid)

    def lose(self, uuid: UUID) -> None:
        """A hypervisor has it no more: what was about to be an alarm is looked at anew."""
        self._doubled_at.pop(uuid, None)

    def note(self, uuid: UUID, owner: int | None) -> None:
        """Which other hypervisors have it, and whether it seems to run on one of them, too."""
        before = self._copies.get(uuid, {})
        copies = {
            hypervisor_id: Copy(
                name=observation.name,
                state=observation.state,
                runs_too_since=before[hypervisor_id].runs_too_since if hypervisor_id in before else None,
            )
            for hypervisor_id, observation in self._observed.get(uuid, {}).items()
            if owner not in (None, hypervisor_id) and not is_passing(observation)
        }
        if not copies and not before:
            return
        self._copies[uuid] = copies
        running = self._runs_too(uuid)
        for hypervisor_id, copy in copies.items():
            if copy.runs_too_since is not None and hypervisor_id not in running:
                copies[hypervisor_id] = replace(copy, runs_too_since=None)
        if any(copies[hypervisor_id].runs_too_since is None for hypervisor_id in running):
            self._doubled_at.setdefault(uuid, time.monotonic())
        else:
            self._doubled_at.pop(uuid, None)
        if copies != before:
            self.changed.add(uuid)
        if not copies:
            del self._copies[uuid]

    def due(self) -> list[UUID]:
        """Those that have been seen to run on several hypervisors for long enough to be an alarm."""
        due = time.monotonic() - _DOUBLE_RUN_SECONDS
        return [uuid for uuid, at in self._doubled_at.items() if at <= due]

    def wait_again(self, uuid: UUID) -> None:
        self._doubled_at[uuid] = time.monotonic()

    def alarm(self, uuid: UUID) -> None:
        """Note that it runs on several hypervisors, and since now if that is new."""
        del self._doubled_at[uuid]
        now = timezone.now()
        for hypervisor_id in self._runs_too(uuid):
            copy = self._copies[uuid][hypervisor_id]
            self._copies[uuid][hypervisor_id] = replace(copy, runs_too_since=copy.runs_too_since or now)
            self.changed.add(uuid)

    def _runs_too(self, uuid: UUID) -> set[int]:
        """Copies that run, while the domain runs where it belongs. What a migration takes away is none of them."""
        copies = self.of(uuid)
        running = {
            hypervisor_id
            for hypervisor_id, observation in self._observed.get(uuid, {}).items()
            if observation.state in RUNNING_STATES
            and not observation.leaving
            # What ran on a host before it was cut off need not run any more.
            and (hypervisor_id in self._online or (hypervisor_id in copies and copies[hypervisor_id].runs_too_since))
        }
        return running & copies.keys() if len(running) > 1 else set()
