"""Prove whether storage pools of several hosts that look like the same storage are: each host writes a probe, an empty
volume, and looks for those of the others.

Where a host may not write, a file of both that was changed at the same nanosecond proves it too; storage on the network
is the same from wherever its source is reached. What is found stands in the rows of the storage pools.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.storage.sharing import SharingView, read_sharing, remove_probe, write_probe
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.libvirtxml.storage_pools import PROBE_PREFIX
from hypervisors.models import SharedStorage, StoragePool
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.storage.asked_hosts import ask_each
from hypervisors.operations.storage.sharing_proofs import (
    Finding,
    conclude,
    is_same_by_source,
    note_findings,
    outcome_text,
)
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation

_ANSWER_SECONDS = 30.0
# A host may have what it saw a moment ago in its cache.
_LOOKS, _BETWEEN_LOOKS_SECONDS = 3, 1.0


class ProveSharing(StoragePoolOperation):
    kind = "prove_sharing"
    label = gettext_lazy("Prove that storage is shared")
    icon = "arrows-exchange"
    queue = STORAGE_QUEUE

    def locks(self, storage_pool: StoragePool, parameters: Any) -> tuple[str, ...]:
        # Not the storage pool: what people do with it meanwhile is not in the way.
        return (f"sharing:{storage_pool.shared_storage_id}",)

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        if storage_pool.shared_storage_id is None:
            return _("No other host of the pool has a storage pool that looks like this one.")
        if sum(1 for _one in reachable_sharers(storage_pool.shared_storage_id)) < 2:
            return _("It takes two hosts that are online and have it started.")
        return ""

    def run(self, run: Run) -> Result:
        storage_pool = self.row_of(run)
        if storage_pool is None or storage_pool.shared_storage is None:
            return failed(_("The storage pool is shared with no other host any more."))
        sharers = list(reachable_sharers(storage_pool.shared_storage.pk))
        look = _Look(storage_pool.shared_storage, sharers)
        result = run_steps(run, [_Write(sharers), look, _Remove(sharers)], done="")
        return look.outcome(run, result)


def reachable_sharers(shared_storage_id: int) -> "list[StoragePool]":
    """Its storage pools that can be asked now."""
    rows = StoragePool.objects.present().filter(shared_storage=shared_storage_id, active=True)
    found = rows.select_related("hypervisor__hypervisor_pool").order_by("hypervisor__name")
    return [row for row in found if not why_unreachable(row.hypervisor)]


class _Write(Step):
    name = "write"
    label = gettext_lazy("Write a probe through each host")

    def __init__(self, sharers: list[StoragePool]) -> None:
        self._sharers = sharers

    def intend(self, run: Run) -> Made:
        writers = [one for one in self._sharers if _holds_files(one)]
        token = run.operation.pk
        return {"probes": {str(one.pk): f"{PROBE_PREFIX}{token}-{one.pk}" for one in writers}}

    def do(self, run: Run, intent: Made) -> Made:
        writers = _writers(self._sharers, intent)
        answers = ask_each(writers, lambda one: _writing(one, intent["probes"][str(one.pk)]), seconds=_ANSWER_SECONDS)
        return {
            "refused": {str(pk): str(answer) for pk, answer in answers.items() if isinstance(answer, HypervisorError)}
        }

    def is_done(self, run: Run, intent: Made) -> bool:
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        _remove(self._sharers, intent)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("Empty volumes called “%(prefix)s…” stay in the storage pool.") % {"prefix": PROBE_PREFIX}


class _Look(Step):
    name = "look"
    label = gettext_lazy("Look for it through the others")

    def __init__(self, shared: SharedStorage, sharers: list[StoragePool]) -> None:
        self._shared = shared
        self._sharers = sharers

    def do(self, run: Run, intent: Made) -> Made:
        written = _entry(run, _Write.name)
        refused: Mapping[str, str] = written["made"].get("refused", {})
        probes = {int(pk): name for pk, name in written["intent"]["probes"].items() if pk not in refused}
        views: dict[int, SharingView | HypervisorError] = {}
        findings: dict[int, Finding] = {}
        for look in range(_LOOKS):
            if look:
                run.cancel_requested.wait(_BETWEEN_LOOKS_SECONDS)
            views |= ask_each(self._sharers, _reading, seconds=_ANSWER_SECONDS)
            findings = conclude(self._sharers, views, probes, {int(pk): text for pk, text in refused.items()})
            if all(finding.is_proved for finding in findings.values()):
                break
        note_findings(self._shared, self._sharers, findings)
        return {"proved": [pk for pk, finding in findings.items() if finding.is_proved]}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False

    def outcome(self, run: Run, result: Result) -> Result:
        """What was found, in words, in place of a mere success."""
        return outcome_text(result, self._sharers, _entry(run, self.name)["made"].get("proved", ()))


class _Remove(Step):
    name = "remove"
    label = gettext_lazy("Remove the probes")

    def __init__(self, sharers: list[StoragePool]) -> None:
        self._sharers = sharers

    def do(self, run: Run, intent: Made) -> Made:
        _remove(self._sharers, _entry(run, _Write.name)["intent"])
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


def _remove(sharers: list[StoragePool], intent: Made) -> None:
    """Raises: errors.NotPossible, naming where one may still be."""
    writers = _writers(sharers, intent)
    answers = ask_each(writers, lambda one: _removal(one, intent["probes"][str(one.pk)]), seconds=_ANSWER_SECONDS)
    # Where a probe was seen it stays listed until the next look.
    with suppress(HypervisorError):
        ask_each(sharers, _reading, seconds=_ANSWER_SECONDS)
    problems = [str(answer) for answer in answers.values() if isinstance(answer, HypervisorError)]
    if problems:
        raise NotPossible(" ".join(problems))


def _holds_files(storage_pool: StoragePool) -> bool:
    pool_type = POOL_TYPES.get(storage_pool.pool_type)
    return pool_type is not None and pool_type.holds_files and not is_same_by_source(storage_pool)


def _writers(sharers: list[StoragePool], intent: Made) -> list[StoragePool]:
    return [one for one in sharers if str(one.pk) in intent["probes"]]


def _writing(storage_pool: StoragePool, name: str) -> Any:
    return lambda connection: write_probe(connection, storage_pool.uuid, name)


def _removal(storage_pool: StoragePool, name: str) -> Any:
    return lambda connection: remove_probe(connection, storage_pool.uuid, name)


def _reading(storage_pool: StoragePool) -> Any:
    return lambda connection: read_sharing(connection, storage_pool.uuid)


def _entry(run: Run, name: str) -> dict[str, Any]:
    """A step as it was written down; empty for one that never began."""
    found = (entry for entry in run.operation.steps if entry["name"] == name)
    return next(found, {"intent": {"probes": {}}, "made": {}})
