"""What libvirt left out of XML that somebody typed: it drops what it does not know without a word."""

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.typed_documents import dropped_by_libvirt

_MOST_TOLD = 20


def losses_text(typed: str, kept: str) -> str:
    """ "" when nothing is missing of what was typed. Raises: ValueError for what is no XML."""
    dropped = dropped_by_libvirt(typed, kept)
    if not dropped:
        return ""
    shown = ", ".join(dropped[:_MOST_TOLD]) + (", …" if len(dropped) > _MOST_TOLD else "")
    return _("libvirt left out what it does not know: %(what)s.") % {"what": shown}
