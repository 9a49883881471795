"""Copy a volume into a new one of the same format, in any storage pool of its host."""

from django.utils.translation import gettext_lazy

from hypervisors.models import Volume
from hypervisors.operations.storage.volume_copies import CopyOfVolume

# An ISO, and what libvirt knows no format of, is bytes to be copied as they are.
_AS_RAW = frozenset({"raw", "iso", ""})


class CloneVolume(CopyOfVolume):
    kind = "clone_volume"
    label = gettext_lazy("Clone volume")
    icon = "copy"
    done = gettext_lazy("The copy “%(name)s” is in the storage pool “%(pool)s”.")

    def formats_of(self, volume: Volume) -> tuple[str, ...]:
        if volume.volume_type in ("dir", "netdir"):
            return ()
        if volume.format == "qcow2":
            return ("qcow2",)
        return ("raw",) if volume.format in _AS_RAW else ()
