"""Key pairs by which vmportal logs in to hypervisors over ssh; made here, the private half never travels."""

import secrets

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.contrib.auth.models import User
from django.core.cache import cache

from hypervisors.access import audit, require_somewhere
from hypervisors.models.encryption import decrypted, encrypted
from hypervisors.privileges import Privilege

_COMMENT = "vmportal"
_GENERATED_KEY_SECONDS = 3600


def request_key_pair(user: User) -> tuple[str, str]:
    """`keep_generated_key` for who manages hosts. Raises: errors.NotPermitted."""
    require_somewhere(user, Privilege.HYPERVISOR_MANAGE, what="make a key pair")
    audit.record(user, "make a key pair")
    return keep_generated_key(user_id=user.pk)


def keep_generated_key(*, user_id: int) -> tuple[str, str]:
    """Make a key pair and keep its private half, encrypted, for an hour. Gives the token and the public key."""
    private_key = generate_private_key()
    token = secrets.token_urlsafe(24)
    cache.set(_generated_key(user_id, token), encrypted(private_key), _GENERATED_KEY_SECONDS)
    return token, public_key_of(private_key)


def find_generated_key(token: str, *, user_id: int) -> str | None:
    """The private half, for the one who had it made."""
    sealed = cache.get(_generated_key(user_id, token))
    return decrypted(sealed) if sealed else None


def _generated_key(user_id: int, token: str) -> str:
    return f"generated-ssh-key:{user_id}:{token}"


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
