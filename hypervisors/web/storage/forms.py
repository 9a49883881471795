"""The form of a new volume."""

from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.errors import NotPossible
from hypervisors.models import StoragePool
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.storage.create_volume import FORMATS, PREALLOCATIONS

_UNITS = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


class CreateVolumeForm(forms.Form):
    """`parameters` are the operation's, once the form is valid."""

    name = forms.CharField(label=_("Name"), max_length=255, strip=True)
    format = forms.ChoiceField(label=_("Format"), choices=list(FORMATS.items()), initial="qcow2")
    size = forms.DecimalField(label=_("Size"), max_digits=12, decimal_places=3, min_value=Decimal("0.001"), initial=20)
    unit = forms.ChoiceField(label=_("Unit"), choices=[(unit, unit) for unit in _UNITS], initial="GiB")
    preallocation = forms.ChoiceField(
        label=_("Taken on the storage at once"), choices=list(PREALLOCATIONS.items()), initial="off", required=False
    )
    overcommitted = forms.BooleanField(label=_("Make it although it is larger than what is free"), required=False)

    def __init__(self, *args: Any, storage_pool: StoragePool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.storage_pool = storage_pool
        self.parameters: dict[str, Any] = {}
        # Whether to ask if that is meant: only one that grows as it is written to can be larger.
        self.is_beyond_free = False
        for name, field in self.fields.items():
            kind = {forms.ChoiceField: "form-select", forms.BooleanField: "form-check-input"}
            field.widget.attrs["class"] = kind.get(type(field), "form-control")
            if self.is_bound and name in self.errors:
                field.widget.attrs["class"] += " is-invalid"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.errors:
            return data
        given = {
            "name": data["name"],
            "format": data["format"],
            "capacity_bytes": int(data["size"] * _UNITS[data["unit"]]),
            "preallocation": data["preallocation"],
            "overcommitted": data["overcommitted"],
        }
        self.is_beyond_free = (
            data["preallocation"] != "full" and given["capacity_bytes"] > self.storage_pool.available_bytes
        )
        try:
            operation_type("create_volume").check(self.storage_pool, given)
        except NotPossible as error:
            raise ValidationError(str(error)) from error
        self.parameters = given
        return data

    def clean_size(self) -> Decimal:
        size: Decimal = self.cleaned_data["size"]
        if not size.is_finite():
            raise ValidationError(now_("Enter a number."))
        return size
