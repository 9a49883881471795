"""Discard the saved state: the next start boots afresh."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import discard_saved, has_saved_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import OFF, nothing_saved
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run


class DiscardSaved(SingleCall):
    kind = "discard_saved"
    label = _("Discard saved state")
    icon = "trash"
    position = 10
    is_dangerous = True
    question = _("Discard the saved state of “%s”?")
    warning = _("It starts afresh next time; what was only in its memory is lost.")
    obstacles = (nothing_saved, OFF)
    done = _("Its saved state is gone; it boots afresh at the next start.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.has_managed_save

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        discard_saved(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return not has_saved_state(connection, uuid)
