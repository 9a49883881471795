"""Writing of a row what differs, and nothing else."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model


def bring_up_to_date(row: Model, values: Mapping[str, Any]) -> bool:
    """Write the values that the row does not have; False when it has them all."""
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(row, name, value)
        row.save(update_fields=list(changed))
    return bool(changed)
