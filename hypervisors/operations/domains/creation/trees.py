"""Kernel and initial RAM disk of an installation tree on the web.

A tree says where they are in its .treeinfo (Fedora, RHEL), or by its layout (Debian, Ubuntu).
"""

import configparser
from collections.abc import Callable, Iterable

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.operations.domains.creation.parameters import CreateDomainParameters


def tree_file(parameters: CreateDomainParameters, kind: str) -> Callable[[], Iterable[bytes]]:
    """What gives the bytes of the "kernel" or "initrd" of the tree, when called."""

    def fetch() -> Iterable[bytes]:
        raise NotPossible(_("This version of vmportal fetches nothing from the web."))

    return fetch


def paths_in_treeinfo(text: str, arch: str = "x86_64") -> dict[str, str]:
    """ "kernel" and "initrd" as the tree's own description names them; empty when it does not."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
        section = parser[f"images-{arch}"]
    except (configparser.Error, KeyError):
        return {}
    return {kind: section[kind] for kind in ("kernel", "initrd") if section.get(kind)}
