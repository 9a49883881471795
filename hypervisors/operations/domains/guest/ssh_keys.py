"""An SSH key of an account in a guest, as it is asked for: the same to add it and to remove it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypervisors.cloudinit.checks import check_ssh_key
from hypervisors.errors import NotPossible
from hypervisors.operations.domains.set_guest_password import checked_guest_user


@dataclass(frozen=True, kw_only=True)
class GuestKeyParameters:
    """`key`: one line, as in authorized_keys."""

    user: str
    key: str


def checked_guest_key(given: Mapping[str, Any]) -> GuestKeyParameters:
    """Raises: errors.NotPossible."""
    key = str(given.get("key") or "").strip()
    try:
        check_ssh_key(key)
    except ValueError as error:
        raise NotPossible(str(error)) from error
    return GuestKeyParameters(user=checked_guest_user(given.get("user")), key=key)
