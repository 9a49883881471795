"""Fields of the hardware's forms as HTML: a form has sixty, and an included template costs each ten times as much."""

from functools import lru_cache

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from hypervisors.web.domains.hardware.controls import Control

register = template.Library()

_BLANK = mark_safe("")


@register.simple_tag
def hardware_control(control: Control) -> SafeString:
    """The field with its label, error and hint; where other fields have other values it does not show."""
    return _drawn(control, get_language())


@lru_cache(maxsize=2000)
def _drawn(control: Control, language: str | None) -> SafeString:
    """Most fields of most devices are empty: what is equal looks the same."""
    classes = " ".join(
        [
            "vp-field",
            *(["vp-field-check"] if control.kind == "check" else []),
            *(["vp-whole"] if control.is_wide else []),
        ]
    )
    condition = format_html(' data-only-if="{}"', control.only_if) if control.only_if else _BLANK
    return format_html(
        '<div class="{}" id="field-{}"{}>{}<input type="hidden" name="was-{}" value="{}">{}'
        '<div class="vp-field-error" id="error-{}">{}</div></div>',
        classes,
        control.name,
        condition,
        _check(control) if control.kind == "check" else _labelled(control),
        control.name,
        control.was,
        _hint(control),
        control.name,
        control.error,
    )


def _hint(control: Control) -> SafeString:
    if not control.hint:
        return _BLANK
    return format_html('<div class="form-hint" id="hint-{}">{}</div>', control.name, control.hint)


def _check(control: Control) -> SafeString:
    return format_html(
        '<label class="form-check"><input type="checkbox" class="form-check-input" id="{}" name="{}" value="on"{}{}>'
        '<span class="form-check-label">{}</span></label>',
        control.id,
        control.input_name,
        mark_safe(" checked") if control.is_checked else _BLANK,
        _about(control),
        control.label,
    )


def _labelled(control: Control) -> SafeString:
    label = format_html('<label class="form-label" for="{}">{}</label>', control.id, control.label)
    made = {"select": _select, "area": _area, "size": _size}.get(control.kind, _input)(control)
    return label + made


def _about(control: Control) -> SafeString:
    """What a screen reader says of it too."""
    wrong = mark_safe(' aria-invalid="true"') if control.error and control.kind != "check" else _BLANK
    if not control.described_by:
        return wrong
    return wrong + format_html(' aria-describedby="{}"', control.described_by)


def _select(control: Control) -> SafeString:
    return format_html(
        '<select class="form-select" id="{}" name="{}"{}>{}</select>',
        control.id,
        control.input_name,
        _about(control),
        format_html_join(
            "",
            '<option value="{}"{}{}>{}</option>',
            (
                (
                    option.value,
                    mark_safe(" selected") if option.value == control.text else _BLANK,
                    mark_safe(" disabled") if option.is_disabled else _BLANK,
                    option.text,
                )
                for option in control.options
            ),
        ),
    )


def _area(control: Control) -> SafeString:
    return format_html(
        '<textarea class="form-control vp-code" id="{}" name="{}" rows="4" spellcheck="false" autocomplete="off"{}>'
        "{}</textarea>",
        control.id,
        control.input_name,
        _about(control),
        control.text,
    )


def _size(control: Control) -> SafeString:
    units = format_html_join(
        "",
        "<option{}>{}</option>",
        ((mark_safe(" selected") if unit == control.unit else _BLANK, unit) for unit in control.units),
    )
    return format_html(
        '<div class="vp-size-field"><input class="form-control" type="text" inputmode="decimal" id="{}" name="{}"'
        ' value="{}" autocomplete="off"{}><label class="visually-hidden" for="{}-unit">{}: {}</label>'
        '<select class="form-select" id="{}-unit" name="{}-unit">{}</select></div>',
        control.id,
        control.input_name,
        control.text,
        _about(control),
        control.id,
        control.label,
        _("unit"),
        control.id,
        control.input_name,
        units,
    )


def _input(control: Control) -> SafeString:
    is_password = control.kind == "password"
    made = format_html(
        '<input class="form-control{}" type="{}" id="{}" name="{}" value="{}"{}{} spellcheck="false"'
        ' autocomplete="{}"{}>',
        " vp-code" if control.is_code else "",
        "password" if is_password else "text",
        control.id,
        control.input_name,
        control.text,
        mark_safe(' inputmode="numeric"') if control.kind == "number" else _BLANK,
        format_html(' list="{}-proposals"', control.id) if control.proposals else _BLANK,
        "new-password" if is_password else "off",
        _about(control),
    )
    return made + _proposals(control) + (_clear(control) if is_password else _BLANK)


def _proposals(control: Control) -> SafeString:
    if not control.proposals:
        return _BLANK
    return format_html(
        '<datalist id="{}-proposals">{}</datalist>',
        control.id,
        format_html_join(
            "", '<option value="{}">{}</option>', ((option.value, option.text) for option in control.proposals)
        ),
    )


def _clear(control: Control) -> SafeString:
    return format_html(
        '<label class="form-check"><input type="checkbox" class="form-check-input" name="clear-{}" value="on">'
        '<span class="form-check-label">{}</span></label>',
        control.name,
        _("No password"),
    )
