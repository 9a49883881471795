"""Which passwords are too easy: what people who guess try first, whatever its length.

https://github.com/dropbox/zxcvbn: how many guesses a password withstands, knowing words, names, dates, keyboards,
repetitions and sequences.
"""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# zxcvbn's time grows with the square of the length, and nothing so long is easy but by repetition.
_MOST_CHARACTERS = 72
# Of 0 to 4: at least 10^8 guesses.
_LEAST_SCORE = 3
_OUR_WORDS = ["vmportal", "libvirt", "qemu", "hypervisor", "administrator"]


class GuessablePasswordValidator:
    """For settings.AUTH_PASSWORD_VALIDATORS."""

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Raises: ValidationError."""
        # It takes megabytes of word lists, and is needed when somebody chooses a password.
        from zxcvbn import zxcvbn

        words = [*_OUR_WORDS, *(str(getattr(user, name, "")) for name in ("username", "first_name", "last_name"))]
        found: dict[str, Any] = zxcvbn(password[:_MOST_CHARACTERS], [word for word in words if word])
        if found["score"] < _LEAST_SCORE:
            raise ValidationError(_reason(found), code="password_guessable")

    def get_help_text(self) -> str:
        return _("Several unrelated words make a good password; sequences, repetitions and well-known ones do not.")


def _reason(found: dict[str, Any]) -> str:
    patterns = {part["pattern"] for part in found["sequence"]}
    if patterns & {"sequence", "repeat"}:
        why = _("it is mostly a sequence or a repetition, such as 123456 or aaaaaa.")
    elif "spatial" in patterns:
        why = _("it is a row of neighbouring keys.")
    elif "dictionary" in patterns:
        why = _("it is mostly a well-known password, word or name.")
    elif patterns & {"date", "regex"}:
        why = _("it is mostly a date or a year.")
    else:
        why = _("it is made of too few different parts.")
    return _("This password is easy to guess: %(why)s Take several unrelated words.") % {"why": why}
