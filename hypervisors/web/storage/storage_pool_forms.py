"""The form of a storage pool: the fields that its type has, or its XML; each can be turned into the other."""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.storage_pool_builder import build_storage_pool, read_storage_pool_spec
from hypervisors.libvirtxml.storage_pool_specs import SourceHost, StoragePoolSpec, name_problem, spec_problems
from hypervisors.libvirtxml.storage_pool_types import POOL_TYPES, PoolType
from hypervisors.models import Hypervisor, HypervisorPool

TYPE_LABELS = {
    "dir": _("Folder"),
    "netfs": _("NFS, SMB or Gluster share, mounted"),
    "logical": _("LVM volume group"),
    "fs": _("Disk with a file system"),
    "disk": _("Whole disk, by partitions"),
    "zfs": _("ZFS pool"),
    "mpath": _("Multipath devices"),
    "scsi": _("SCSI or Fibre Channel adapter"),
    "iscsi": _("iSCSI target"),
    "iscsi-direct": _("iSCSI target, without logging the host in"),
    "rbd": _("Ceph RBD"),
    "gluster": _("Gluster volume, without mounting it"),
}
_GROUPS = (
    (_("On the host"), ("dir", "logical", "fs", "disk", "zfs", "mpath", "scsi")),
    (_("On the network"), ("netfs", "iscsi", "iscsi-direct", "rbd", "gluster")),
)
BUILDING_LABELS = {
    "folder": {"": _("Use the folder as it is"), "folder": _("Create the folder if it is not there")},
    "disk": {
        "": _("Use what is on the disk"),
        "format": _("Format it; refused where it holds something"),
        "overwrite": _("Format it, and lose whatever is on it"),
    },
}
# What a field is called where the type has its own word for it.
LABELS: dict[tuple[str, str], Any] = {
    ("dir", "target_path"): _("Folder"),
    ("netfs", "target_path"): _("Mounted at"),
    ("fs", "target_path"): _("Mounted at"),
    ("netfs", "directory"): _("Exported folder or share"),
    ("gluster", "directory"): _("Folder in the volume"),
    ("logical", "source_name"): _("Volume group"),
    ("rbd", "source_name"): _("Ceph pool"),
    ("gluster", "source_name"): _("Gluster volume"),
    ("zfs", "source_name"): _("ZFS pool"),
    ("rbd", "hosts"): _("Monitors"),
    ("iscsi", "devices"): _("Target"),
    ("iscsi-direct", "devices"): _("Target"),
    ("logical", "devices"): _("Disks to make it of"),
}
HINTS: dict[tuple[str, str], Any] = {
    ("dir", "target_path"): _("On the host, or on storage that every host mounts at the same place."),
    ("logical", "devices"): _("Only needed to make a new volume group."),
    ("logical", "target_path"): _("Empty for the usual place, /dev and its name."),
    ("rbd", "hosts"): _("Several, separated by commas; with a port after a colon if it is not the usual one."),
    ("gluster", "hosts"): _("Several, separated by commas; with a port after a colon if it is not the usual one."),
    ("netfs", "protocol_version"): _("Such as 4.2; empty for what server and host agree on."),
}
_PLACEHOLDERS: dict[tuple[str, str], str] = {
    ("dir", "target_path"): "/var/lib/libvirt/images",
    ("netfs", "target_path"): "/var/lib/libvirt/nas1",
    ("netfs", "directory"): "/export/vms",
    ("fs", "devices"): "/dev/sdb1",
    ("logical", "devices"): "/dev/sdb, /dev/sdc",
    ("disk", "devices"): "/dev/sdb",
    ("zfs", "devices"): "/dev/sdb",
    ("iscsi", "devices"): "iqn.2024-01.org.example:storage",
    ("iscsi-direct", "devices"): "iqn.2024-01.org.example:storage",
    ("scsi", "adapter"): "scsi_host3",
    ("rbd", "hosts"): "mon1, mon2:6789",
}
_SEPARATORS = re.compile(r"[\s,;]+")


class StoragePoolForm(forms.Form):
    """`spec` is what the fields, or the XML, say; `problems` what is wrong with it, by field.

    Nothing is required by Django: what is missing is said when it is asked for, not while somebody types.
    """

    view = forms.ChoiceField(choices=[("form", ""), ("xml", "")], widget=forms.HiddenInput, required=False)
    pool_type = forms.ChoiceField(label=_("Type"), required=False, initial="dir")
    name = forms.CharField(label=_("Name"), required=False, max_length=255)
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
    start = forms.BooleanField(label=_("Start it now"), required=False, initial=True)
    autostart = forms.BooleanField(label=_("Start it with its host"), required=False, initial=True)
    xml = forms.CharField(label=_("XML"), required=False, max_length=100_000, widget=forms.Textarea)

    def __init__(self, *args: Any, fixed: StoragePoolSpec | None = None, **kwargs: Any) -> None:
        """`fixed`: the storage pool that is edited, whose name and type stay."""
        super().__init__(*args, **kwargs)
        self.fixed = fixed
        self.problems: dict[str, str] = {}
        self.fields["pool_type"].choices = self.type_choices  # type: ignore[attr-defined]
        self.building_choices = list(self._building_labels().items())
        self.fields["building"].widget.choices = self.building_choices
        self.fields["format"].widget.choices = [(name, name) for name in self._formats()]

    # --- what is shown

    @property
    def type(self) -> PoolType:
        return POOL_TYPES.get(self.type_name, POOL_TYPES["dir"])

    @property
    def type_name(self) -> str:
        if self.fixed is not None:
            return self.fixed.pool_type
        return str(self.data.get("pool_type") or self.initial.get("pool_type") or "dir")

    @property
    def is_xml(self) -> bool:
        return str(self.data.get("view") or self.initial.get("view") or "form") == "xml"

    @property
    def shown_fields(self) -> list[dict[str, Any]]:
        """The type's own fields, in order, each with its label, hint, problem and whether it may be left empty."""
        return [self._shown(name) for name in self.type.fields if name not in self._hidden()]

    @property
    def said_at(self) -> str:
        """The elements that say what is wrong, for htmx; those of one that is edited are fewer."""
        names = [field["name"] for field in self.shown_fields]
        if self.fixed is not None:
            return ",".join(["#pool-messages", *(f"#error-{name}" for name in names)])
        ids = ["#pool-messages", "#pool-places", "#pool-submit"]
        return ",".join([*ids, "#error-name", *(f"#error-{name}" for name in names)])

    @property
    def type_choices(self) -> list[tuple[Any, list[tuple[str, str]]]]:
        return [(label, [(name, f"{TYPE_LABELS[name]} ({name})") for name in names]) for label, names in _GROUPS]

    @property
    def type_label(self) -> str:
        return f"{TYPE_LABELS.get(self.type_name, '')} ({self.type_name})".strip()

    @property
    def hidden_in_xml(self) -> list[forms.BoundField]:
        """What the fields said, so that it is still there when they are shown again."""
        return [self[name] for name in ("pool_type", "building")]

    @property
    def other_problems(self) -> list[str]:
        """Of what has no field on the screen now."""
        shown = {"name", *(field["name"] for field in self.shown_fields)}
        return [text for name, text in self.problems.items() if self.is_xml or name not in shown]

    # --- what it says

    def read(self) -> StoragePoolSpec | None:
        """The spec, with `problems` filled in; None where there is none."""
        if not self.is_valid():
            self.problems |= {name: " ".join(map(str, texts)) for name, texts in self.errors.items()}
            return None
        if self.is_xml:
            return self._read_xml()
        spec = self._spec_of_fields()
        self.problems = spec_problems(spec)
        return spec

    def parameters(self) -> dict[str, Any]:
        """Of the operation, once read() found no problem."""
        data = self.cleaned_data
        said = {"xml": data["xml"]} if self.is_xml else {"spec": self._spec_of_fields().to_json()}
        building = data["building"] if data["building"] in dict(self.building_choices) and not self.is_xml else ""
        return said | {"building": building, "start": data["start"], "autostart": data["autostart"]}

    def mute_what_is_missing(self) -> None:
        """While somebody still types: what is not filled in yet is no mistake."""
        empty = {name for name in self.fields if not str(self.data.get(name, "")).strip()}
        self.problems = {name: text for name, text in self.problems.items() if name not in empty}

    def turned_to_xml(self, xml: str = "") -> dict[str, Any]:
        """Initial values of a form that shows as XML what this one says; of an edit, `xml` with that changed."""
        spec = self._spec_of_fields() if self.is_valid() else None
        text = xml or (build_storage_pool(spec) if spec is not None and spec.pool_type in POOL_TYPES else "")
        return {**self._said(), "view": "xml", "xml": text}

    def turned_to_fields(self) -> dict[str, Any]:
        """Initial values of a form that shows in fields what the XML says. Raises: ValueError."""
        spec = read_storage_pool_spec(str(self.data.get("xml", "")))
        if spec.pool_type not in POOL_TYPES:
            raise ValueError(now_("vmportal has no fields for a storage pool of the type “%s”.") % spec.pool_type)
        return {**self._said(), **initial_of(spec), "view": "form"}

    def _said(self) -> dict[str, Any]:
        return {name: self.data[name] for name in self.data}

    def _read_xml(self) -> StoragePoolSpec | None:
        try:
            spec = read_storage_pool_spec(self.cleaned_data["xml"])
        except ValueError as error:
            self.problems["xml"] = str(error)
            return None
        wrong = name_problem(spec.name)
        if wrong:
            self.problems["xml"] = wrong
        return spec

    def _spec_of_fields(self) -> StoragePoolSpec:
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
            pool_type=self.type_name,
            name=name,
            hosts=tuple(_hosts(data["hosts"])) if "hosts" in mine else (),
            devices=tuple(filter(None, _SEPARATORS.split(data["devices"]))) if "devices" in mine else (),
            format=self._format(data["format"]),
            secret_uuid=secret if _is_uuid(secret) else "",
            secret_usage="" if _is_uuid(secret) else secret,
            target_path=target,
            **texts,
        )

    def _format(self, chosen: str) -> str:
        formats = self._formats()
        return chosen if chosen in formats else next(iter(formats), "")

    def _shown(self, name: str) -> dict[str, Any]:
        key = (self.type.name, name)
        bound = self[name]
        bound.label = LABELS.get(key, bound.label)
        self.fields[name].widget.attrs["placeholder"] = _PLACEHOLDERS.get(key, self._usual_target(name))
        return {
            "name": name,
            "bound": bound,
            "hint": HINTS.get(key, _HINTS_OF_FIELDS.get(name, "")),
            "problem": self.problems.get(name, ""),
            "is_optional": name not in self.type.required or bool(name == "target_path" and self.type.usual_target),
        }

    def _usual_target(self, name: str) -> str:
        return self.type.usual_target.replace("%s", "…") if name == "target_path" else ""

    def _hidden(self) -> Iterable[str]:
        return ("target_path",) if self.type.name == "zfs" else ()

    def _formats(self) -> Sequence[str]:
        formats = self.type.formats
        if self.fixed is not None and self.fixed.format and self.fixed.format not in formats:
            return (self.fixed.format, *formats)
        return formats

    def _building_labels(self) -> dict[str, Any]:
        kind = "" if self.type.name == "netfs" else self.type.building
        return BUILDING_LABELS.get(kind, {"": ""})


_HINTS_OF_FIELDS = {
    "secret": _("Its UUID or its usage: the password itself stands in libvirt on the host, and never here."),
    "initiator": _("The iSCSI name of the host itself."),
}


def initial_of(spec: StoragePoolSpec) -> dict[str, Any]:
    """The values of the fields that say the same."""
    values = {name: getattr(spec, name) for name in _SAME}
    values["hosts"] = ", ".join(_host_text(host) for host in spec.hosts)
    values["devices"] = ", ".join(spec.devices)
    values["secret"] = spec.secret_uuid or spec.secret_usage
    return values


_SAME = (
    *("pool_type", "name", "target_path", "directory", "source_name", "format", "protocol_version"),
    *("initiator", "adapter", "auth_username"),
)


def place_choices(hypervisors: Sequence[Hypervisor], pools: Sequence[HypervisorPool]) -> list[tuple[str, str]]:
    """Where it can be made: "host-3", or "pool-1" for every host of a pool that has several."""
    choices = []
    for pool in pools:
        count = sum(host.hypervisor_pool_id == pool.pk for host in hypervisors)
        if count > 1:
            text = now_("Every host of %(pool)s (%(count)d)") % {"pool": pool.name, "count": count}
            choices.append((f"pool-{pool.pk}", text))
        choices += [(f"host-{host.pk}", host.name) for host in hypervisors if host.hypervisor_pool_id == pool.pk]
    return choices


def _hosts(text: str) -> Iterable[SourceHost]:
    for word in filter(None, _SEPARATORS.split(text)):
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
