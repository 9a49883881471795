"""A device that is to be removed: the guest is asked to let go of it, and waited for.

The call only asks. A guest that can refuse says so at once, and nothing is changed then. One that is paused, or has no
system, says nothing: the host calls that a success after 5 s, and the device goes as soon as the guest hears of it. So
what is stored is changed as soon as no refusal has come, and the guest is waited for afterwards.
"""

import time
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.domains.hardware import Hardware, alias_of, change_definition, request_removal
from hypervisors.gateway.domains.mounted_disks import mount_points
from hypervisors.libvirtxml.hardware.devices import Device, without_device
from hypervisors.libvirtxml.hardware.live_rules import rule_for_removing
from hypervisors.operations.domains.hardware.looking import (
    check_base,
    check_live,
    find_in,
    hardware_of,
    ids_of,
    sides_for,
)
from hypervisors.operations.domains.hardware.parameters import RemoveDeviceParameters
from hypervisors.operations.engine.bounded_calls import NotAnswered
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Later, Result, Run, cancelled, failed, interrupted, succeeded
from hypervisors.states import DomainState

# The call itself takes 5 s where the guest says nothing; libvirt waits up to 30 s for the domain's job lock.
_CALL_SECONDS = 60.0
# A guest that can refuse does so within a fraction of it.
_ANSWER_SECONDS = 2.0
_LOOK_SECONDS = 1.0
# Then it is left to itself: nobody may do anything else with the machine meanwhile.
PATIENCE_SECONDS = 120.0
# Keys of `progress`.
ASKED_AT, ALIAS, STORED_IDS = "asked_at", "alias", "stored_ids"


def remove(run: Run) -> Result:
    """Go on from wherever the row says it is. Raises: errors.VmportalError."""
    if ASKED_AT not in run.operation.progress:
        return _begin(run)
    if run.adopted:
        # Asking twice does no harm, and the first time may have come to nothing.
        return _ask(run, _what_is_left(run, hardware_of(run)))
    return _look(run)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The device on each side that it is removed from."""

    live: Device | None
    stored: Device | None
    is_active: bool


def _plan(run: Run, hardware: Hardware) -> _Plan:
    parameters: RemoveDeviceParameters = run.parameters
    sides = sides_for(hardware, parameters.when)
    return _Plan(
        live=find_in(hardware.live_xml, parameters.device_id) if sides.live else None,
        stored=find_in(hardware.inactive_xml, parameters.device_id) if sides.config else None,
        is_active=hardware.is_active,
    )


def _what_is_left(run: Run, hardware: Hardware) -> _Plan:
    """Devices that are alike are counted: once one is gone the next has its id."""
    plan, progress = _plan(run, hardware), run.operation.progress
    kind = (plan.live or plan.stored or _NONE).type_key
    is_stored = bool(kind) and ids_of(hardware.inactive_xml, kind) == progress.get(STORED_IDS)
    is_live = plan.live is not None and alias_of(plan.live.xml) == progress.get(ALIAS)
    return replace(plan, live=plan.live if is_live else None, stored=plan.stored if is_stored else None)


_NONE = Device(id="", type_key="")


def _begin(run: Run) -> Result:
    hardware = hardware_of(run)
    check_base(hardware, run.parameters.base_sha256)
    plan = _plan(run, hardware)
    if plan.live is None and plan.stored is None:
        raise NotPossible(_("It does not have this device any more."))
    if plan.live is None:
        _forget(run)
        return succeeded(_("It is removed from the next start on.") if plan.is_active else _("It is removed."))
    check_live(rule_for_removing(plan.live.type_key, plan.live.xml))
    _check_unused(run, plan.live)
    # Written first: whoever takes this over goes on from here.
    stored_ids = ids_of(hardware.inactive_xml, plan.live.type_key) if plan.stored is not None else []
    run.report_now({ASKED_AT: time.time(), ALIAS: alias_of(plan.live.xml), STORED_IDS: stored_ids})
    return _ask(run, plan)


def _check_unused(run: Run, device: Device) -> None:
    """A disk that is in use is torn away all the same. Raises: errors.NotPossible."""
    if device.type_key != "disk" or run.parameters.confirmed:
        return
    target = str(device.values.get("target_dev", ""))
    points = run.ask(lambda connection: mount_points(connection, run.uuid, target))
    if points is None:
        raise NotPossible(
            _("No agent in the guest tells whether %(disk)s is in use there: unmount it, and confirm its removal.")
            % {"disk": target}
        )
    if points:
        raise NotPossible(
            _("The guest has %(points)s mounted from %(disk)s: unmount it first, or confirm its removal.")
            % {"points": ", ".join(points), "disk": target}
        )


def _ask(run: Run, plan: _Plan) -> Result:
    """Ask the guest, change what is stored unless it refuses, and look. Raises: errors.VmportalError."""
    if plan.live is not None:
        device_xml = plan.live.xml
        try:
            is_refused = run.ask(
                lambda connection: request_removal(connection, run.uuid, device_xml, answer_seconds=_ANSWER_SECONDS),
                seconds=_CALL_SECONDS,
            )
        except NotAnswered as error:
            return interrupted(_("%(problem)s Whether the guest was asked is not known.") % {"problem": error})
        if is_refused:
            return failed(
                _("The guest refuses to let go of it: it is in use. Nothing was changed; choose “at the next start”.")
            )
    if plan.stored is not None:
        _forget(run)
    return _look(run)


def _forget(run: Run) -> None:
    """Take it out of what is stored. Raises: errors.VmportalError."""
    device_id = run.parameters.device_id
    try:
        run.ask(
            lambda connection: change_definition(connection, run.uuid, lambda xml: without_device(xml, device_id)),
            seconds=_CALL_SECONDS,
        )
    except ValueError as error:
        raise NotPossible(str(error)) from error


def _look(run: Run) -> Result:
    progress = run.operation.progress
    waited_seconds = time.time() - float(progress[ASKED_AT])
    try:
        hardware = hardware_of(run)
    except HypervisorError as error:
        if waited_seconds >= PATIENCE_SECONDS:
            return interrupted(_("What came of it is not known: %(error)s") % {"error": error})
        return _later(run, str(error))
    live = find_in(hardware.live_xml, run.parameters.device_id)
    if live is None or alias_of(live.xml) != progress[ALIAS]:
        return succeeded(_done(run, hardware))
    if run.cancel_requested.is_set():
        return cancelled(_("Nobody waits for the guest any more. %(what)s") % {"what": _stays(run)})
    if waited_seconds >= PATIENCE_SECONDS:
        seconds = round(PATIENCE_SECONDS)
        text = _("The guest has not let go of it within %(seconds)d s. %(what)s")
        return failed(text % {"seconds": seconds, "what": _stays(run)})
    is_paused = hardware.state == DomainState.PAUSED
    return _later(run, _("Waiting for the guest, which is paused.") if is_paused else _("Waiting for the guest."))


def _later(run: Run, note: str) -> Later:
    progress = dict(run.operation.progress)
    until = float(progress[ASKED_AT]) + PATIENCE_SECONDS
    return Later(seconds=_LOOK_SECONDS, progress=progress | {"waits_until": until, NOTE: note})


def _done(run: Run, hardware: Hardware) -> str:
    if not hardware.is_active:
        return _("It is removed: the machine is off.")
    if run.operation.progress.get(STORED_IDS):
        return _("It is removed: the guest has let go of it, and it is gone from the next start too.")
    return _("It is removed: the guest has let go of it.")


def _stays(run: Run) -> str:
    if run.operation.progress.get(STORED_IDS):
        return _("It stays until the guest lets go of it, or the machine is off, and is gone with the next start.")
    return _("It stays until the guest lets go of it, or the machine is off.")
