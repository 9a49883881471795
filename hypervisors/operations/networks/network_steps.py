"""The steps of creating, starting and deleting a network, each safe when it is adopted, with its undoing."""

from collections.abc import Callable
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import OperationRefused
from hypervisors.gateway.networks.network_actions import NETWORKS
from hypervisors.gateway.networks.network_users import plug_guests_in_again
from hypervisors.gateway.networks.networks import read_network
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_builder import NETWORK_XML
from hypervisors.operations.definitions import steps
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made
from hypervisors.operations.networks.network_operations import CALL_SECONDS
from hypervisors.operations.networks.network_users import users_text


class _NetworkStep(steps.DefinitionStep):
    definitions = NETWORKS
    call_seconds = CALL_SECONDS


class DefineNetwork(steps.Define, _NetworkStep):
    label = gettext_lazy("Define the network")
    xml = NETWORK_XML
    name_taken = gettext_lazy("There is a network called “%(name)s” on this host already.")
    stays_defined = gettext_lazy("The network “%(name)s” stays defined.")

    def read_again(self, run: Run, uuid: UUID) -> None:
        request_network_refresh(run.source.pk)


def of_network(uuid: UUID) -> Callable[[Run], UUID]:
    return lambda _run: uuid


class StartNetwork(steps.Start, _NetworkStep):
    label = gettext_lazy("Start the network")


class StopNetwork(steps.Stop, _NetworkStep):
    label = gettext_lazy("Stop the network")
    stays_stopped = gettext_lazy("The network stays stopped.")

    def found(self, run: Run, intent: Made) -> Made:
        return {"was_active": True}

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        super().undo(run, intent, made)
        if made.get("was_active"):
            uuid = self.uuid_of(run)
            run.ask(lambda connection: plug_guests_in_again(connection, uuid), seconds=CALL_SECONDS)


class PlugGuestsIn(steps.OnDefined, _NetworkStep):
    """Running guests lost their plug when the network was stopped."""

    name = "plug_in"
    label = gettext_lazy("Plug running machines in again")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.uuid_of(run)
        try:
            plugged = run.ask(lambda connection: plug_guests_in_again(connection, uuid), seconds=CALL_SECONDS)
        except OperationRefused as error:
            # The network runs: that is what was asked for.
            return {"problem": str(error)}
        return {"unplugged": sorted(name for name, problem in plugged.items() if problem)}

    def is_done(self, run: Run, intent: Made) -> bool:
        return False


def unplugged_text(run: Run) -> str:
    """Which machines could not be plugged in again; "" when all were."""
    made: Made = next((entry["made"] for entry in run.operation.steps if entry["name"] == PlugGuestsIn.name), {})
    names = users_text(made.get("unplugged", ()))
    if names:
        return _("These go on without a link until they are started anew: %(names)s.") % {"names": names}
    return str(made.get("problem", ""))


class AutostartNetwork(steps.Autostart, _NetworkStep):
    pass


class UndefineNetwork(steps.Undefine, _NetworkStep):
    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self.uuid_of(run)
        facts = run.ask(lambda connection: read_network(connection, uuid))
        return facts is None or not facts.persistent
