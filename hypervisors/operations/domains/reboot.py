"""Reboot: the guest's power button is pressed with the wish to start again, then its reset is waited for.

Nothing in libvirt's state shows a reboot, only an event does. Whoever hears it, a worker or the watcher, notes when.
"""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import reboot_domain
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.gateway.domains.reboots import watch_for_reboot
from hypervisors.inventory.domains.reboots import RebootsAway, last_reboot_at, note_reboot
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import IS_OFF, RUNNING, STOP, not_answering
from hypervisors.operations.domains.guest_requests import GuestRequest, timeout_of
from hypervisors.operations.engine.runs import Run
from hypervisors.states import DomainState


class Reboot(GuestRequest):
    kind = "reboot"
    label = gettext_lazy("Reboot")
    icon = "refresh"
    group, position = STOP, 20
    in_bulk = True
    question = gettext_lazy("Reboot “%s”?")
    warning = gettext_lazy("The guest is asked to restart by itself.")
    obstacles = (RUNNING, not_answering)
    unheard = gettext_lazy(
        "No reboot was seen within %(seconds)d s: the guest did not react to the power button. Reset it, or try again."
    )
    given_up = gettext_lazy("No longer waited for. The guest was asked to reboot and may still do so.")

    def is_offered(self, domain: Domain) -> bool:
        return domain.is_active and domain.state != DomainState.CRASHED

    def ask(self, connection: Connection, run: Run) -> None:
        uuid, host = run.uuid, run.source.pk
        watch_for_reboot(connection, uuid, lambda: note_reboot(host, uuid), seconds=timeout_of(run) + 10)
        reboot_domain(connection, uuid)

    def seen(self, connection: Connection, run: Run, *, asked_at: float) -> str:
        if domain_state(connection, run.uuid) in IS_OFF:
            return _("The guest shut down; its definition says that it is not to start again after a reboot.")
        try:
            rebooted_at = last_reboot_at(run.source.pk, run.uuid)
        except RebootsAway as error:
            raise HypervisorError(
                _("Whether the guest rebooted could not be looked up: %(error)s") % {"error": error}
            ) from error
        return _("The guest rebooted.") if rebooted_at is not None and rebooted_at >= asked_at else ""
