"""Each page has a heading of its own, dialogs that are served as whole pages too."""

from pathlib import Path

TEMPLATES = Path(__file__).parents[2] / "templates"


def test_every_page_says_what_it_is_about() -> None:
    # allauth's own pages have theirs in what stands in its layouts.
    found = (path for path in TEMPLATES.rglob("*.html") if path.parent.name != "layouts")
    pages = {path: path.read_text() for path in found}
    titled = {
        path: text for path, text in pages.items() if '{% extends "base.html" %}' in text and "block title" in text
    }
    assert len(titled) > 30
    assert [str(path) for path, text in titled.items() if "{% block heading %}{% endblock %}" in text] == []
    silent = [str(path) for path, text in titled.items() if "{% block heading %}" not in text]
    assert silent == []
