"""Icons as inline SVG, from https://tabler.io/icons as npm installs them."""

import re
from functools import cache, lru_cache
from pathlib import Path

from django import template
from django.conf import settings
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_ICON_NAME = re.compile(r"[a-z0-9-]+")
_DRAWING = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


@register.simple_tag
def icon(name: str, label: str = "", *, filled: bool = False, extra: str = "") -> SafeString:
    """The icon as an `<svg>`; decoration unless `label` says what it means. `extra` adds CSS classes.

    Raises: LookupError when Tabler has no icon of that name.
    """
    meaning = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return _drawn(name, filled=filled, extra=conditional_escape(extra), meaning=meaning)


@lru_cache(maxsize=1000)
def _drawn(name: str, *, filled: bool, extra: SafeString, meaning: SafeString) -> SafeString:
    """All that is put in is escaped: what is equal looks the same."""
    paint = "icon-filled" if filled else "icon-outline"
    return format_html(
        '<svg class="icon {} {}" viewBox="0 0 24 24" {}>{}</svg>', paint, extra, meaning, _drawing(name, filled=filled)
    )


@cache
def _drawing(name: str, *, filled: bool) -> SafeString:
    if not _ICON_NAME.fullmatch(name):
        raise LookupError(f"{name!r} is not the name of an icon.")
    path = Path(settings.NODE_MODULES, "@tabler/icons/icons", "filled" if filled else "outline", f"{name}.svg")
    try:
        source = path.read_text()
    except FileNotFoundError as error:
        raise LookupError(f"There is no icon {name!r} in {path.parent}; is `npm ci` done?") from error
    found = _DRAWING.search(source)
    assert found is not None
    # The drawings come from the locked npm package, not from anything typed.
    return mark_safe(re.sub(r"\s*\n\s*", "", found[1]))  # noqa: S308
