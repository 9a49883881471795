"""Shut down: the guest's power button is pressed, then it is waited for."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import shut_down_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import IS_OFF, POWER, RUNNING, Reason, not_answering
from hypervisors.operations.domains.guest_requests import GuestRequest
from hypervisors.operations.engine.runs import Run
from hypervisors.states import DomainState


class ShutDown(GuestRequest):
    kind = "shut_down"
    label = gettext_lazy("Shut down")
    icon = "power"
    group, position = POWER, 30
    in_bulk = True
    question = gettext_lazy("Shut down “%s”?")
    warning = gettext_lazy("The guest is asked to shut down by itself.")
    obstacles: tuple[Reason, ...] = (RUNNING, not_answering)
    unheard = gettext_lazy(
        "The guest did not react to the power button within %(seconds)d s and still runs. Force it off, or try again."
    )
    given_up = gettext_lazy("No longer waited for. The guest was asked to shut down and may still do so.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.is_active and domain.state != DomainState.CRASHED

    def ask(self, connection: Connection, run: Run) -> None:
        shut_down_domain(connection, run.uuid)

    def seen(self, connection: Connection, run: Run, *, asked_at: float) -> str:
        return _("The guest shut down.") if domain_state(connection, run.uuid) in IS_OFF else ""
