"""What the guest's system comes from, by method: is it chosen, and can it be that."""

from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from hypervisors.operations.domains.creation.parameters import Method
from hypervisors.web.domains.creation.choices import Choices
from hypervisors.web.domains.creation.drafts import Draft
from hypervisors.web.domains.creation.plans import Findings
from hypervisors.web.domains.creation.suggestions import system_named


def check_source(draft: Draft, choices: Choices, found: Findings) -> None:
    """Each method has its own."""
    check = _CHECKS.get(draft.method)
    if check is None:
        found.wrong("form", _("Choose how it gets its system."))
        return
    check(draft, choices, found)
    if draft.method in _WITH_SYSTEM and draft.system.strip() and system_named(draft.system) is None:
        text = _("No system of this name is known. Choose one of the list, or “Generic”.")
        found.wrong("system", text)


def _check_iso(draft: Draft, choices: Choices, found: Findings) -> None:
    image = choices.image(draft.iso)
    if image is None:
        found.needed("iso", _("an ISO image"))
    elif image.problem:
        found.wrong("iso", image.problem)


def _check_image(draft: Draft, choices: Choices, found: Findings) -> None:
    image = choices.image(draft.image)
    if image is None:
        found.needed("image", _("a cloud image"))
    elif image.problem:
        found.wrong("image", image.problem)
    elif image.is_medium:
        found.wrong("image", _("This is a CD image; a cloud image is a disk."))
    elif draft.image_way != "copy" and image.volume.format not in ("qcow2", "raw"):
        found.wrong("image_way", _("Only qcow2 and raw images can have a disk on top of them: copy it."))


def _check_imported(draft: Draft, choices: Choices, found: Findings) -> None:
    image = choices.image(draft.imported)
    if image is None:
        found.needed("imported", _("a disk image"))
    elif image.problem:
        found.wrong("imported", image.problem)
    elif draft.imported_way != "copy" and image.volume.format not in ("qcow2", "raw"):
        found.wrong("imported_way", _("Only qcow2 and raw images can be used as they are: copy it."))


def _check_template(draft: Draft, choices: Choices, found: Findings) -> None:
    if choices.template(draft.template) is None:
        found.needed("template", _("a template"))


def _check_tree(draft: Draft, choices: Choices, found: Findings) -> None:
    url = draft.tree_url.strip()
    if not url:
        found.needed("tree_url", _("a URL"))
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        found.wrong("tree_url", _("A URL that begins with http:// or https://."))


def _check_pxe(draft: Draft, choices: Choices, found: Findings) -> None:
    if not draft.interfaces:
        found.wrong("interfaces", _("To boot from the network it needs a network card."))


def _check_xml(draft: Draft, choices: Choices, found: Findings) -> None:
    if not draft.xml.strip():
        found.needed("xml", _("the XML"))


def _check_appliance(draft: Draft, choices: Choices, found: Findings) -> None:
    if choices.image(draft.appliance) is None:
        found.needed("appliance", _("an appliance"))


_CHECKS = {
    Method.ISO: _check_iso,
    Method.CLOUD_IMAGE: _check_image,
    Method.IMPORT: _check_imported,
    Method.TEMPLATE: _check_template,
    Method.URL_TREE: _check_tree,
    Method.PXE: _check_pxe,
    "xml": _check_xml,
    "appliance": _check_appliance,
}
_WITH_SYSTEM = frozenset({Method.ISO, Method.CLOUD_IMAGE, Method.IMPORT, Method.PXE, Method.URL_TREE})
