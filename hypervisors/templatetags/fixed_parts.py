"""Parts of pages that are the same for everybody: made once per language and process."""

from functools import cache

from django import template
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag
def fixed(name: str) -> SafeString:
    """The template without any context: it cannot tell who asks, and so shows nobody what is another's."""
    return render_to_string(name) if settings.DEBUG else _made(name, get_language())


@cache
def _made(name: str, language: str | None) -> SafeString:
    return render_to_string(name)
