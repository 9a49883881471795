"""What stands in URLs: `<row:pk>`, a primary key that both databases can look up, and `<token:id>`, which Redis can.

https://docs.djangoproject.com/en/5.2/topics/http/urls/#registering-custom-path-converters
"""

from django.db.models import BigAutoField

LARGEST_KEY = BigAutoField.MAX_BIGINT


class RowConverter:
    """Digits, no larger than the largest key; anything else is no path of ours."""

    regex = "[0-9]{1,19}"

    def to_python(self, text: str) -> int:
        """Raises: ValueError."""
        key = int(text)
        if key > LARGEST_KEY:
            raise ValueError(f"{text} is larger than any key")
        return key

    def to_url(self, key: int | str) -> str:
        return str(key)


class TokenConverter:
    """A random name that we made."""

    regex = "[-a-zA-Z0-9_]{1,64}"

    def to_python(self, text: str) -> str:
        return text

    def to_url(self, token: str) -> str:
        return token
