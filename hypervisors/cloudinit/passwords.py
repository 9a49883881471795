"""Passwords as crypt(5) keeps them: SHA-512, `$6$salt$hash`, https://www.akkadia.org/drepper/SHA-crypt.txt.

Python's own `crypt` module goes with 3.13.
"""

import hashlib
import secrets

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 5000
_SALT_LENGTH = 16
# Longer ones only cost time: the digest repeats them.
MOST_BYTES = 1024


def hashed(password: str, *, salt: str = "") -> str:
    """What /etc/shadow takes; with a new salt, unless one is given. Raises: ValueError for one that cannot be one."""
    if not password:
        raise ValueError("A password is not empty.")
    if any(character in password for character in "\0\r\n"):
        raise ValueError("A password is one line.")
    secret = password.encode()
    if len(secret) > MOST_BYTES:
        raise ValueError(f"A password has at most {MOST_BYTES} bytes.")
    salt = salt or "".join(secrets.choice(_ALPHABET) for _ in range(_SALT_LENGTH))
    return f"$6${salt}${_encoded(_digest(secret, salt.encode()))}"


def _digest(secret: bytes, salt: bytes) -> bytes:
    digest = hashlib.sha512(_first_input(secret, salt)).digest()
    secret_bytes = _repeated(hashlib.sha512(secret * len(secret)).digest(), len(secret))
    salt_bytes = _repeated(hashlib.sha512(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(_ROUNDS):
        odd = number & 1
        parts = [secret_bytes if odd else digest]
        parts += [salt_bytes] if number % 3 else []
        parts += [secret_bytes] if number % 7 else []
        parts.append(digest if odd else secret_bytes)
        digest = hashlib.sha512(b"".join(parts)).digest()
    return digest


def _first_input(secret: bytes, salt: bytes) -> bytes:
    alternate = hashlib.sha512(secret + salt + secret).digest()
    parts = [secret, salt, _repeated(alternate, len(secret))]
    length = len(secret)
    while length:
        parts.append(alternate if length & 1 else secret)
        length >>= 1
    return b"".join(parts)


def _repeated(data: bytes, length: int) -> bytes:
    return (data * (length // len(data) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """crypt's own base 64, over groups of three bytes in its own order."""
    text = ""
    order = (0, 21, 42)
    for _ in range(21):
        first, second, third = (digest[index] for index in order)
        text += _letters(first << 16 | second << 8 | third, 4)
        order = (order[1] + 1, order[2] + 1, order[0] + 1)
    return text + _letters(digest[63], 2)


def _letters(value: int, count: int) -> str:
    letters = ""
    for _ in range(count):
        letters += _ALPHABET[value & 63]
        value >>= 6
    return letters
