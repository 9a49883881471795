"""Write zeros over all that is in a volume; refused while anything needs it, and only with its name typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.volumes import wipe_volume
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.models import Volume
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.records import NOTE
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.latest_volume_users import why_in_use_now
from hypervisors.operations.storage.long_calls import call_and_follow
from hypervisors.operations.storage.storage_operations import (
    TellHosts,
    find_volume,
    why_no_storage_pool,
    why_volume_gone,
)
from hypervisors.operations.storage.volume_users import why_in_use
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class WipeVolumeParameters:
    """`confirmed_name`: what the person typed."""

    confirmed_name: str


class WipeVolume(OperationType[Volume]):
    kind = "wipe_volume"
    subject_type = "volume"
    label = gettext_lazy("Wipe volume")
    icon = "eraser"
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    is_dangerous = True
    question = gettext_lazy("Wipe the volume “%s”?")
    warning = gettext_lazy(
        "Zeros are written over all that is in it, its header included: what is left is an empty raw volume. "
        "This cannot be undone."
    )
    Parameters: ClassVar[type[Any]] = WipeVolumeParameters

    def why_gone(self, volume: Volume) -> str:
        return why_volume_gone(volume)

    def why_not(self, volume: Volume) -> str:
        return self.why_gone(volume) or why_no_storage_pool(volume.storage_pool) or why_in_use(volume)

    def check(self, volume: Volume, given: Mapping[str, Any]) -> WipeVolumeParameters:
        typed = str(given.get("confirmed_name", "")).strip()
        if typed != volume.name:
            raise NotPossible(_("Type the name of the volume: “%(name)s”.") % {"name": volume.name})
        return WipeVolumeParameters(confirmed_name=typed)

    def subject_name(self, volume: Volume, parameters: Any) -> str:
        return f"{volume.storage_pool.name}/{volume.name}"

    def run(self, run: Run) -> Result:
        volume = find_volume(run)
        if volume is None:
            raise NotPossible(_("The volume was removed from vmportal."))
        return run_steps(
            run,
            [_Wipe(volume), TellHosts(volume.storage_pool)],
            done=_("It is wiped: what is left is an empty raw volume."),
        )


class _Wipe(Step):
    name = "wipe"
    label = gettext_lazy("Write zeros over it")

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def intend(self, run: Run) -> Made:
        return {"name": self._volume.name}

    def do(self, run: Run, intent: Made) -> Made:
        # Here rather than in intend(), which a worker that goes on after another died does not come by.
        reason = why_in_use_now(run, self._volume)
        if reason:
            raise NotPossible(reason)
        uuid, name = self._volume.storage_pool.uuid, self._volume.name
        call_and_follow(
            run,
            lambda connection: wipe_volume(connection, uuid, name),
            progress=lambda: {NOTE: _("libvirt does not say how far it is.")},
            name="wipe-volume",
        )
        note_origin(self._volume.storage_pool, name, format_="raw", encryption_secret="")
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows that all of it was reached, and twice does no harm.
        return False

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """What is wiped stays so."""
