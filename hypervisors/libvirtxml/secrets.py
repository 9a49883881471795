"""A libvirt secret's XML, https://libvirt.org/formatsecret.html. Its value is never in it, and never read."""

import re
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, child_at, parse_document, text_at
from hypervisors.libvirtxml.elements import add, add_text

# What a secret of each type is told from others by.
USAGE_ELEMENTS = {"ceph": "name", "iscsi": "target", "volume": "volume", "tls": "name", "vtpm": "name"}
_MOST_CHARACTERS = 200
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]+")


@dataclass(frozen=True, kw_only=True)
class SecretSpec:
    """`usage_type` is one of USAGE_ELEMENTS; "" for one that only its UUID names."""

    uuid: str = ""
    usage_type: str = ""
    usage: str = ""
    description: str = ""
    # Forgotten when the host's libvirt ends.
    is_ephemeral: bool = False
    # Nobody can ask libvirt for its value.
    is_private: bool = True


def build_secret(spec: SecretSpec) -> str:
    root = etree.Element(
        "secret", ephemeral="yes" if spec.is_ephemeral else "no", private="yes" if spec.is_private else "no"
    )
    if spec.uuid:
        add_text(root, "uuid", spec.uuid)
    if spec.description:
        add_text(root, "description", spec.description)
    if spec.usage_type:
        add_text(add(root, "usage", type=spec.usage_type), USAGE_ELEMENTS[spec.usage_type], spec.usage)
    return etree.tostring(root, encoding="unicode")


def parse_secret(xml: str) -> SecretSpec:
    """Raises: ValueError when it is not well-formed."""
    root = parse_document(xml)
    usage = child_at(root, "usage")
    usage_type = attribute_at(root, "usage", "type")
    return SecretSpec(
        uuid=text_at(root, "uuid"),
        usage_type=usage_type,
        usage=text_at(usage, USAGE_ELEMENTS.get(usage_type, "name")),
        description=text_at(root, "description"),
        is_ephemeral=root.get("ephemeral") == "yes",
        is_private=root.get("private") == "yes",
    )


def secret_problems(spec: SecretSpec) -> dict[str, str]:
    """What is wrong, for people, by field."""
    found = {}
    if spec.usage_type not in USAGE_ELEMENTS:
        found["usage_type"] = f"Choose one of {', '.join(USAGE_ELEMENTS)}."
    if not spec.usage or not _is_plain(spec.usage):
        found["usage"] = "Say what it is for, in one line of at most 200 characters."
    if spec.description and not _is_plain(spec.description):
        found["description"] = "A description is one line of at most 200 characters."
    return found


def _is_plain(text: str) -> bool:
    return bool(_PLAIN.fullmatch(text)) and text == text.strip() and len(text) <= _MOST_CHARACTERS
