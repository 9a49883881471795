"""What a host presents as its ssh keys, asked by ssh-keyscan, https://man.openbsd.org/ssh-keyscan.1.

Anyone on the way could have answered in its stead: a person compares the fingerprints before they are trusted.
"""

import base64
import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

SCAN_SECONDS = 5
_LABELS = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA"}


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """One public key of a host; `line` is as in known_hosts."""

    line: str
    label: str
    fingerprint: str


def scan_host_keys(host: str, port: int) -> tuple[HostKey, ...]:
    """The keys that answer there now, ED25519 first; none when nothing answers in time.

    `host` has passed `parse_uri`, so it cannot be taken for an option.
    """
    command = ["ssh-keyscan", "-T", str(SCAN_SECONDS), "-p", str(port), "--", host]
    try:
        scan = subprocess.run(command, capture_output=True, text=True, timeout=3 * SCAN_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return read_host_keys(scan.stdout.splitlines())


def read_host_keys(lines: Iterable[str]) -> tuple[HostKey, ...]:
    """Those lines of a known_hosts file that hold a key, ED25519 first."""
    keys = [key for line in lines if not line.startswith("#") and (key := _host_key(line)) is not None]
    return tuple(sorted(keys, key=lambda key: (key.label != "ED25519", key.label)))


def _host_key(line: str) -> HostKey | None:
    typed = [(kind, body) for kind, body in pairwise(line.split()) if kind.startswith(("ssh-", "ecdsa-", "sk-"))]
    if not typed:
        return None
    kind, encoded = typed[0]
    try:
        digest = hashlib.sha256(base64.b64decode(encoded, validate=True)).digest()
    except ValueError:
        return None
    fingerprint = base64.b64encode(digest).decode().rstrip("=")
    label = _LABELS.get(kind, "ECDSA" if kind.startswith("ecdsa-") else kind)
    return HostKey(line=line.strip(), label=label, fingerprint=f"SHA256:{fingerprint}")
