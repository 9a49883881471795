"""The forms of what is done to a volume: each makes the parameters of its kind, and says what that finds wrong."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.errors import NotPossible
from hypervisors.models import StoragePool, Volume
from hypervisors.operations.engine.registry import operation_type
from hypervisors.templatetags.units import size
from hypervisors.web.naming import visible

UNITS = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_MOST_CHOICES = 500


class ParametersForm(forms.Form):
    """Base. `parameters` are the operation's once the form is valid; `given()` makes them of what was typed."""

    kind = ""
    # Shown once they are needed: what somebody knows who goes on all the same.
    acknowledgements: tuple[str, ...] = ()

    def __init__(self, *args: Any, subject: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject
        self.parameters: dict[str, Any] = {}
        self.needed: set[str] = set()
        for field in self.fields.values():
            css = {forms.ChoiceField: "form-select", forms.BooleanField: "form-check-input"}
            field.widget.attrs |= {"class": css.get(type(field), "form-control"), "autocomplete": "off"}

    def given(self, data: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        given = self.given(data)
        try:
            operation_type(self.kind).check(self.subject, given)
        except NotPossible as error:
            raise ValidationError(str(error)) from error
        self.parameters = given
        return data

    @property
    def shown(self) -> list[forms.BoundField]:
        """The fields, less the acknowledgements that are not needed and the units, which stand beside their sizes."""
        hidden = {name for name in self.acknowledgements if name not in self.needed}
        for name in self.errors.keys() & self.fields.keys():
            attributes = self.fields[name].widget.attrs
            attributes["class"] = f"{attributes['class'].removesuffix(' is-invalid')} is-invalid"
        return [self[name] for name in self.fields if name not in hidden | {"unit"}]

    @property
    def told(self) -> list[str]:
        """What is wrong so far; what is not filled in yet is not wrong."""
        return [
            str(text)
            for name, errors in self.errors.items()
            for text in errors
            if name == "__all__" or self.data.get(name, "").strip()
        ]


class SizeField(forms.DecimalField):
    """In the unit that is chosen beside it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=12, decimal_places=3, min_value=Decimal("0.001"), **kwargs)

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        if found is not None and not found.is_finite():
            raise ValidationError(now_("Enter a number."))
        return found


def unit_field() -> forms.ChoiceField:
    return forms.ChoiceField(label=_("Unit"), choices=[(unit, unit) for unit in UNITS], initial="GiB", required=False)


class ResizeVolumeForm(ParametersForm):
    kind = "resize_volume"
    acknowledgements = ("shrink", "overcommitted")

    size = SizeField(label=_("New size"))
    unit = unit_field()
    shrink = forms.BooleanField(label=_("Make it smaller: what is beyond the new size is lost"), required=False)
    overcommitted = forms.BooleanField(label=_("Let it grow beyond what is free"), required=False)

    def __init__(self, *args: Any, subject: Volume, **kwargs: Any) -> None:
        unit = "GiB" if subject.capacity_bytes >= UNITS["GiB"] else "MiB"
        initial = {"size": _plain(subject.capacity_bytes / UNITS[unit]), "unit": unit}
        super().__init__(*args, subject=subject, initial=initial, **kwargs)

    def given(self, data: dict[str, Any]) -> dict[str, Any]:
        capacity = int(data["size"] * UNITS[data["unit"] or "GiB"])
        volume: Volume = self.subject
        if capacity < volume.capacity_bytes:
            self.needed.add("shrink")
        if capacity - volume.capacity_bytes > volume.storage_pool.available_bytes:
            self.needed.add("overcommitted")
        return {"capacity_bytes": capacity, "shrink": data["shrink"], "overcommitted": data["overcommitted"]}


class CopyVolumeForm(ParametersForm):
    """Of a clone; a conversion has a format to choose."""

    kind = "clone_volume"
    acknowledgements = ("overcommitted",)

    name = forms.CharField(label=_("Name of the copy"), max_length=255, strip=True)
    storage_pool = forms.ChoiceField(label=_("Storage pool"))
    format = forms.ChoiceField(label=_("Format"))
    size = SizeField(label=_("Size"), required=False)
    unit = unit_field()
    overcommitted = forms.BooleanField(label=_("Make it although it can grow beyond what is free"), required=False)

    def __init__(self, *args: Any, subject: Volume, **kwargs: Any) -> None:
        formats = operation_type(self.kind).formats_of(subject)  # type: ignore[attr-defined]
        initial = {"name": _copy_name(subject, formats), "storage_pool": str(subject.storage_pool_id)}
        super().__init__(*args, subject=subject, initial=initial, **kwargs)
        self.fields["storage_pool"].choices = _pool_choices(subject)  # type: ignore[attr-defined]
        self.fields["format"].choices = [(one, one) for one in formats]  # type: ignore[attr-defined]
        self.fields["size"].widget.attrs["placeholder"] = now_("as the original: %(size)s") % {
            "size": size(subject.capacity_bytes)
        }
        if len(formats) < 2:
            del self.fields["format"]

    def given(self, data: dict[str, Any]) -> dict[str, Any]:
        target = StoragePool.objects.filter(pk=data["storage_pool"]).first()
        wanted = data["size"]
        capacity = self.subject.capacity_bytes if wanted is None else int(wanted * UNITS[data["unit"] or "GiB"])
        if target is not None and capacity > target.available_bytes:
            self.needed.add("overcommitted")
        return {
            "name": data["name"],
            "storage_pool_id": int(data["storage_pool"]),
            "format": data.get("format", ""),
            "capacity_bytes": capacity,
            "overcommitted": data["overcommitted"],
        }


class ConvertVolumeForm(CopyVolumeForm):
    kind = "convert_volume"


class WipeVolumeForm(ParametersForm):
    kind = "wipe_volume"

    confirmed_name = forms.CharField(label=_("Type its name to confirm"), max_length=1000, strip=False)

    def given(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"confirmed_name": data["confirmed_name"]}


FORMS: dict[str, type[ParametersForm]] = {
    form.kind: form for form in (ResizeVolumeForm, CopyVolumeForm, ConvertVolumeForm, WipeVolumeForm)
}


def _pool_choices(volume: Volume) -> list[tuple[str, str]]:
    """The storage pools of its host, its own first."""
    own = volume.storage_pool
    pools = StoragePool.objects.present().filter(hypervisor=own.hypervisor_id, active=True).order_by("name")
    ordered = sorted(pools[:_MOST_CHOICES], key=lambda pool: pool.pk != own.pk)
    return [(str(pool.pk), now_("%(pool)s: %(free)s free") % _pool_words(pool)) for pool in ordered]


def _pool_words(pool: StoragePool) -> dict[str, str]:
    return {"pool": visible(pool.name), "free": size(pool.available_bytes)}


def _copy_name(volume: Volume, formats: Iterable[str]) -> str:
    """ "web1-copy.qcow2"; of a conversion "web1.raw"."""
    path, made = PurePosixPath(volume.name), next(iter(formats), volume.format)
    suffix = path.suffix if len(path.suffix) > 1 else ""
    if made != volume.format and volume.format not in ("", "iso"):
        return f"{path.stem if suffix else volume.name}.{made}"
    return f"{path.stem if suffix else volume.name}-copy{suffix}"


def _plain(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")
