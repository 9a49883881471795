"""The steps of creating, starting and deleting a network, each safe when it is adopted, with its undoing."""

from collections.abc import Callable
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NameTaken, OperationRefused
from hypervisors.gateway.networks.network_actions import (
    define_network,
    find_network_uuid,
    read_network_definition,
    set_network_autostart,
    start_network,
    stop_network,
    undefine_network,
)
from hypervisors.gateway.networks.network_users import plug_guests_in_again
from hypervisors.gateway.networks.networks import read_network
from hypervisors.inventory.refresh_requests import request_network_refresh
from hypervisors.libvirtxml.network_builder import with_identity
from hypervisors.libvirtxml.network_reader import read_network_spec
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.operations.networks.network_operations import CALL_SECONDS, is_network_active
from hypervisors.operations.networks.network_users import users_text


class DefineNetwork(Step):
    name = "define"
    label = gettext_lazy("Define the network")

    def __init__(self, xml: str) -> None:
        self._xml = xml

    def intend(self, run: Run) -> Made:
        """Looks that nothing has its name: what has its UUID later is ours."""
        name = read_network_spec(self._xml).name
        if run.ask(lambda connection: find_network_uuid(connection, name)) is not None:
            raise NameTaken(_("There is a network called “%(name)s” on this host already.") % {"name": name})
        return {"name": name, "uuid": str(uuid4())}

    def do(self, run: Run, intent: Made) -> Made:
        xml = with_identity(self._xml, name=intent["name"], uuid=intent["uuid"])
        run.ask(lambda connection: define_network(connection, xml))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return run.ask(lambda connection: read_network_definition(connection, UUID(intent["uuid"]))) is not None

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        run.ask(lambda connection: undefine_network(connection, UUID(intent["uuid"])))
        request_network_refresh(run.source.pk)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The network “%(name)s” stays defined.") % {"name": intent["name"]}


def defined_uuid(run: Run) -> UUID:
    """What the first step wrote down."""
    intent: Made = next(entry["intent"] for entry in run.operation.steps if entry["name"] == DefineNetwork.name)
    return UUID(intent["uuid"])


def of_network(uuid: UUID) -> Callable[[Run], UUID]:
    return lambda _run: uuid


class _OnNetwork(Step):
    """A step on the network that `uuid_of` names."""

    def __init__(self, uuid_of: Callable[[Run], UUID]) -> None:
        self._uuid_of = uuid_of


class StartNetwork(_OnNetwork):
    name = "start"
    label = gettext_lazy("Start the network")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self._uuid_of(run)
        run.ask(lambda connection: start_network(connection, uuid), seconds=CALL_SECONDS)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self._uuid_of(run)
        return run.ask(lambda connection: is_network_active(connection, uuid))

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        uuid = self._uuid_of(run)
        run.ask(lambda connection: stop_network(connection, uuid), seconds=CALL_SECONDS)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It stays started.")


class StopNetwork(_OnNetwork):
    name = "stop"
    label = gettext_lazy("Stop the network")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self._uuid_of(run)
        was_active = run.ask(lambda connection: is_network_active(connection, uuid))
        run.ask(lambda connection: stop_network(connection, uuid), seconds=CALL_SECONDS)
        return {"was_active": was_active}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self._uuid_of(run)
        return not run.ask(lambda connection: is_network_active(connection, uuid))

    def found(self, run: Run, intent: Made) -> Made:
        return {"was_active": True}

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        if made.get("was_active"):
            uuid = self._uuid_of(run)
            run.ask(lambda connection: start_network(connection, uuid), seconds=CALL_SECONDS)
            run.ask(lambda connection: plug_guests_in_again(connection, uuid), seconds=CALL_SECONDS)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The network stays stopped.")


class PlugGuestsIn(_OnNetwork):
    """Running guests lost their plug when the network was stopped."""

    name = "plug_in"
    label = gettext_lazy("Plug running machines in again")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self._uuid_of(run)
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


class AutostartNetwork(_OnNetwork):
    name = "autostart"
    label = gettext_lazy("Start it with its host")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self._uuid_of(run)
        run.ask(lambda connection: set_network_autostart(connection, uuid, autostart=True))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self._uuid_of(run)
        facts = run.ask(lambda connection: read_network(connection, uuid))
        return facts is not None and facts.autostart


class UndefineNetwork(_OnNetwork):
    name = "undefine"
    label = gettext_lazy("Remove its definition")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self._uuid_of(run)
        run.ask(lambda connection: undefine_network(connection, uuid))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self._uuid_of(run)
        facts = run.ask(lambda connection: read_network(connection, uuid))
        return facts is None or not facts.persistent
