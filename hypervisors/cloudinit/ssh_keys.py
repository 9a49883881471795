"""What a line of authorized_keys says of itself; sshd(8), “AUTHORIZED_KEYS FILE FORMAT”.

Whoever wrote it may be hostile.
"""

import base64
import hashlib
from dataclasses import dataclass
from itertools import pairwise

from hypervisors.cloudinit.checks import type_inside


@dataclass(frozen=True, kw_only=True)
class SshKey:
    """`fingerprint`: as ssh-keygen -l shows it. Type and fingerprint are empty for what is no whole key."""

    line: str
    type: str = ""
    fingerprint: str = ""
    comment: str = ""
    # What it is limited to, as in `from="192.0.2.1",no-pty`.
    options: str = ""


def read_ssh_key(line: str) -> SshKey:
    """The first word that the next one names as its type is the key's: options before it may hold blanks."""
    words = line.split(" ")
    for at, (kind, encoded) in enumerate(pairwise(words)):
        if kind and type_inside(encoded) == kind:
            return SshKey(
                line=line,
                type=kind,
                fingerprint=_fingerprint(encoded),
                comment=" ".join(words[at + 2 :]).strip(),
                options=" ".join(words[:at]).strip(),
            )
    return SshKey(line=line)


def _fingerprint(encoded: str) -> str:
    digest = hashlib.sha256(base64.b64decode(encoded)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
