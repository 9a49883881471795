"""The form of a storage pool: the fields that its type has."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.storage_pool_builder import STORAGE_POOL_XML
from hypervisors.libvirtxml.storage_pool_specs import SourceHost, StoragePoolSpec
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES
from hypervisors.web.definitions.forms import DefinitionForm, words_of
from hypervisors.web.storage.storage_pool_form_words import (
    BUILDING_LABELS,
    HINTS,
    HINTS_OF_FIELDS,
    LABELS,
    PLACEHOLDERS,
    TYPE_GROUPS,
    TYPE_LABELS,
)

_SAME = (
    *("pool_type", "name", "target_path", "directory", "source_name", "format", "protocol_version"),
    *("initiator", "adapter", "auth_username"),
)


class StoragePoolForm(DefinitionForm[StoragePoolSpec]):
    definition_xml = STORAGE_POOL_XML
    kind_field = "pool_type"
    kinds = POOL_TYPES
    usual_kind = "dir"
    no_fields = _("vmportal has no fields for a storage pool of the type “%s”.")
    labels, hints, hints_of_fields = LABELS, HINTS, HINTS_OF_FIELDS

    pool_type = forms.ChoiceField(label=_("Type"), required=False, initial="dir")
    hosts = forms.CharField(label=_("Server"), required=False, max_length=2000)
    directory = forms.CharField(label=_("Folder"), required=False, max_length=2000)
    source_name = forms.CharField(label=_("Name of the source"), required=False, max_length=1000)
    devices = forms.CharField(label=_("Disk"), required=False, max_length=4000)
    # What another type has chosen counts as not chosen: the type decides what there is.
    format = forms.CharField(label=_("Format"), required=False, max_length=40, widget=forms.Select)
    protocol_version = forms.CharField(label=_("NFS version"), required=False, max_length=20)
    initiator = forms.CharField(label=_("Initiator"), required=False, max_length=300)
    adapter = forms.CharField(label=_("Adapter"), required=False, max_length=300)
    auth_username = forms.CharField(label=_("User"), required=False, max_length=300)
    secret = forms.CharField(label=_("libvirt secret"), required=False, max_length=1100)
    target_path = forms.CharField(label=_("Path on the host"), required=False, max_length=2000)
    building = forms.CharField(label=_("If it is new"), required=False, max_length=40, widget=forms.Select)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pool_type"].choices = self.type_choices  # type: ignore[attr-defined]
        self.building_choices = list(self._building_labels().items())
        self.fields["building"].widget.choices = self.building_choices
        self.fields["format"].widget.choices = [(name, name) for name in self._formats()]

    # --- what is shown

    @property
    def shown_names(self) -> list[str]:
        return [name for name in self.type.fields if name not in self._hidden()]

    @property
    def shown_fields(self) -> list[dict[str, Any]]:
        """The type's own fields, in order."""
        return [self.shown(name) for name in self.shown_names]

    @property
    def building_field(self) -> dict[str, Any]:
        return self.shown("building") | {"is_optional": False}

    @property
    def type_choices(self) -> list[tuple[Any, list[tuple[str, str]]]]:
        return [(label, [(name, f"{TYPE_LABELS[name]} ({name})") for name in names]) for label, names in TYPE_GROUPS]

    @property
    def type_label(self) -> str:
        return f"{TYPE_LABELS.get(self.kind_name, '')} ({self.kind_name})".strip()

    @property
    def hidden_in_xml(self) -> list[forms.BoundField]:
        return [*super().hidden_in_xml, self["building"]]

    def placeholder(self, name: str) -> str:
        usual = self.type.usual_target.replace("%s", "…") if name == "target_path" else ""
        return PLACEHOLDERS.get((self.type.name, name), usual)

    def is_optional(self, name: str) -> bool:
        return super().is_optional(name) or bool(name == "target_path" and self.type.usual_target)

    # --- what it says

    def parameters(self) -> dict[str, Any]:
        building = self.cleaned_data["building"]
        is_one = building in dict(self.building_choices) and not self.is_xml
        return super().parameters() | {"building": building if is_one else ""}

    @classmethod
    def initial_of(cls, spec: StoragePoolSpec) -> dict[str, Any]:
        """The values of the fields that say the same."""
        values = {name: getattr(spec, name) for name in _SAME}
        values["hosts"] = ", ".join(_host_text(host) for host in spec.hosts)
        values["devices"] = ", ".join(spec.devices)
        values["secret"] = spec.secret_uuid or spec.secret_usage
        return values

    def spec_of_fields(self) -> StoragePoolSpec:
        data = self.cleaned_data
        mine = set(self.type.fields)
        texts = {
            name: data[name] if name in mine else ""
            for name in (
                *("directory", "source_name", "protocol_version", "initiator", "adapter", "auth_username"),
                "target_path",
            )
        }
        secret = data["secret"] if "secret" in mine else ""
        name = self.fixed.name if self.fixed is not None else data["name"]
        target = texts.pop("target_path")
        if target != "/":
            target = target.rstrip("/")
        usual = self.type.usual_target
        if usual and not target:
            target = usual % texts["source_name"] if "%s" in usual else usual
        return StoragePoolSpec(
            pool_type=self.kind_name,
            name=name,
            hosts=tuple(_hosts(data["hosts"])) if "hosts" in mine else (),
            devices=words_of(data["devices"]) if "devices" in mine else (),
            format=self._format(data["format"]),
            secret_uuid=secret if _is_uuid(secret) else "",
            secret_usage="" if _is_uuid(secret) else secret,
            target_path=target,
            **texts,
        )

    def _format(self, chosen: str) -> str:
        formats = self._formats()
        return chosen if chosen in formats else next(iter(formats), "")

    def _hidden(self) -> Iterable[str]:
        return ("target_path",) if self.type.name == "zfs" else ()

    def _formats(self) -> Sequence[str]:
        formats: tuple[str, ...] = self.type.formats
        if self.fixed is not None and self.fixed.format and self.fixed.format not in formats:
            return (self.fixed.format, *formats)
        return formats

    def _building_labels(self) -> dict[str, Any]:
        kind = "" if self.type.name == "netfs" else self.type.building
        return BUILDING_LABELS.get(kind, {"": ""})


def _hosts(text: str) -> Iterable[SourceHost]:
    for word in words_of(text):
        name, colon, port = word.rpartition(":")
        is_address = word.count(":") > 1 and not word.startswith("[")
        if colon and port.isdecimal() and not is_address:
            yield SourceHost(name=name.strip("[]"), port=int(port[:9]))
        else:
            yield SourceHost(name=word.strip("[]"))


def _host_text(host: SourceHost) -> str:
    name = f"[{host.name}]" if ":" in host.name and host.port is not None else host.name
    return name if host.port is None else f"{name}:{host.port}"


def _is_uuid(text: str) -> bool:
    try:
        return bool(text) and str(UUID(text)) == text.lower()
    except ValueError:
        return False
