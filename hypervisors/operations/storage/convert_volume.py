"""Copy a volume into a new one of another format: qcow2 and raw each to the other, other products' formats to both."""

from django.utils.translation import gettext_lazy

from hypervisors.models import Volume
from hypervisors.operations.storage.volume_copies import CopyOfVolume

_FORMATS = {
    "raw": ("qcow2",),
    "qcow2": ("raw",),
    "vmdk": ("qcow2", "raw"),
    "vdi": ("qcow2", "raw"),
    "vpc": ("qcow2", "raw"),
}


class ConvertVolume(CopyOfVolume):
    kind = "convert_volume"
    label = gettext_lazy("Convert volume")
    icon = "transform"
    done = gettext_lazy("It is converted: the result is “%(name)s” in the storage pool “%(pool)s”.")

    def formats_of(self, volume: Volume) -> tuple[str, ...]:
        return () if volume.volume_type in ("dir", "netdir") else _FORMATS.get(volume.format, ())
