"""What a change of a machine's hardware takes, as the page sends it and as the operation's row keeps it. All is JSON.

`values` are those of libvirtxml.hardware's tables, by field name. In a request passwords stand among them; the row
keeps them in `secret_values`, which it loses with its end. `base_sha256` is the digest of the stored XML that the form
was made of (DomainDefinition.inactive_sha256): the change is refused when it is another by then; "" asks for no such
guard. `xml` is one device as a text, in place of values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hypervisors.libvirtxml.hardware.fields import Value


class When(StrEnum):
    """From when on it holds. A machine that is off has only its next start."""

    NOW = "now"  # in what runs and in what is stored, or not at all
    NEXT_START = "next_start"  # in what is stored


WHENS: dict[str, Promise] = {When.NOW: _("now"), When.NEXT_START: _("at the next start")}


@dataclass(frozen=True, kw_only=True)
class NewDisk:
    """A volume that is made for a disk. `name` "": made of the machine's name. See libvirtxml.storage_volumes."""

    storage_pool_id: int
    capacity_bytes: int
    name: str = ""
    format: str = "qcow2"
    preallocation: str = "off"
    # Somebody knows that it can grow beyond what is free.
    overcommitted: bool = False


@dataclass(frozen=True, kw_only=True)
class AddDeviceParameters:
    """`volume_id`: what a disk or a drive has in it; `new_disk`: the fields of NewDisk, in its place."""

    device_type: str
    values: dict[str, Value] = field(default_factory=dict)
    secret_values: dict[str, Value] = field(default_factory=dict)
    xml: str = ""
    when: str = When.NOW
    base_sha256: str = ""
    volume_id: int | None = None
    new_disk: dict[str, Any] | None = None

    @property
    def all_values(self) -> Mapping[str, Value]:
        return self.values | self.secret_values


@dataclass(frozen=True, kw_only=True)
class ChangeDeviceParameters:
    """`device_id`: as libvirtxml.hardware.devices names it. `volume_id`: another volume for the disk, or None."""

    device_id: str
    device_type: str
    values: dict[str, Value] = field(default_factory=dict)
    secret_values: dict[str, Value] = field(default_factory=dict)
    xml: str = ""
    when: str = When.NOW
    base_sha256: str = ""
    volume_id: int | None = None

    @property
    def all_values(self) -> Mapping[str, Value]:
        return self.values | self.secret_values


@dataclass(frozen=True, kw_only=True)
class RemoveDeviceParameters:
    """`confirmed`: somebody knows what the guest has mounted from the disk, or that nobody can tell."""

    device_id: str
    when: str = When.NOW
    confirmed: bool = False
    base_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class ChangeSectionParameters:
    """`section`: a key of libvirtxml.hardware.sections.SECTIONS."""

    section: str
    values: dict[str, Value] = field(default_factory=dict)
    when: str = When.NOW
    base_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class ChangeMediaParameters:
    """`volume_id` None: take the medium out. `force`: also when the guest has locked the drive."""

    device_id: str
    volume_id: int | None = None
    force: bool = False
