"""Shut down and reboot: the guest is asked, and may take its time or not listen.

The waiting holds no worker's slot: the operation is parked between two looks, so that a hundred guests can be waited
for at once and a force off goes ahead of it.
"""

import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains import actions as domains
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.gateway.domains.reboots import watch_for_reboot
from hypervisors.operations.domains.lifecycle import IS_OFF
from hypervisors.operations.engine.records import NOTE, Later
from hypervisors.operations.engine.runs import Result, Run, cancelled, failed, interrupted, succeeded

TIMEOUT_SECONDS = 120.0
_CALL_SECONDS = 40.0
# Looked at often at first, for those that are quick.
_QUICK_LOOK_SECONDS, _LOOK_SECONDS = 0.3, 1.0
_QUICK_FOR_SECONDS = 10.0


def shut_down(run: Run) -> Result:
    """Press the power button, then wait until it is off."""
    return _ask_and_wait(
        run,
        ask=lambda connection: domains.shut_down_domain(connection, run.uuid),
        is_done=lambda connection: domain_state(connection, run.uuid) in IS_OFF,
        done=_("The guest shut down."),
        unheard=_(
            "The guest did not react to the power button within %(seconds)d s and still runs. "
            "Force it off, or try again."
        ),
        given_up=_("No longer waited for. The guest was asked to shut down and may still do so."),
    )


def reboot(run: Run) -> Result:
    """Press the power button with the wish to start again, then wait until the guest was reset."""

    def ask(connection: Connection) -> None:
        key = _rebooted_key(run)
        _forget_reboot(key)
        seconds = _timeout_seconds(run) + 10
        watch_for_reboot(connection, run.uuid, lambda: _note_reboot(key), seconds=seconds)
        domains.reboot_domain(connection, run.uuid)

    return _ask_and_wait(
        run,
        ask=ask,
        is_done=lambda _connection: _was_rebooted(_rebooted_key(run)),
        done=_("The guest rebooted."),
        unheard=_(
            "No reboot was seen within %(seconds)d s: the guest did not react to the power button. "
            "Reset it, or try again."
        ),
        given_up=_("No longer waited for. The guest was asked to reboot and may still do so."),
    )


def _ask_and_wait(
    run: Run,
    *,
    ask: Callable[[Connection], None],
    is_done: Callable[[Connection], bool],
    done: str,
    unheard: str,
    given_up: str,
) -> Result:
    asked_at = run.operation.progress.get("asked_at")
    if asked_at is None:
        asked_at = time.time()
        try:
            run.ask(ask, seconds=_CALL_SECONDS)
        except HypervisorError as error:
            return run.judge(is_done, done=done, problem=error)
    return _look(run, is_done, asked_at=asked_at, done=done, unheard=unheard, given_up=given_up)


def _look(
    run: Run, is_done: Callable[[Connection], bool], *, asked_at: float, done: str, unheard: str, given_up: str
) -> Result:
    timeout_seconds, waited_seconds = _timeout_seconds(run), time.time() - asked_at
    unseen: HypervisorError | None = None
    try:
        if run.ask(is_done):
            return succeeded(done)
    except HypervisorError as error:
        unseen = error
    if run.cancel_requested.is_set():
        return cancelled(given_up)
    if waited_seconds >= timeout_seconds:
        if unseen is not None:
            return interrupted(_("What came of it is not known: %(error)s") % {"error": unseen})
        return failed(unheard % {"seconds": round(timeout_seconds)})
    return Later(
        seconds=_QUICK_LOOK_SECONDS if waited_seconds < _QUICK_FOR_SECONDS else _LOOK_SECONDS,
        progress={
            "asked_at": asked_at,
            "waits_until": asked_at + timeout_seconds,
            NOTE: _("The guest was asked; waiting for it."),
        },
    )


def _timeout_seconds(run: Run) -> float:
    return float(run.parameters.get("timeout_seconds", TIMEOUT_SECONDS))


def _rebooted_key(run: Run) -> str:
    return f"vmportal:rebooted:{run.operation.pk}"


def _forget_reboot(key: str) -> None:
    with _redis() as client:
        client.delete(key)


def _note_reboot(key: str) -> None:
    with _redis() as client:
        client.set(key, "1", ex=3600)


def _was_rebooted(key: str) -> bool:
    try:
        with _redis() as client:
            return bool(client.exists(key))
    except redis.RedisError as error:
        raise HypervisorError(
            _("Whether the guest rebooted could not be looked up: %(error)s") % {"error": error}
        ) from error


def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
