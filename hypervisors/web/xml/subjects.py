"""What has XML that can be edited: a machine, a storage pool, a network; the same pages show all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.http import HttpRequest, HttpResponse

from hypervisors.models import XmlVersion
from hypervisors.models.xml_versions import digest

# Renders a page of the subject: its template, and the context.
Render = Callable[[str, Mapping[str, Any]], HttpResponse]


@dataclass(frozen=True, kw_only=True)
class XmlSubject:
    """One of them, as somebody sees it.

    `why_not`: why they cannot change it, "" when they can; `given` makes the parameters of an operation of `kind` from
    what was typed; `edit_url` leads to the editor, below which the other pages are.
    """

    row: models.Model
    name: str
    # Of its XML: "domain", "pool", "network".
    root: str
    xml: str
    live_xml: str = ""
    kind: str
    may_edit: bool
    why_not: str
    given: Callable[[str, bool], dict[str, Any]]
    edit_url: str
    # Changes of it, as vp-refresh is told to follow them.
    follow: str
    # Of one that runs: when a change of it applies.
    started_note: str = ""
    # What the operation is about, where that is not the row itself.
    acted_on: models.Model | None = None
    # Of the editor; "" for that of what starts.
    label: str = ""
    # Whether libvirt can be told to pass over what its schema does not know.
    has_schema_choice: bool = False

    @property
    def operated(self) -> models.Model:
        return self.row if self.acted_on is None else self.acted_on

    @property
    def base(self) -> str:
        """By what the XML that is shown is known."""
        return digest(self.xml)

    @property
    def versions_url(self) -> str:
        return f"{self.edit_url}versions/"

    @property
    def news_url(self) -> str:
        return f"{self.edit_url}news/?base={self.base}"

    def xml_of(self, base: str) -> str | None:
        """The version that somebody began with; None when it was never seen, or is forgotten."""
        found = XmlVersion.objects.of(self.row).filter(sha256=base).first()
        return None if found is None else found.xml


SubjectOf = Callable[..., tuple[XmlSubject, Render]]


def given_with_digest(xml: str, digest_of: Callable[[str], str]) -> Callable[[str, bool], dict[str, Any]]:
    """For kinds that know the definition by a digest of theirs, and check no schema."""

    def given(text: str, by_schema: bool) -> dict[str, Any]:
        try:
            return {"digest": digest_of(xml), "xml": text}
        except ValueError:
            return {"digest": "", "xml": text}

    return given


def typed_text(request: HttpRequest) -> str:
    """What the form holds, with the line ends of libvirt."""
    return request.POST.get("xml", "").replace("\r\n", "\n")
