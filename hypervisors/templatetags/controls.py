"""Form controls in the look of the pages, for Django's and allauth's forms alike."""

from typing import Any

from django import forms, template
from django.forms import BoundField
from django.utils.safestring import SafeString

register = template.Library()

_CLASSES: list[tuple[type[forms.Widget], str]] = [
    (forms.CheckboxInput, "form-check-input"),
    (forms.RadioSelect, "form-check-input"),
    (forms.Select, "form-select"),
    (forms.Widget, "form-control"),
]


@register.simple_tag
def control(field: BoundField, **attributes: Any) -> SafeString:
    """The field's control. `data_x` becomes `data-x`; its error and hint are announced with it."""
    css = next(css for kind, css in _CLASSES if isinstance(field.field.widget, kind))
    given = {name.replace("_", "-"): value for name, value in attributes.items() if value not in (None, "")}
    given["class"] = f"{css} {given.get('class', '')}".strip()
    given["aria-describedby"] = f"hint-{field.html_name} error-{field.html_name}"
    return field.as_widget(attrs=given)
