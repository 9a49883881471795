"""Put a medium into a drive, or take it out: while it runs and in what is stored, together."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.models import Domain, Operation
from hypervisors.operations.domains.hardware.checks import definition_of, device_of, host_of
from hypervisors.operations.domains.hardware.disks import checked_volume
from hypervisors.operations.domains.hardware.kinds import HardwareChange
from hypervisors.operations.domains.hardware.looking import Look
from hypervisors.operations.domains.hardware.media import ChangeMedium, Medium
from hypervisors.operations.domains.hardware.outcomes import Words, with_words
from hypervisors.operations.domains.hardware.parameters import ChangeMediaParameters
from hypervisors.operations.domains.hardware.storing import Store
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import run_steps
from hypervisors.privileges import Privilege

_INSERTED = Words(
    both=gettext_lazy("The medium is in the drive."),
    live=gettext_lazy("The medium is in the drive."),
    next_start=gettext_lazy("The medium is in the drive from the next start on."),
    off=gettext_lazy("The medium is in the drive."),
)
_EJECTED = Words(
    both=gettext_lazy("The drive is empty."),
    live=gettext_lazy("The drive is empty."),
    next_start=gettext_lazy("The drive is empty from the next start on."),
    off=gettext_lazy("The drive is empty."),
)


class ChangeMedia(HardwareChange):
    kind = "change_media"
    label = gettext_lazy("Change the medium")
    icon = "disc"
    Parameters: ClassVar[type[Any]] = ChangeMediaParameters

    def check(self, domain: Domain, given: Mapping[str, Any]) -> ChangeMediaParameters:
        drive = device_of(definition_of(domain), given.get("device_id"))
        if drive.type_key not in ("cdrom", "floppy"):
            raise NotPossible(_("This is no drive that media are put into."))
        volume_id = checked_volume(domain, drive.type_key, given.get("volume_id"), {"readonly": True})
        return ChangeMediaParameters(device_id=drive.id, volume_id=volume_id, force=bool(given.get("force")))

    def also_needs(
        self, domain: Domain, parameters: ChangeMediaParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        return [] if parameters.volume_id is None else [(Privilege.STORAGE_VIEW, host_of(domain))]

    def title(self, operation: Operation) -> str:
        is_eject = operation.parameters.get("volume_id") is None
        return _("Take the medium out") if is_eject else _("Insert a medium")

    def run(self, run: Run) -> Result:
        parameters: ChangeMediaParameters = run.parameters
        medium = Medium(run.source, parameters)
        steps = [Look("", medium.decide), ChangeMedium(medium), Store(medium.edit)]
        words = _EJECTED if parameters.volume_id is None else _INSERTED
        return with_words(run, run_steps(run, steps, done=""), words)
