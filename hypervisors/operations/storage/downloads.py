"""Whether a volume can be downloaded now, from rows alone."""

from django.utils.translation import gettext as _

from hypervisors.models import Volume
from hypervisors.operations.engine.locks import find_holder, why_busy
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.operations.storage.storage_operations import why_no_storage_pool
from hypervisors.operations.storage.volume_users import overlays_of, volume_users


def why_no_download(volume: Volume) -> str:
    """Why not; "" when it can. What a running machine writes to would arrive as a mixture of then and now."""
    holder = find_holder([lock_key(volume)])
    if holder is not None:
        return why_busy(holder)
    # Nothing is written to a medium, nor to what other volumes are on top of.
    if volume.format != "iso" and not overlays_of(volume):
        for user in volume_users(volume):
            if user.is_active:
                return _(
                    "“%(name)s” runs on %(host)s and writes to it (%(role)s): what is downloaded now would be of no "
                    "use. Shut it down first."
                ) % {"name": user.name, "host": user.host, "role": user.role}
    return why_no_storage_pool(volume.storage_pool)
