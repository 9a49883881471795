"""The parent of a bulk request: it follows its children, see operations/engine/parents.py."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from hypervisors.models import Operation
from hypervisors.operations.engine.parents import BULK, SEVERAL, child_ended
from hypervisors.operations.engine.registry import kind_label
from hypervisors.operations.engine.runs import Later, Result, Run
from hypervisors.operations.engine.types import OperationType
from hypervisors.privileges import Privilege

# A parent is brought up to date by its children; this is only how often a worker would look at one it was handed.
_LOOK_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class BulkParameters:
    """The kind that each child is of, and who was refused: [{"name", "reason"}, …]."""

    kind: str = ""
    refused: list[dict[str, str]] = field(default_factory=list)


class Bulk(OperationType[models.Model]):
    """Not asked for by itself: `request_of_many` makes it."""

    kind = BULK
    subject_type = SEVERAL
    label = _("Several")
    icon = "list-check"
    privilege = Privilege.DOMAIN_VIEW
    can_be_cancelled = True
    Parameters: ClassVar[type[Any]] = BulkParameters

    def why_not(self, subject: models.Model) -> str:
        return str(_("A bulk request is made of what is asked of each."))

    def locks(self, subject: models.Model, parameters: Any) -> tuple[str, ...]:
        """None of its own: each child has those of its subject."""
        return ()

    def run(self, run: Run) -> Result:
        child_ended(run.operation.pk)
        return Later(seconds=_LOOK_SECONDS)

    def title(self, operation: Operation) -> str:
        return kind_label(str(operation.parameters.get("kind", "")))
