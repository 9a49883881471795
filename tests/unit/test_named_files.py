"""What the documents and comments name is there: a file that moved takes its name along."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from deploy.environment import REPOSITORY

_DOCUMENTS = [
    *(REPOSITORY / name for name in ("CONTRIBUTING.md", "README.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "deploy").rglob("*.md")),
]
_SOURCES = ("bench", "deploy", "hypervisors", "static", "templates", "tests", "vmportal")
_SOURCE_SUFFIXES = {".py", ".js", ".css", ".html", ".sh", ".in", ".conf", ".service", ".env"}
# a/b, a/b/ and a.py; not what is part of a longer word, an address or a pattern.
_PATH = re.compile(
    r"(?<![\w/.…<>{}$~:%@-])"
    r"((?:[\w-]+/)+[\w.-]*|[\w.-]+\.(?:py|md|js|html|css|toml|sh|in|conf|txt|json))"
    r"(?![\w/<{*…])"
)
_DOCUMENT = re.compile(r"(?<![\w/.:-])((?:[\w-]+/)*[\w-]+\.md|docs/decisions/\d{4})\b")
_ADDRESS = re.compile(r"https?://\S+")
# Words with a slash or a dot that name no file of ours, and files that exist only where vmportal runs.
_NO_FILES = re.compile(
    r"I/O|KVM/QEMU|host\d*/system|Node\.js|libvirtd\.conf|lab\.json|var/.*|SHARED/.*|[A-Z]+/[A-Z]+|[kKMGT]i?(?:B|bit)/s|\d+/\d+"
)


def _exists(name: str, document: Path) -> bool:
    places = (REPOSITORY, REPOSITORY / "hypervisors", REPOSITORY / "deploy", document.parent)
    if any((place / name).exists() for place in places) or list(REPOSITORY.glob(f"{name}-*.md")):
        return True
    # A name alone: what is said around it tells where.
    return "/" not in name.removesuffix("/") and name.removesuffix("/") in _names()


@cache
def _names() -> set[str]:
    return {path.name for folder in _SOURCES for path in (REPOSITORY / folder).rglob("*")}


def _named(document: Path) -> set[str]:
    text = _ADDRESS.sub("", document.read_text())
    return {found[1].rstrip(".") for found in _PATH.finditer(text)} - {""}


@pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_a_document_names_only_what_there_is(document: Path) -> None:
    missing = {name for name in _named(document) if not _NO_FILES.fullmatch(name) and not _exists(name, document)}
    assert missing == set()


def test_what_is_looked_for_is_found() -> None:
    named = _named(REPOSITORY / "CONTRIBUTING.md")
    assert {"docs/architecture.md", "libvirtxml/storage_volumes.py", "static/elements/", "CHANGELOG.md"} <= named


def _sources() -> Iterator[Path]:
    for name in _SOURCES:
        for path in (REPOSITORY / name).rglob("*"):
            if path.suffix in _SOURCE_SUFFIXES and path.is_file() and path != Path(__file__):
                yield path


def test_a_comment_names_only_documents_that_there_are() -> None:
    named = {
        (path.relative_to(REPOSITORY).as_posix(), found[1])
        for path in _sources()
        for found in _DOCUMENT.finditer(_ADDRESS.sub("", path.read_text()))
    }
    assert ("hypervisors/inventory/writer.py", "docs/decisions/0002") in named
    assert {(source, name) for source, name in named if not _exists(name, REPOSITORY / source)} == set()
