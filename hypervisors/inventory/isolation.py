"""Keeping one object's bad data from the others: what the database cannot take is named and passed over."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DataError, IntegrityError, transaction

logger = logging.getLogger(__name__)

# What is wrong with the data and not with the database: numbers that are too large, text that is none, doubles.
DATA_ERRORS = (DataError, IntegrityError, ValueError, TypeError, OverflowError)


class Isolation:
    """How a mirror saves: all at once, which is fast; or, when that failed, each object in a savepoint of its own."""

    def __init__(self, *, each: bool) -> None:
        self.each = each

    @contextmanager
    def saving(self, name: str) -> Iterator[None]:
        """Write one object; `name` is what an operator knows it by."""
        if not self.each:
            yield
            return
        try:
            with transaction.atomic():
                yield
        except DATA_ERRORS as error:
            logger.error("%s cannot be written and is passed over: %s", name, error)


AT_ONCE = Isolation(each=False)
