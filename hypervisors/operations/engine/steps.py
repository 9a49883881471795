"""Operations of several steps, with undo: each finished step is written down with what it made before the next begins.

A worker that adopts the operation goes on after the last finished step. A step that was under way when the worker died
is looked at first: it is so, it is not so, or it cannot be asked. When a step fails, or somebody cancels, what was done
is undone in reverse; what could not be undone is named in the outcome. Losing a host, the database or the worker in the
middle ends nothing.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import ConnectionFailed, ConnectionLost, HypervisorError, StorageBusy, VmportalError
from hypervisors.operations.engine import records
from hypervisors.operations.engine.bounded_calls import NotAnswered
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Later, Outcome, Result, Run, succeeded
from hypervisors.operations.engine.types import Text
from hypervisors.states import OperationState

logger = logging.getLogger(__name__)

_LOOK_AGAIN_SECONDS = 5.0
# A host that cannot be asked for so long ends the operation; what is known to be done is undone where it can be.
PATIENCE_SECONDS = 600.0

# A step's state in `Operation.steps`.
DOING, DONE, UNDOING, UNDONE, LEFT = "doing", "done", "undoing", "undone", "left"

# What keeps a host from being asked, whether the call did anything is not known then; or what ends by itself.
UNASKABLE = (ConnectionLost, ConnectionFailed, NotAnswered, StorageBusy)

Made = Mapping[str, Any]


class Step:
    """One step of one operation, made anew for each run. Everything it needs to know later goes through JSON."""

    # Differs from those of the operation's other steps.
    name: str = ""
    # "Create the volume", as the list of steps shows it.
    label: Text = ""

    def intend(self, run: Run) -> Made:
        """What it is about to make, looked up before it begins: by this alone it is found again and undone.

        May raise errors.VmportalError: the step is not begun, and the operation fails.
        """
        return {}

    def do(self, run: Run, intent: Made) -> Made:
        """Do it; what it made beyond the intent.

        Raises: errors.VmportalError when it was not done; one of UNASKABLE when that is not known.
        """
        raise NotImplementedError

    def is_done(self, run: Run, intent: Made) -> bool:
        """Whether what was intended is so now. Raises: one of UNASKABLE when that cannot be asked."""
        raise NotImplementedError

    def found(self, run: Run, intent: Made) -> Made:
        """What `do` would have told, of what `is_done` has just found to be so."""
        return {}

    def has_made(self, intent: Made, made: Made) -> bool:
        """Whether there was anything to undo; that nothing "is undone" is not told."""
        return True

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Take it back; does nothing when it was taken back already. Raises: errors.VmportalError."""

    def leftover(self, intent: Made, made: Made) -> str:
        """What stays behind when it cannot be undone, for people; "" when that is nothing."""
        return ""


def run_steps(run: Run, steps: Sequence[Step], *, done: str) -> Result:
    """Go on with the operation's steps from wherever its row says it is. `done` is the outcome when all are."""
    return _StepRunner(run, steps).go_on(done)


class _StepRunner:
    def __init__(self, run: Run, steps: Sequence[Step]) -> None:
        self._run = run
        self._steps = {step.name: step for step in steps}
        self._entries: list[dict[str, Any]] = [dict(entry) for entry in run.operation.steps]

    def go_on(self, done: str) -> Result:
        if self._run.operation.ending is not None:
            return self._undo_all()
        for step in self._steps.values():
            entry = self._entry(step)
            if entry is not None and entry["state"] == DONE:
                continue
            if self._run.cancel_requested.is_set():
                return self._turn_back(OperationState.CANCELLED, _("Cancelled."))
            try:
                later = self._go_through(step, entry)
            except VmportalError as error:
                return self._turn_back(OperationState.FAILED, str(error))
            if later is not None:
                return later
        return succeeded(done)

    def _go_through(self, step: Step, entry: dict[str, Any] | None) -> Later | None:
        """Do the step, or find out what became of it. Later: it cannot be asked now."""
        try:
            if entry is None:
                entry = self._begin(step)
            elif step.is_done(self._run, entry["intent"]):
                entry["made"] = dict(step.found(self._run, entry["intent"]))
                self._note(entry, DONE)
                return None
            entry["made"] = dict(step.do(self._run, entry["intent"]))
        except UNASKABLE as error:
            return self._wait(error)
        except VmportalError:
            # It said itself that it was not done: there is nothing of it to undo.
            if entry is not None:
                self._entries.remove(entry)
            raise
        self._note(entry, DONE)
        self._forget_waiting()
        return None

    def _begin(self, step: Step) -> dict[str, Any]:
        entry = {
            "name": step.name,
            "label": str(step.label),
            "state": DOING,
            "intent": dict(step.intend(self._run)),
            "made": {},
        }
        self._entries.append(entry)
        self._write()
        return entry

    def _wait(self, error: VmportalError) -> Later:
        """Raises: errors.HypervisorError when it was waited for long enough."""
        since = float(self._run.operation.progress.get("waits_since", time.time()))
        if time.time() - since > PATIENCE_SECONDS:
            raise HypervisorError(
                _("Given up after %(minutes)d minutes: %(error)s") % {"minutes": PATIENCE_SECONDS // 60, "error": error}
            )
        return Later(seconds=_LOOK_AGAIN_SECONDS, progress={"waits_since": since, NOTE: str(error)})

    def _forget_waiting(self) -> None:
        self._run.operation.progress = {
            name: value for name, value in self._run.operation.progress.items() if name not in ("waits_since", NOTE)
        }

    def _turn_back(self, state: OperationState, text: str) -> Result:
        self._write(ending={"state": str(state), "text": text})
        return self._undo_all()

    def _undo_all(self) -> Result:
        """In reverse; a step that cannot be undone does not keep the others from being."""
        for entry in reversed(self._entries):
            if entry["state"] in (UNDONE, LEFT):
                continue
            step = self._steps.get(entry["name"])
            later = self._undo(step, entry)
            if later is not None:
                return later
        return self._ended()

    def _undo(self, step: Step | None, entry: dict[str, Any]) -> Later | None:
        if step is None:
            self._note(entry, LEFT)
            return None
        self._note(entry, UNDOING)
        try:
            step.undo(self._run, entry["intent"], entry["made"])
        except UNASKABLE as error:
            try:
                return self._wait(error)
            except HypervisorError as given_up:
                self._leave(entry, step, str(given_up))
                return None
        except VmportalError as error:
            self._leave(entry, step, str(error))
            return None
        self._note(entry, UNDONE)
        self._forget_waiting()
        return None

    def _leave(self, entry: dict[str, Any], step: Step, why: str) -> None:
        leftover = step.leftover(entry["intent"], entry["made"])
        entry["leftover"] = f"{leftover} {why}".strip() if leftover else ""
        self._note(entry, LEFT)

    def _ended(self) -> Outcome:
        ending = self._run.operation.ending or {}
        left = [entry["leftover"] for entry in self._entries if entry["state"] == LEFT and entry.get("leftover")]
        undone = any(entry["state"] == UNDONE and self._has_made(entry) for entry in self._entries)
        parts = [str(ending.get("text", ""))]
        if left:
            parts.append(_("What could not be undone: %(left)s") % {"left": " ".join(left)})
        elif undone:
            parts.append(_("What had been done is undone."))
        return Outcome(state=OperationState(ending["state"]), text=" ".join(part for part in parts if part))

    def _has_made(self, entry: dict[str, Any]) -> bool:
        step = self._steps.get(entry["name"])
        return step is None or step.has_made(entry["intent"], entry["made"])

    def _entry(self, step: Step) -> dict[str, Any] | None:
        return next((entry for entry in self._entries if entry["name"] == step.name), None)

    def _note(self, entry: dict[str, Any], state: str) -> None:
        entry["state"] = state
        self._write()

    def _write(self, *, ending: dict[str, str] | None = None) -> None:
        """Raises: records.RecordsAway, records.RowLost."""
        records.note_steps(self._run.operation, self._entries, ending or self._run.operation.ending)
