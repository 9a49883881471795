"""The manifest of an OVF package: a digest for each file (DSP0243, 6.3): `SHA256(disk1.vmdk)= 9f86d0…`."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

_LINE = re.compile(r"(SHA1|SHA256|SHA384|SHA512) ?\(([^()\r\n]{1,255})\) ?= ?([0-9a-fA-F]{40,128})", re.ASCII)
_NAMES = {"SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}
_MOST_LINES = 1000


@dataclass(frozen=True, kw_only=True)
class Digest:
    """`algorithm` is hashlib's name; `hexadecimal` in lower case."""

    algorithm: str
    hexadecimal: str

    def begin(self) -> Any:
        """A hash object to feed the file to."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def parse_manifest(content: bytes) -> dict[str, Digest]:
    """By file name. Raises: ValueError for a line that is none, or a file that stands there twice."""
    digests: dict[str, Digest] = {}
    lines = content.decode("utf-8", "replace").splitlines()
    if len(lines) > _MOST_LINES:
        raise ValueError("The manifest (.mf) has too many lines.")
    for line in lines:
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError("The manifest (.mf) cannot be read.")
        algorithm, name, hexadecimal = _NAMES[match[1]], match[2], match[3].lower()
        if name in digests or len(hexadecimal) != hashlib.new(algorithm, usedforsecurity=False).digest_size * 2:
            raise ValueError("The manifest (.mf) cannot be read.")
        digests[name] = Digest(algorithm=algorithm, hexadecimal=hexadecimal)
    return digests
