"""What of a machine is encrypted with which secret, https://libvirt.org/formatdomain.html: its TPM and its disks."""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from hypervisors.libvirtxml.documents import attribute_at, parse_document


@dataclass(frozen=True, kw_only=True)
class EncryptedPart:
    """A machine's TPM ("tpm") or one of its disks ("disk", with its target), and the secret: by UUID, or by usage."""

    kind: str
    target: str = ""
    secret_uuid: str = ""
    secret_usage: str = ""


def encrypted_parts(xml: str) -> tuple[EncryptedPart, ...]:
    """Of a domain's XML, or of what holds one. Secrets that only open the way to storage are not among them.

    Raises: ValueError when it is not well-formed.
    """
    return tuple(dict.fromkeys(_parts(parse_document(xml))))


def _parts(root: etree._Element) -> Iterator[EncryptedPart]:
    for tpm in root.iter("tpm"):
        for encryption in tpm.iter("encryption"):
            yield EncryptedPart(kind="tpm", secret_uuid=encryption.get("secret", "").lower())
    for disk in root.iter("disk"):
        target = attribute_at(disk, "target", "dev")
        for encryption in disk.iter("encryption"):
            for secret in encryption.iterchildren("secret"):
                yield EncryptedPart(
                    kind="disk",
                    target=target,
                    secret_uuid=secret.get("uuid", "").lower(),
                    secret_usage=secret.get("usage", ""),
                )
