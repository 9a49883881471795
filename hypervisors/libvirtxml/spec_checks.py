"""What may stand in a spec's text fields: checked before XML is built, and said in words for people."""

import re
import unicodedata

# libvirt writes NAME.xml and NAME_VARS.fd; a file name ends at 255 bytes, and temporary ones are longer.
MAX_NAME_BYTES = 240
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def check_name(name: str) -> None:
    """Raises: ValueError when no virtual machine can be called that."""
    if not name:
        raise ValueError("A virtual machine needs a name.")
    check_line(name, "name")
    if "/" in name or name in (".", ".."):
        raise ValueError("A virtual machine's name has no “/”, and is not “.” or “..”.")
    if name != name.strip():
        raise ValueError("A virtual machine's name does not begin or end with a space.")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"A virtual machine's name has at most {MAX_NAME_BYTES} bytes.")


def check_line(text: str, what: str) -> None:
    """Raises: ValueError when it is not one line that XML can carry."""
    if any(_is_unprintable(character) for character in text):
        raise ValueError(f"The {what} contains a control character or a line break.")


def check_text(text: str, what: str) -> None:
    """As `check_line`, but line breaks and tabs are text. Raises: ValueError."""
    if any(_is_unprintable(character) and character not in "\n\t" for character in text):
        raise ValueError(f"The {what} contains a control character.")


def check_word(text: str, what: str, *, may_be_empty: bool = False) -> None:
    """libvirt's own words: models, buses, machine types. Raises: ValueError."""
    if not (text == "" and may_be_empty) and not _WORD.fullmatch(text):
        raise ValueError(f"“{_shown(text)}” is no {what}.")


def check_path(path: str, what: str) -> None:
    """A file or device of the host. Raises: ValueError."""
    check_line(path, what)
    if not path.startswith("/"):
        raise ValueError(f"The {what} is given as a path that begins with “/”.")


def check_mac(mac: str) -> None:
    """An address that one network card can have. Raises: ValueError."""
    if not _MAC.fullmatch(mac):
        raise ValueError(f"“{_shown(mac)}” is no MAC address such as 52:54:00:12:34:56.")
    if int(mac[:2], 16) & 1:
        raise ValueError(f"{mac} is a multicast address; a network card's first byte is even.")
    if mac.replace(":", "").strip("0") == "":
        raise ValueError(f"{mac} is no address of a network card.")


def check_one_of(value: str, choices: tuple[str, ...], what: str) -> None:
    """Raises: ValueError."""
    if value not in choices:
        raise ValueError(f"“{_shown(value)}” is no {what}; it is one of {', '.join(c or 'none' for c in choices)}.")


def check_between(value: int, least: int, most: int, what: str) -> None:
    """Raises: ValueError."""
    if not least <= value <= most:
        raise ValueError(f"The {what} is at least {least} and at most {most}, not {value}.")


def _is_unprintable(character: str) -> bool:
    # Control characters, lone surrogates, and what XML 1.0 leaves out.
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff\u2028\u2029"


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text[:60])
