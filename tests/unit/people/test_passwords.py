"""Which passwords are refused, with which words."""

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from hypervisors.administration.people import new_password


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("123456789012", "entirely numeric"),
        ("98765432109876543210", "entirely numeric"),
        ("aaaaaaaaaaaaaa", "sequence or a repetition"),
        ("abcabcabcabcabc", "sequence or a repetition"),
        ("abcdefghijklmnop", "sequence or a repetition"),
        ("qazwsxedcrfv", "easy to guess"),
        ("qwertyuiopasdf", "well-known password"),
        ("password1234", "well-known password"),
        ("Passw0rd!Passw0rd!", "sequence or a repetition"),
        ("administrator1", "well-known password"),
        ("vmportal2026", "easy to guess"),
        ("alicealice12", "easy to guess"),
        ("Alice.Liddell", "too similar to the last name"),
        ("01.02.1990-12", "easy to guess"),
        ("short-one", "at least 12 characters"),
    ],
)
def test_what_is_guessed_first_is_refused_with_the_reason(password: str, said: str) -> None:
    alice = User(username="alice", first_name="Alice", last_name="Liddell")
    with pytest.raises(ValidationError) as refusal:
        validate_password(password, alice)
    assert said in " ".join(refusal.value.messages)


HARD = [
    "four calm words together",
    "vRx8-qL2m-Zt5w",
    "Ofen Tasse Nebel Kran",
    "пароль сова крыша ветер",
    "Kq7#mW-pL2" * 40,
]


@pytest.mark.parametrize("password", HARD)
def test_what_is_hard_to_guess_passes(password: str) -> None:
    validate_password(password, User(username="alice"))


def test_those_that_are_made_here_pass() -> None:
    for _ in range(20):
        validate_password(new_password(), User(username="alice"))
