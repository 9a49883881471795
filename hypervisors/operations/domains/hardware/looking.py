"""The first step of every change of hardware: is the machine still as the form had it, and what is to be changed."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import Conflict, NotFound, NotPossible, OperationRefused
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.hardware import Hardware, Sides, read_hardware
from hypervisors.libvirtxml.hardware.devices import Device, find_device, list_devices
from hypervisors.libvirtxml.hardware.live_rules import LiveRule
from hypervisors.operations.domains.hardware.checks import changed_meanwhile
from hypervisors.operations.domains.hardware.parameters import When
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step

_LOOK = "look"
# libvirt itself waits up to 30 s for the domain's job lock.
_CALL_SECONDS = 60.0


def hardware_of(run: Run) -> Hardware:
    """The machine as its host has it. Raises: errors.NotPossible, errors.HypervisorError."""
    try:
        return run.ask(lambda connection: read_hardware(connection, run.uuid))
    except NotFound as error:
        raise NotPossible(_("%(host)s does not have it any more.") % {"host": run.source.name}) from error


def find_in(xml: str, device_id: str) -> Device | None:
    """The device in one side's XML, which may be "". Raises: ValueError when it cannot be read."""
    return find_device(xml, device_id) if xml else None


def ids_of(xml: str, type_key: str) -> list[str]:
    """The devices of a kind on one side."""
    return [one.id for one in list_devices(xml) if one.type_key == type_key] if xml else []


def check_base(hardware: Hardware, base_sha256: str) -> None:
    """Raises: errors.Conflict when what is stored is not what the form was made of."""
    if base_sha256 and hardware.inactive_sha256 != base_sha256:
        raise Conflict(changed_meanwhile())


def sides_for(hardware: Hardware, when: str) -> Sides:
    """Which sides are meant. Raises: errors.NotPossible when nothing would come of it."""
    is_live = hardware.is_active and when == When.NOW
    if not is_live and not hardware.is_persistent:
        raise NotPossible(_("It is transient: nothing of it is stored that could wait for its next start."))
    return Sides(live=is_live, config=hardware.is_persistent)


def check_live(rule: LiveRule) -> None:
    """Raises: errors.NotPossible, and offers the next start."""
    if not rule.is_live:
        raise NotPossible(
            _("It cannot be done while the machine runs: %(why)s Choose “at the next start”.") % {"why": rule.why}
        )


def ask_live(run: Run, call: Callable[[Connection], None]) -> None:
    """Change what runs. Raises: errors.NotPossible when the host refuses, and offers the next start."""
    try:
        run.ask(call, seconds=_CALL_SECONDS)
    except OperationRefused as error:
        raise NotPossible(
            _("%(error)s What runs cannot be changed so; it may be possible at the next start.") % {"error": error}
        ) from error


class Look(Step):
    """Reads, compares, and lets `decide` say what is to be done; the steps after it find that by `looked`.

    `decide` may raise errors.NotPossible and ValueError. What it gives is kept for good: no passwords.
    """

    name = _LOOK
    label = gettext_lazy("Look at what is there")

    def __init__(self, base_sha256: str, decide: Callable[[Run, Hardware], Mapping[str, Any]]) -> None:
        self._base_sha256 = base_sha256
        self._decide = decide

    def do(self, run: Run, intent: Made) -> Made:
        hardware = hardware_of(run)
        check_base(hardware, self._base_sha256)
        try:
            return self._decide(run, hardware)
        except ValueError as error:
            raise NotPossible(str(error)) from error

    def has_made(self, intent: Made, made: Made) -> bool:
        return False

    def is_done(self, run: Run, intent: Made) -> bool:
        # What a worker that died saw is looked at again; nothing was done before this step had ended.
        return False


def looked(run: Run) -> Mapping[str, Any]:
    """What the first step found."""
    return made_by(run, _LOOK)


def made_by(run: Run, name: str) -> Mapping[str, Any]:
    """What a step of the operation has made; empty before it has ended."""
    return next((entry.get("made") or {} for entry in run.operation.steps if entry["name"] == name), {})


def sides_looked(run: Run) -> Sides:
    found = looked(run)
    return Sides(live=bool(found.get("live")), config=bool(found.get("config")))
