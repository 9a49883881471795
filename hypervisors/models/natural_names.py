"""A column that sorts names as people do, alike on SQLite and PostgreSQL: 9 before 10, case ignored."""

import re
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    _TextField = models.CharField[str, str]
else:
    _TextField = models.CharField

_NUMBER = re.compile(r"[0-9]+")
_DIGITS = 12
_MOST_CHARACTERS = 600


def natural_text(name: str) -> str:
    """Ordered by code points, such texts are names in their natural order. Cut off after 600 characters."""
    return _NUMBER.sub(lambda number: number[0].lstrip("0").rjust(_DIGITS, "0"), name.casefold())[:_MOST_CHARACTERS]


class NaturalNameField(_TextField):
    """Follows the model's `name` whenever a row is saved whole; whoever updates `name` in a query updates it too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.update(max_length=_MOST_CHARACTERS, editable=False, default="")
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        for fixed in ("max_length", "editable", "default"):
            kwargs.pop(fixed, None)
        return name, path, args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        key = natural_text(model_instance.name)  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, key)
        return key

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        # SQLite compares code points by itself.
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
