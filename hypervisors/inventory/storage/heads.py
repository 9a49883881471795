"""What images say of themselves, as rows: which system an ISO installs, and that a file is not what it is called.

The watcher reads the first 64 KiB of what looks like an image, once, and again when its size changes.
"""

import re
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.gateway.storage.volumes import VolumeFacts
from hypervisors.imaging.image_headers import ImageFacts, IsoLabels, inspect_head, iso_labels
from hypervisors.models import Volume, VolumeHead
from hypervisors.osinfo import OperatingSystem, detect_media, guess_from_file_name

# As distributions call what they publish for clouds.
_CLOUD_WORDS = re.compile(r"cloud|openstack|(^|[-_.])ec2($|[-_.])", re.IGNORECASE)
_ISO = ".iso"


@dataclass(frozen=True, kw_only=True)
class ReadHead:
    """What the head of one volume said."""

    facts: ImageFacts
    labels: IsoLabels | None


def looks_like_image(name: str, format_: str, volume_type: str) -> bool:
    """Whether it is something that machines are made of, by what libvirt says and by its name."""
    if volume_type not in ("file", "block"):
        return False
    return format_ == "iso" or name.lower().endswith(_ISO) or bool(_CLOUD_WORDS.search(name))


def head_fingerprint(facts: VolumeFacts) -> tuple[Any, ...]:
    """Differs when the head is to be read again."""
    return facts.format, facts.capacity_bytes, facts.physical_bytes


def read_head(head: bytes, facts: VolumeFacts) -> ReadHead:
    return ReadHead(facts=inspect_head(head, size_bytes=facts.physical_bytes), labels=iso_labels(head))


def save_head(volume: Volume, head: ReadHead) -> bool:
    """Write what it said; False when that is known."""
    system, labels = _system_of(volume.name, head.labels), head.labels
    values = {
        "format": head.facts.format[:40],
        "problem": _problem(volume.name, head.facts),
        # A label is bytes of whoever made the image.
        "label": _printable(labels.volume_id)[:100] if labels else "",
        "is_bootable": labels is not None and labels.is_bootable,
        "system_id": system.short_id[:100] if system else "",
        "system_name": system.name[:200] if system else "",
    }
    row = VolumeHead.objects.filter(volume=volume).first()
    if row is not None and all(getattr(row, name) == value for name, value in values.items()):
        return False
    VolumeHead.objects.update_or_create(volume=volume, defaults=values | {"read_at": timezone.now()})
    return True


def _system_of(name: str, labels: IsoLabels | None) -> OperatingSystem | None:
    found = detect_media(labels) if labels is not None else []
    return found[0] if found else guess_from_file_name(name)


def _problem(name: str, facts: ImageFacts) -> str:
    if name.lower().endswith(_ISO) and facts.format != "iso":
        return _("It is called .iso and is none: its content looks like %(format)s.") % {"format": facts.format}
    return facts.problem


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()
