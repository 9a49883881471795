"""Which names a virtual machine can have: what libvirt and QEMU take, said before they are asked."""

import unicodedata

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.models import Domain

# libvirt writes NAME.xml, and for QEMU "domain-N-NAME" cut short; a file name ends at 255 bytes, ".xml" and the
# temporary ".new" counted.
MAX_NAME_BYTES = 240


def checked_name(name: object, domain: Domain) -> str:
    """The name, if the domain can be called that. Raises: errors.NotPossible, whose text says what is wrong with it."""
    if not isinstance(name, str) or not name.strip():
        raise NotPossible(_("A virtual machine needs a name."))
    problem = name_problem(name)
    if problem:
        raise NotPossible(problem)
    if name == domain.name:
        raise NotPossible(_("It is called “%(name)s” already.") % {"name": name})
    _check_free(name, domain)
    return name


def checked_text(text: object, *, multiline: bool, max_length: int, what: str) -> str:
    """A title or description, if XML can carry it. Raises: errors.NotPossible."""
    if not isinstance(text, str):
        raise NotPossible(_("The %(what)s must be a text.") % {"what": what})
    text = text.replace("\r\n", "\n").strip()
    if len(text) > max_length:
        raise NotPossible(
            _("The %(what)s is too long: %(length)d characters; %(most)d fit.")
            % {"what": what, "length": len(text), "most": max_length}
        )
    allowed = "\n\t" if multiline else ""
    if any(_is_unprintable(character) and character not in allowed for character in text):
        raise NotPossible(_("The %(what)s contains a control character or a line break.") % {"what": what})
    if any(_is_invisible(character) for character in text):
        raise NotPossible(_("The %(what)s contains an invisible character.") % {"what": what})
    return text


def name_problem(name: str) -> str:
    """Why no machine can be called that; "" when one can."""
    if any(_is_unprintable(character) for character in name):
        return _("A name cannot contain control characters or line breaks.")
    if any(_is_invisible(character) for character in name):
        return _("A name cannot contain invisible characters.")
    if "/" in name:
        return _("A name cannot contain “/”: hosts keep each machine in a file of its name.")
    if name in (".", ".."):
        return _("“%(name)s” is not a possible name.") % {"name": name}
    if name != name.strip():
        return _("A name cannot begin or end with a space.")
    if len(name.encode()) > MAX_NAME_BYTES:
        return _("The name is too long: it takes %(length)d bytes; %(most)d fit. (é counts 2, 😀 counts 4.)") % {
            "length": len(name.encode()),
            "most": MAX_NAME_BYTES,
        }
    return ""


def _is_invisible(character: str) -> bool:
    # Joiners belong to some scripts; everything else of this kind is made for looking like something else.
    return unicodedata.category(character) == "Cf" and character not in "\u200c\u200d"


def _is_unprintable(character: str) -> bool:
    # Control characters, lone surrogates, and what XML 1.0 leaves out.
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff\u2028\u2029"


def _check_free(name: str, domain: Domain) -> None:
    if domain.hypervisor is None:
        return
    in_pool = Domain.objects.present().filter(hypervisor__hypervisor_pool=domain.hypervisor.hypervisor_pool)
    if in_pool.filter(name=name).exclude(pk=domain.pk).exists():
        # Not where: whoever asks may not be allowed to see that one.
        raise NotPossible(_("The name “%(name)s” is taken; names are unique in a pool.") % {"name": name})
