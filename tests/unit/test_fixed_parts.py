"""Parts of pages that are made once for everybody."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from hypervisors.templatetags.fixed_parts import fixed

TEMPLATES = Path(settings.BASE_DIR, "templates")
NAMES = sorted(
    {name for path in TEMPLATES.rglob("*.html") for name in re.findall(r'{% fixed "(.+?)" %}', path.read_text())}
)


def test_some_parts_are_fixed() -> None:
    assert "components/dialogs.html" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_fixed_part_says_nothing_of_who_asks(name: str) -> None:
    """It is rendered without a context: a variable would be empty for everybody."""
    source = TEMPLATES.joinpath(name).read_text()
    assert "{{" not in source
    assert not re.search(r"{%[^%]*\b(user|request|may|csrf_token|perms|messages)\b", source)


def test_a_fixed_part_is_in_the_language_of_the_page() -> None:
    with translation.override("en"):
        english = fixed("components/dialogs.html")
    with translation.override("de"):
        german = fixed("components/dialogs.html")
    assert "Cancel" in english
    assert german != english
