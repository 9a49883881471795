"""Of what a disk is made: a new volume, one that is there, or a file or device of the host by its path."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from hypervisors.models import Volume
from hypervisors.web.domains.creation.fields import UNITS, Option
from hypervisors.web.domains.hardware.choices import DiskChoices
from hypervisors.web.domains.hardware.disk_volumes import image_name, image_of, volume_words
from hypervisors.web.naming import visible

if TYPE_CHECKING:
    from hypervisors.web.domains.hardware.panes import Part

NEW, EXISTING, BY_HAND, KEEP = "new", "existing", "by_hand", "keep"
_SUGGESTED_GIB = "20"


@dataclass(frozen=True, kw_only=True)
class DiskSource:
    """The controls that stand above a disk's own fields; their names begin with "disk-"."""

    ways: tuple[Option, ...]
    way: str
    storage_pools: tuple[Option, ...] = ()
    storage_pool: str = ""
    volumes: tuple[Option, ...] = ()
    volume: str = ""
    name: str = ""
    size: str = _SUGGESTED_GIB
    unit: str = "GiB"
    format: str = "qcow2"
    overcommitted: bool = False
    units: tuple[str, ...] = tuple(UNITS)
    formats: tuple[str, ...] = ("qcow2", "raw")
    # Of a disk that is there: where its bytes are, and their volume, if it is known.
    image: str = ""
    kept_volume: Volume | None = None

    @property
    def kept_words(self) -> str:
        return volume_words(self.kept_volume) if self.kept_volume else ""


def disk_source(
    part: "Part", choices: DiskChoices, posted: Mapping[str, str], *, kept_volume: Volume | None = None
) -> DiskSource:
    """What can be chosen, with what was. A disk that is there keeps what it is of, until another volume is chosen."""
    ways = []
    if part.device is not None:
        name = image_name(part.device.values)
        ways.append(
            Option(value=KEEP, text=_("%(name)s, as it is") % {"name": visible(name)} if name else _("as it is"))
        )
    elif choices.storage_pools:
        ways.append(Option(value=NEW, text=_("a new volume")))
    if choices.volumes:
        ways.append(Option(value=EXISTING, text=_("a volume that is there")))
    ways.append(Option(value=BY_HAND, text=_("given by hand")))
    way = posted.get("disk-way", "")
    return DiskSource(
        ways=tuple(ways),
        way=way if any(one.value == way for one in ways) else ways[0].value,
        storage_pools=choices.storage_pools,
        storage_pool=posted.get("disk-storage", ""),
        volumes=(Option(value="", text=_("Choose…")), *choices.volumes),
        volume=posted.get("disk-volume", ""),
        name=posted.get("disk-name", ""),
        size=posted.get("disk-size", _SUGGESTED_GIB),
        unit=posted.get("disk-unit", "GiB"),
        format=posted.get("disk-format", "qcow2"),
        overcommitted=bool(posted.get("disk-overcommitted")),
        image=image_of(part.device.values) if part.device else "",
        kept_volume=kept_volume,
    )


def disk_parameters(posted: Mapping[str, str]) -> dict[str, Any]:
    """The `volume_id` or `new_disk` of the operation. Raises: ValueError, fit for people."""
    way = posted.get("disk-way", "")
    if way == EXISTING:
        if not posted.get("disk-volume", "").isdecimal():
            raise ValueError(_("Choose the volume."))
        return {"volume_id": int(posted["disk-volume"][:18])}
    if way != NEW:
        return {}
    if not posted.get("disk-storage", "").isdecimal():
        raise ValueError(_("Choose the storage pool that the new volume goes to."))
    return {
        "new_disk": {
            "storage_pool_id": int(posted["disk-storage"][:18]),
            "capacity_bytes": _capacity(posted),
            "name": posted.get("disk-name", "").strip(),
            "format": posted.get("disk-format", "qcow2"),
            "overcommitted": bool(posted.get("disk-overcommitted")),
        }
    }


def _capacity(posted: Mapping[str, str]) -> int:
    try:
        number = float(posted.get("disk-size", "").strip().replace(",", "."))
    except ValueError:
        number = -1
    unit = UNITS.get(posted.get("disk-unit", "GiB"))
    # A number that is not a number is not between these either.
    if unit is None or not 0 < number < 2**40:
        raise ValueError(_("Say how large the new volume is to be."))
    return int(number * unit)
