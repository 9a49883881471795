"""Key pairs by which vmportal logs in to hypervisors over ssh; made here, the private half never travels."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_COMMENT = "vmportal"


def generate_private_key() -> str:
    """A new ED25519 key in OpenSSH's format, without a passphrase."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def public_key_of(private_key: str) -> str:
    """The line for authorized_keys. Raises: ValueError, whose text says what is wrong with the key."""
    text = private_key.replace("\r\n", "\n").strip() + "\n"
    try:
        if "BEGIN OPENSSH PRIVATE KEY" in text:
            key = serialization.load_ssh_private_key(text.encode(), password=None)
        else:
            loaded = serialization.load_pem_private_key(text.encode(), password=None)
            key = loaded  # type: ignore[assignment]
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    except TypeError as error:
        raise ValueError("This key is protected by a passphrase; vmportal needs one without.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if "BEGIN OPENSSH PRIVATE KEY" in text and "encrypted" in str(error).lower():
            raise ValueError("This key is protected by a passphrase; vmportal needs one without.") from error
        raise ValueError("This is not a private key in OpenSSH's or PEM format.") from error
    return f"{public.decode()} {_COMMENT}"
