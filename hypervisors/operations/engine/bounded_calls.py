"""Calls that may hang (a frozen hypervisor, a stopped QEMU), made in a thread and waited for a bounded time.

A thread that hangs is left behind: libvirt has no way to interrupt a call. It ends when its connection does.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hypervisors import errors

T = TypeVar("T")


class NotAnswered(errors.HypervisorError):
    """No answer within the time given; whether what was asked is being done is not known."""


class BackgroundCall(Generic[T]):
    """A call in a thread of its own, begun when made."""

    def __init__(self, call: Callable[[], T], *, name: str = "libvirt-call") -> None:
        self._call = call
        self._over = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """True as soon as it is over, however it ended; False after `seconds`."""
        return self._over.wait(seconds)

    def join(self) -> None:
        """Wait for as long as it takes; only for what is bounded in itself."""
        self._over.wait()

    def result(self) -> T:
        """What it returned or raised; only when it is over."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - belongs to whoever asks for the result
            self._error = error
        finally:
            self._over.set()


def bounded(call: Callable[[], T], *, seconds: float) -> T:
    """What the call returns or raises. Raises: NotAnswered after `seconds`."""
    background = BackgroundCall(call)
    if not background.wait(seconds):
        raise NotAnswered(f"There was no answer within {seconds:.0f} s.")
    return background.result()
