"""Kernel and initial RAM disk of an installation tree on the web, and what the installer must be told of the tree.

A tree says where they are in its .treeinfo (Fedora, RHEL, CentOS), or by its layout (Debian, Ubuntu, openSUSE). Nothing
is kept here: they stream from the web to the host.
"""

import configparser
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible, VmportalError
from hypervisors.fetching import Fetched, FetchRefused, checked_fetch

_BLOCK_BYTES = 1024 * 1024
_MOST_BYTES = {"kernel": 256 * 1024**2, "initrd": 2 * 1024**3}
_MOST_TREEINFO_BYTES = 1024**2


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Where the files are, below the tree's URL; `argument`: what names the tree to its installer, "" for none."""

    kernel: str
    initrd: str
    argument: str = ""


# By layout, the likeliest first.
LAYOUTS = (
    Tree(kernel="images/pxeboot/vmlinuz", initrd="images/pxeboot/initrd.img", argument="inst.repo"),
    Tree(
        kernel="current/images/netboot/debian-installer/amd64/linux",
        initrd="current/images/netboot/debian-installer/amd64/initrd.gz",
    ),
    Tree(
        kernel="main/installer-amd64/current/images/netboot/debian-installer/amd64/linux",
        initrd="main/installer-amd64/current/images/netboot/debian-installer/amd64/initrd.gz",
    ),
    Tree(
        kernel="current/legacy-images/netboot/ubuntu-installer/amd64/linux",
        initrd="current/legacy-images/netboot/ubuntu-installer/amd64/initrd.gz",
    ),
    Tree(kernel="debian-installer/amd64/linux", initrd="debian-installer/amd64/initrd.gz"),
    Tree(kernel="casper/vmlinuz", initrd="casper/initrd"),
    Tree(kernel="boot/x86_64/loader/linux", initrd="boot/x86_64/loader/initrd", argument="install"),
    Tree(kernel="linux", initrd="initrd.gz"),
)


def tree_file(url: str, kind: str) -> Callable[[], Iterator[bytes]]:
    """What gives the bytes of the tree's "kernel" or "initrd" whenever it is called."""
    return lambda: _blocks(url, kind)


def tree_arguments(url: str, given: str) -> str:
    """The kernel's arguments: those that were given, and the tree's own name where its installer asks for it.

    Raises: errors.VmportalError when it cannot be fetched.
    """
    argument = find_tree(url).argument
    if not argument or any(word.startswith(f"{argument}=") for word in given.split()):
        return given
    return f"{argument}={url.rstrip('/')}/ {given}".strip()


def find_tree(url: str) -> Tree:
    """Raises: errors.NotPossible when nothing of a tree is there, and when it may not be fetched from."""
    base = f"{url.rstrip('/')}/"
    described = _described(base)
    if described is not None:
        return described
    found = next((layout for layout in LAYOUTS if _is_there(urljoin(base, layout.kernel))), None)
    if found is None:
        raise NotPossible(
            _("%(url)s is no installation tree that is known here: there is no kernel in it.") % {"url": url}
        )
    return found


def check_tree_url(url: str) -> None:
    """From its text alone. Raises: errors.NotPossible."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not url.isprintable():
        raise NotPossible(_("The URL of an installation tree begins with http:// or https:// and names a server."))
    if parts.query or parts.fragment or len(url) > 1000:
        raise NotPossible(_("The URL of an installation tree is that of a directory."))


def tree_in(treeinfo: str, arch: str = "x86_64") -> Tree | None:
    """What the tree's own description says; None when that says nothing. A path that leaves the tree is none."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(treeinfo)
        section = parser[f"images-{arch}"]
    except (configparser.Error, KeyError):
        return None
    kernel, initrd = section.get("kernel", ""), section.get("initrd", "")
    if not kernel or not initrd or any(_leaves(path) for path in (kernel, initrd)):
        return None
    return Tree(kernel=kernel, initrd=initrd, argument="inst.repo")


def _leaves(path: str) -> bool:
    return path.startswith("/") or ".." in path.split("/") or ":" in path


def _described(base: str) -> Tree | None:
    for name in (".treeinfo", "treeinfo"):
        try:
            with ExitStack() as stack:
                fetched = _fetch(stack, urljoin(base, name), _MOST_TREEINFO_BYTES)
                text = b"".join(fetched.blocks(_BLOCK_BYTES))[:_MOST_TREEINFO_BYTES]
        except FetchRefused:
            continue
        return tree_in(text.decode(errors="replace"))
    return None


def _is_there(url: str) -> bool:
    try:
        with ExitStack() as stack:
            _fetch(stack, url, _MOST_BYTES["kernel"])
    except FetchRefused:
        return False
    return True


def _blocks(url: str, kind: str) -> Iterator[bytes]:
    tree = find_tree(url)
    path = tree.kernel if kind == "kernel" else tree.initrd
    with ExitStack() as stack:
        fetched = _fetch(stack, urljoin(f"{url.rstrip('/')}/", path), _MOST_BYTES[kind])
        length = 0
        for block in fetched.blocks(_BLOCK_BYTES):
            length += len(block)
            if length > _MOST_BYTES[kind]:
                raise NotPossible(_("The %(kind)s of the tree is larger than any.") % {"kind": kind})
            yield block
    if fetched.length_bytes is not None and length != fetched.length_bytes:
        raise VmportalError(_("The %(kind)s was cut off on its way.") % {"kind": kind})


def _fetch(stack: ExitStack, url: str, most_bytes: int) -> Fetched:
    return stack.enter_context(checked_fetch(url, allow=settings.FETCH_ALLOW, most_bytes=most_bytes))
