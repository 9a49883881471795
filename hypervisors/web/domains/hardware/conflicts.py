"""Somebody else was faster: what is different from what the form was made of."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from hypervisors.web.domains.hardware.controls import Draft, text_of_value
from hypervisors.web.domains.hardware.machines import MachineHardware
from hypervisors.web.domains.hardware.panes import ADD, SECTION, XML, Part
from hypervisors.web.domains.hardware.words import field_label


def conflicts_of(hardware: MachineHardware, part: Part, draft: Draft, posted: Mapping[str, str]) -> list[str]:
    """What the person is told; empty when the form is of what is stored now."""
    base = posted.get("base_sha256", "")
    if not base or base == hardware.base_sha256:
        return []
    lines = _changed_fields(part, draft) if posted.get("tab") != XML and part.kind != ADD else []
    if lines:
        return lines
    if part.kind == SECTION:
        return [_("Another part of the machine was changed, by somebody else or by another program.")]
    return [_("The machine was changed, by somebody else or by another program.")]


def _changed_fields(part: Part, draft: Draft) -> list[str]:
    """Field by field: what stood in it when the form was made, and what stands there now."""
    found = []
    for field in part.fields:
        was, now = draft.was.get(field.name, ""), text_of_value(field, part.values.get(field.name, field.absent_value))
        if field.is_secret or was == now or field.name not in draft.was:
            continue
        label = field_label(part.key, field.name)
        found.append(_("%(field)s: %(was)s, now %(now)s") % {"field": label, "was": was or "–", "now": now or "–"})
    return found
