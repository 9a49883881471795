"""Whether a volume can be downloaded now, from rows alone."""

from collections.abc import Collection

from django.utils.translation import gettext as _

from hypervisors.models import Volume
from hypervisors.operations.engine.locks import find_holder, why_busy
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.operations.storage.storage_operations import why_no_storage_pool
from hypervisors.operations.storage.volume_users import VolumeUser, overlays_of, volume_users, why_running


def why_no_download(volume: Volume) -> str:
    """Why not; "" when it can. What a running machine writes to would arrive as a mixture of then and now."""
    holder = find_holder([lock_key(volume)])
    if holder is not None:
        return why_busy(holder)
    if is_written(volume, volume_users(volume), overlays_of(volume)):
        return _("%(why)s What is downloaded while it runs would be of no use. Shut it down first.") % {
            "why": why_running(volume)
        }
    return why_no_storage_pool(volume.storage_pool)


def is_written(volume: Volume, users: Collection[VolumeUser], overlays: Collection[Volume]) -> bool:
    """Whether a running machine writes to it: not to a medium, nor to what other volumes are on top of."""
    return volume.format != "iso" and not overlays and any(user.is_active for user in users)
