"""The values of secrets as people type them: text, or bytes as base64."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from hypervisors.errors import NotPossible
from hypervisors.operations.storage.secret_operations import MOST_VALUE_BYTES


def checked_value(given: Mapping[str, Any]) -> tuple[str, bool]:
    """What was typed, and whether it is base64. Raises: errors.NotPossible."""
    value, is_base64 = str(given.get("value") or ""), bool(given.get("is_base64"))
    if not value:
        raise NotPossible(_("Type the secret's value."))
    try:
        size = len(value_bytes(value, is_base64=is_base64))
    except ValueError as error:
        raise NotPossible(_("This is no base64.")) from error
    if not 0 < size <= MOST_VALUE_BYTES:
        raise NotPossible(_("A secret's value has at most 64 KiB."))
    return value, is_base64


def value_bytes(value: str, *, is_base64: bool) -> bytes:
    """Raises: ValueError."""
    if not is_base64:
        return value.encode()
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
