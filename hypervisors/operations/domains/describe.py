"""Title and description, in what runs and in what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import set_title_and_description, title_and_description
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import not_answering
from hypervisors.operations.domains.names import checked_text
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege

MAX_TITLE_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 8000


@dataclass(frozen=True, kw_only=True)
class DescriptionParameters:
    title: str
    description: str


class Describe(SingleCall):
    kind = "describe"
    label = gettext_lazy("Change title and description")
    icon = "edit"
    position = 30
    privilege = Privilege.DOMAIN_CONFIGURE
    is_for_templates = True
    obstacles = (not_answering,)
    done = gettext_lazy("Done.")
    Parameters: ClassVar[type[Any]] = DescriptionParameters

    def word(self, domain: Domain) -> str:
        return _("Title and description…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> DescriptionParameters:
        title, description = given.get("title", domain.title), given.get("description", domain.description)
        return DescriptionParameters(
            title=checked_text(title, multiline=False, max_length=MAX_TITLE_LENGTH, what=_("title")),
            description=checked_text(
                description, multiline=True, max_length=MAX_DESCRIPTION_LENGTH, what=_("description")
            ),
        )

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        wanted = run.parameters
        set_title_and_description(connection, uuid, title=wanted.title, description=wanted.description)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        title, description = title_and_description(connection, uuid)
        return (title, description.strip()) == (run.parameters.title, run.parameters.description)
