"""What volumes are for: whether one is an image that machines are made of, whatever its name says."""

from django.contrib.auth.models import User

from hypervisors.access import audit, require
from hypervisors.inventory.storage.origins import note_purpose
from hypervisors.models import Volume, VolumeOrigin
from hypervisors.privileges import Privilege


def set_is_image(user: User, volume: Volume, *, is_image: bool) -> None:
    """Show it among the images, or no longer, on every host that shares its storage. Raises: errors.NotPermitted."""
    require(user, Privilege.STORAGE_MANAGE, volume, what="say what a volume is for")
    note_purpose(volume.storage_pool, volume.name, VolumeOrigin.IMAGE if is_image else VolumeOrigin.DISK)
    audit.record(
        user,
        "say what a volume is for",
        subject_type="volume",
        subject_key=str(volume.pk),
        subject_name=f"{volume.storage_pool.name}/{volume.name}",
        after={"image": is_image},
    )
