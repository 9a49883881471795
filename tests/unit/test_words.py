"""Words that were retired stay retired: see docs/glossary.md for those that took their place."""

import re

import pytest

from deploy.environment import REPOSITORY

# What each was called, and what to say.
_RETIRED = {
    r"turnstile": "a limit",
    r"courier": "the delivery queue",
    r"\bglances?\b": "a summary",
    r"\bbur(y|ied|ial)\b": "a tombstone",
    r"\bsightings?\b": "an observation",
    r"\bnudges?\b|\bnudged\b": "a refresh request",
    r"console gateway": "the console proxy",
}
_OURS = ("bench", "deploy", "docs", "hypervisors", "static", "templates", "tests", "vmportal")
_SPARED = ("tests/unit/test_words.py", "docs/decisions/", "hypervisors/migrations/")
_TEXT = {".py", ".md", ".html", ".js", ".css", ".sh", ".service", ".conf", ".env"}


def _lines() -> list[tuple[str, str]]:
    paths = [*REPOSITORY.glob("*.md"), *(path for name in _OURS for path in (REPOSITORY / name).rglob("*"))]
    found = []
    for path in paths:
        name = path.relative_to(REPOSITORY).as_posix()
        if path.suffix in _TEXT and path.is_file() and not name.startswith(_SPARED):
            found += [(name, line) for line in path.read_text().splitlines()]
    return found


@pytest.mark.parametrize("pattern", _RETIRED)
def test_a_retired_word_is_not_used(pattern: str) -> None:
    lines = _lines()
    assert len(lines) > 10_000
    retired = re.compile(pattern, re.IGNORECASE)
    used = [f"{name}: {line.strip()}" for name, line in lines if retired.search(line)]
    assert used == [], f"say {_RETIRED[pattern]}"
