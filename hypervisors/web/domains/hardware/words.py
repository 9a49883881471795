"""Labels, help and choices of the fields, by device type or section: libvirt's words as people say them."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from hypervisors.web.domains.hardware.choice_words import CHOICE_WORDS, NOTHING_WORDS
from hypervisors.web.domains.hardware.device_labels import DEVICE_LABELS, OWN_LABELS
from hypervisors.web.domains.hardware.helps import HELPS
from hypervisors.web.domains.hardware.section_labels import SECTION_LABELS

# Drives are named as disks are.
_LIKE = {"cdrom": "disk", "floppy": "disk"}


def field_label(key: str, name: str) -> str | Promise:
    """`key`: of the device type or section. What has no label is called as libvirt calls it."""
    found = SECTION_LABELS.get((key, name)) or OWN_LABELS.get((key, name)) or DEVICE_LABELS.get(name)
    return found or name.replace("_", " ").capitalize()


def field_help(key: str, name: str) -> str | Promise:
    return HELPS.get((key, name)) or HELPS.get((_LIKE.get(key, key), name), "")


def choice_word(key: str, name: str, value: str) -> str:
    """What a choice is called; "" is nothing chosen."""
    if value == "":
        return str(NOTHING_WORDS.get(name, _("the hypervisor's default")))
    kind = _LIKE.get(key, key)
    return str(CHOICE_WORDS.get((f"{kind}.{name}", value)) or CHOICE_WORDS.get((name, value)) or value)
