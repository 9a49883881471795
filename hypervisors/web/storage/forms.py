"""The form of a new volume."""

from typing import Any

from django import forms
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.inventory.storage.origins import origins_of
from hypervisors.inventory.storage.uses import references_to
from hypervisors.models import StoragePool, Volume, VolumeOrigin
from hypervisors.operations.storage.create_volume import FORMATS, PREALLOCATIONS
from hypervisors.templatetags.units import size
from hypervisors.web.naming import natural_key
from hypervisors.web.storage.volume_forms import UNITS, ParametersForm, SizeField, unit_field

_MOST_BACKINGS = 300
_WRITERS = frozenset({"disk", "lun", "floppy"})


class CreateVolumeForm(ParametersForm):
    """What it can be on top of are the volumes of its host that no machine writes to."""

    kind = "create_volume"
    acknowledgements = ("overcommitted",)

    name = forms.CharField(label=_("Name"), max_length=255, strip=True)
    size = SizeField(label=_("Size"), initial=20)
    unit = unit_field()
    format = forms.ChoiceField(label=_("Format"), choices=list(FORMATS.items()), initial="qcow2")
    preallocation = forms.ChoiceField(
        label=_("Taken on the storage at once"), choices=list(PREALLOCATIONS.items()), initial="off", required=False
    )
    backing = forms.ChoiceField(label=_("On top of"), required=False)
    overcommitted = forms.BooleanField(label=_("Make it although it is larger than what is free"), required=False)

    def __init__(self, *args: Any, subject: StoragePool, **kwargs: Any) -> None:
        super().__init__(*args, subject=subject, **kwargs)
        choices = backing_choices(subject)
        if choices:
            self.fields["backing"].choices = [("", now_("nothing: it is empty")), *choices]  # type: ignore[attr-defined]
        else:
            del self.fields["backing"]

    def given(self, data: dict[str, Any]) -> dict[str, Any]:
        capacity = int(data["size"] * UNITS[data["unit"] or "GiB"])
        if data["preallocation"] != "full" and capacity > self.subject.available_bytes:
            self.needed.add("overcommitted")
        backing = data.get("backing")
        return {
            "name": data["name"],
            "format": data["format"],
            "capacity_bytes": capacity,
            "preallocation": data["preallocation"] or "off",
            "overcommitted": data["overcommitted"],
            **({"backing_volume_id": int(backing)} if backing else {}),
        }


def backing_choices(storage_pool: StoragePool) -> list[tuple[str, str]]:
    """Volumes of its host that can be built on, images first; those that a machine writes to are left out."""
    rows = Volume.objects.present().filter(
        storage_pool__hypervisor=storage_pool.hypervisor_id,
        storage_pool__vanished_at=None,
        format__in=list(FORMATS),
        quarantine="",
    )
    volumes = list(rows.select_related("storage_pool__hypervisor")[: 10 * _MOST_BACKINGS])
    origins, references = origins_of(volumes), references_to(volumes)
    free = [one for one in volumes if not any(use.role in _WRITERS for use in references.get(one.pk, ()))]

    def order(volume: Volume) -> tuple[bool, Any]:
        origin = origins.get(volume.pk)
        return not (origin is not None and origin.purpose == VolumeOrigin.IMAGE), natural_key(volume.name)

    chosen = sorted(free, key=order)[:_MOST_BACKINGS]
    return [(str(one.pk), f"{one.storage_pool.name}/{one.name} ({size(one.capacity_bytes)})") for one in chosen]
