"""Trust a volume's content again after it was not what it was made as: only what its first bytes do not speak against.

For a raw volume that somebody has written a whole image into with virsh, for example.
"""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.storage.volumes import read_volume, read_volume_bytes
from hypervisors.imaging.image_headers import HEAD_BYTES, inspect_head
from hypervisors.inventory.storage.origins import note_origin
from hypervisors.inventory.storage.quarantine import why_not_as_made
from hypervisors.inventory.storage.uses import references_to
from hypervisors.models import Volume
from hypervisors.operations.engine.queues import STORAGE_QUEUE
from hypervisors.operations.engine.runs import Result, Run, succeeded
from hypervisors.operations.engine.types import OperationType
from hypervisors.operations.storage.room import read_room
from hypervisors.operations.storage.storage_operations import find_volume, why_no_storage_pool, why_volume_gone
from hypervisors.privileges import Privilege

_READ_SECONDS = 60.0


class TrustVolume(OperationType[Volume]):
    kind = "trust_volume"
    subject_type = "volume"
    label = gettext_lazy("Trust the content")
    icon = "shield-check"
    privilege = Privilege.STORAGE_MANAGE
    queue = STORAGE_QUEUE
    question = gettext_lazy("Trust what is in “%s”?")
    warning = gettext_lazy(
        "Its first bytes are looked at. If they name no other file, it may be copied and resized as what they say "
        "it is."
    )

    def is_offered(self, volume: Volume) -> bool:
        return bool(volume.quarantine)

    def why_gone(self, volume: Volume) -> str:
        return why_volume_gone(volume)

    def why_not(self, volume: Volume) -> str:
        if not volume.quarantine:
            return self.why_gone(volume) or _("It is trusted.")
        return self.why_gone(volume) or why_no_storage_pool(volume.storage_pool)

    def subject_name(self, volume: Volume, parameters: Any) -> str:
        return f"{volume.storage_pool.name}/{volume.name}"

    def run(self, run: Run) -> Result:
        volume = find_volume(run)
        if volume is None:
            raise NotPossible(_("The volume was removed from vmportal."))
        read_room(run, volume.storage_pool)
        uuid, name = volume.storage_pool.uuid, volume.name
        found = run.ask(lambda connection: read_volume(connection, uuid, name))
        if found is None:
            raise NotPossible(_("The volume “%(name)s” is gone.") % {"name": name})
        head = run.ask(
            lambda connection: read_volume_bytes(connection, uuid, name, 0, HEAD_BYTES), seconds=_READ_SECONDS
        )
        facts = inspect_head(head, size_bytes=found.physical_bytes)
        volume.format, volume.backing_path = found.format, found.backing_path
        reason = facts.problem or why_not_as_made(volume, None, references_to([volume]).get(volume.pk, ()))
        if reason:
            raise NotPossible(_("It is not trusted. %(reason)s") % {"reason": reason})
        note_origin(volume.storage_pool, name, format_=found.format)
        return succeeded(_("It is taken for %(format)s from now on.") % {"format": found.format or "raw"})
