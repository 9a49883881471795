"""A text field that is encrypted at rest with Fernet (https://cryptography.io/en/latest/fernet/)."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from hypervisors.errors import CredentialsUnreadable

if TYPE_CHECKING:
    StringField = models.TextField[str, str]
else:
    StringField = models.TextField


class EncryptedTextField(StringField):
    """Holds text; the database holds its ciphertext. The empty string stays empty, so that "is set" can be asked.

    Reading raises errors.CredentialsUnreadable when VMPORTAL_ENCRYPTION_KEY is not the key that it was written with.
    """

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypted(value) if value else value

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        try:
            return decrypted(value)
        except InvalidToken as error:
            raise CredentialsUnreadable(
                "Its stored credentials cannot be decrypted; enter them again. (VMPORTAL_ENCRYPTION_KEY is not the key "
                "that they were written with; the former key may stand behind the new one, separated by a comma.)"
            ) from error


def encrypted(text: str) -> str:
    """Ciphertext for what leaves the database's rows, such as a secret in a task's message."""
    return _fernet().encrypt(text.encode()).decode()


def decrypted(ciphertext: str) -> str:
    """Raises: cryptography.fernet.InvalidToken."""
    return _fernet().decrypt(ciphertext.encode()).decode()


@lru_cache(maxsize=1)
def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
