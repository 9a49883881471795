"""Which lines of a known_hosts text are keys of one host, https://man.openbsd.org/sshd.8#SSH_KNOWN_HOSTS_FILE_FORMAT.

Hosts are told apart by name and port, as ssh does. A line of another host is no key of this one: ssh would let that
host pass for this one, since it looks our hosts up under an alias.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

_SSH_PORT = 22
_KEY_TYPES = {
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
}
_REVOKED, _AUTHORITY = "@revoked", "@cert-authority"


@dataclass(frozen=True, kw_only=True)
class KnownHostKey:
    """A host's public key; a revoked one is never accepted from it."""

    kind: str
    encoded: str
    is_revoked: bool = False

    def line_for(self, host: str) -> str:
        return f"{_REVOKED + ' ' if self.is_revoked else ''}{host} {self.kind} {self.encoded}"


@dataclass(frozen=True, kw_only=True)
class _Line:
    marker: str
    patterns: tuple[str, ...]
    key: KnownHostKey


def bind_known_hosts(text: str, host: str, port: int) -> str:
    """The host's own keys in the text, a line each, all under its name and port; "" for an empty text.

    A key without a host, as in /etc/ssh/*.pub, is taken for this host's. Lines of other hosts are left out. Raises:
    ValueError, whose text says why no key is left, or what cannot be accepted.
    """
    if not text.strip():
        return ""
    lines = list(_lines(text))
    if not lines:
        raise ValueError("No ssh host key is in this; paste a line of known_hosts or of /etc/ssh/…pub.")
    if any(line.marker == _AUTHORITY for line in lines):
        raise ValueError(
            "A @cert-authority line would accept every host that the authority has signed. Paste the host's own key."
        )
    unclear = next((name for line in lines if not line.marker for name in line.patterns if _is_pattern(name)), None)
    if unclear:
        raise ValueError(f"“{unclear}” stands for many hosts. Write this host's name, or only the key.")
    keys = usable_host_keys(text, host, port)
    if not any(not key.is_revoked for key in keys):
        raise ValueError(_why_none(lines, known_hosts_name(host, port)))
    return "\n".join(key.line_for(known_hosts_name(host, port)) for key in keys)


def usable_host_keys(text: str, host: str, port: int) -> tuple[KnownHostKey, ...]:
    """The host's own keys in the text, and those that are revoked; the revoked ones are among the others never."""
    name = known_hosts_name(host, port)
    mine = [line for line in _lines(text) if line.marker != _AUTHORITY and _names(line, name)]
    revoked = {(line.key.kind, line.key.encoded) for line in mine if line.key.is_revoked}
    keys = [line.key for line in mine if line.key.is_revoked or (line.key.kind, line.key.encoded) not in revoked]
    return tuple(dict.fromkeys(keys))


def known_hosts_name(host: str, port: int) -> str:
    """How ssh writes a host into known_hosts."""
    return host.lower() if port == _SSH_PORT else f"[{host.lower()}]:{port}"


def _lines(text: str) -> Iterator[_Line]:
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if not words or words[0].startswith("#") or marker not in ("", _REVOKED, _AUTHORITY):
            continue
        patterns = () if words[0] in _KEY_TYPES else tuple(words.pop(0).split(","))
        if len(words) >= 2 and words[0] in _KEY_TYPES and _holds(words[1], words[0]):
            key = KnownHostKey(kind=words[0], encoded=words[1], is_revoked=marker == _REVOKED)
            yield _Line(marker=marker, patterns=patterns, key=key)


def _holds(encoded: str, kind: str) -> bool:
    """Whether it is a key of that kind: its bytes begin with the kind's name, RFC 4253 §6.6."""
    try:
        blob = base64.b64decode(encoded, validate=True)
        (length,) = struct.unpack(">I", blob[:4])
    except (binascii.Error, struct.error, ValueError):
        return False
    return blob[4 : 4 + length] == kind.encode() and len(blob) > 4 + length


def _names(line: _Line, name: str) -> bool:
    if not line.patterns:
        return True
    if line.marker == _REVOKED and any(fnmatchcase(name, pattern.lower()) for pattern in line.patterns):
        # Wildcards may take trust away, never give it.
        return True
    return any(_is(pattern, name) for pattern in line.patterns)


def _is(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _is_hash_of(pattern, name)
    return pattern.lower() in (name, f"[{name}]:{_SSH_PORT}")


def _is_hash_of(pattern: str, name: str) -> bool:
    """`|1|salt|HMAC-SHA1 of the name`, each in base64."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), hashlib.sha1), digest)


def _is_pattern(name: str) -> bool:
    return name.startswith("!") or "*" in name or "?" in name


def _why_none(lines: list[_Line], name: str) -> str:
    if all(line.key.is_revoked for line in lines):
        return f"All of these keys are revoked; paste the one that {name} has now."
    others = sorted({"a hashed name" if p.startswith("|") else p for line in lines for p in line.patterns})
    return (
        f"None of these keys is of {name}: they are of {', '.join(others[:5])}. "
        "If one is this host's all the same, paste only the key, without the name before it."
    )
