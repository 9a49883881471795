"""Asking several hosts at once, each in a thread of its own, so that one which hangs holds up no other."""

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from hypervisors.errors import HypervisorError, VmportalError
from hypervisors.gateway.connections import Connection, cached_connection
from hypervisors.inventory.hypervisors.endpoints import endpoint_of
from hypervisors.models import StoragePool
from hypervisors.operations.engine.bounded_calls import BackgroundCall, NotAnswered

T = TypeVar("T")
Question = Callable[[Connection], T]


def ask_each(
    storage_pools: Sequence[StoragePool], question_of: Callable[[StoragePool], Question[T]], *, seconds: float
) -> dict[int, T | HypervisorError]:
    """By storage pool: what its host answered, or why there is no answer. Takes `seconds` at most, for all together."""
    asked = {one.pk: _Asked(one, question_of(one)) for one in storage_pools}
    until = time.monotonic() + seconds
    return {pk: one.answer(max(0.0, until - time.monotonic())) for pk, one in asked.items()}


class _Asked(Generic[T]):
    """One question, asked when made."""

    def __init__(self, storage_pool: StoragePool, question: Question[T]) -> None:
        self._host = storage_pool.hypervisor.name
        self._call: BackgroundCall[T] | VmportalError
        try:
            endpoint = endpoint_of(storage_pool.hypervisor)
        except VmportalError as error:
            self._call = error
        else:
            self._call = BackgroundCall(lambda: question(cached_connection(endpoint)), name="ask-each")

    def answer(self, seconds: float) -> T | HypervisorError:
        if isinstance(self._call, VmportalError):
            return HypervisorError(str(self._call))
        if not self._call.wait(seconds):
            return NotAnswered(f"{self._host} did not answer.")
        try:
            return self._call.result()
        except HypervisorError as error:
            return error
