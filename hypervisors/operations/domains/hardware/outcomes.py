"""What is said of a change of hardware when it is done: from when on it holds, and what libvirt left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.operations.domains.hardware.looking import looked, sides_looked
from hypervisors.operations.engine.runs import Outcome, Result, Run, succeeded
from hypervisors.operations.engine.types import Text
from hypervisors.states import OperationState

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Words:
    """The sentences of one kind: now and from then on; in what runs alone; from the next start on; while off."""

    both: Text
    live: Text
    next_start: Text
    off: Text


def with_words(run: Run, result: Result, words: Words, *, lost: Sequence[str] = ()) -> Result:
    """The result with what has become true, where it is a success."""
    if not isinstance(result, Outcome) or result.state != OperationState.SUCCEEDED:
        return result
    return succeeded(" ".join([_sentence(run, words), *_lost(lost)]))


def _sentence(run: Run, words: Words) -> str:
    sides = sides_looked(run)
    if sides.live:
        return str(words.both if sides.config else words.live)
    return str(words.next_start if looked(run).get("is_active") else words.off)


def _lost(lost: Sequence[str]) -> list[str]:
    if not lost:
        return []
    shown = ", ".join(lost[:_SHOWN]) + (", …" if len(lost) > _SHOWN else "")
    return [_("libvirt left out what it does not know: %(what)s.") % {"what": shown}]
