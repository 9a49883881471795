"""Names of machines, hosts and volumes, which are not ours: what is invisible in them is shown in sentences."""

from typing import Any

from django import template

from hypervisors.web import naming

register = template.Library()


@register.filter
def visible(text: Any) -> str:
    """`{{ name|visible }}` inside sentences and attributes; alone in its element a name stands in <bdi> as it is."""
    return "" if text is None else naming.visible(str(text))
