"""What operations on networks and storage pools share: why not, and single calls whose outcome is looked at.

Both are definitions that libvirt starts and stops; a noun says what is its own in a subclass (`NetworkOperation`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.definitions import Definitions
from hypervisors.libvirtxml.definitions import DefinitionXml
from hypervisors.models import Network, StoragePool
from hypervisors.operations.engine.locks import clock
from hypervisors.operations.engine.reachability import why_unreachable
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.engine.types import OperationType, Text

Row = TypeVar("Row", bound=Network | StoragePool)


class DefinitionOperation(OperationType[Row]):
    """Base of all kinds on one that is there; `run_on` is the kind's own part of `run`."""

    definitions: ClassVar[Definitions]
    xml: ClassVar[DefinitionXml[Any]]
    call_seconds: ClassVar[float]
    gone: ClassVar[Text]
    # With its time.
    gone_since: ClassVar[Text]

    def row_of(self, run: Run) -> Row | None:
        raise NotImplementedError

    def read_again(self, row: Row) -> None:
        """Have the watcher look: not everything comes with an event."""
        raise NotImplementedError

    def why_gone(self, row: Row) -> str:
        if row.vanished_at is None:
            return ""
        return str(self.gone_since) % {"time": clock(row.vanished_at)}

    def why_not(self, row: Row) -> str:
        return self.why_gone(row) or why_unreachable(row.hypervisor) or self.why_not_in_this_state(row)

    def why_not_in_this_state(self, row: Row) -> str:
        """Of one that is there, on a host that answers."""
        return ""

    def run(self, run: Run) -> Result:
        row = self.row_of(run)
        if row is None:
            return self.result_without_row()
        try:
            return self.run_on(run, row)
        finally:
            self.read_again(row)

    def result_without_row(self) -> Result:
        return failed(str(self.gone))

    def run_on(self, run: Run, row: Row) -> Result:
        raise NotImplementedError


class SingleCall(DefinitionOperation[Row]):
    """One call; what became true decides, whatever the call said."""

    done: ClassVar[Text] = ""

    def act(self, connection: Connection, uuid: UUID, parameters: Any) -> None:
        raise NotImplementedError

    def is_done(self, connection: Connection, uuid: UUID, parameters: Any) -> bool:
        raise NotImplementedError

    def run_on(self, run: Run, row: Row) -> Result:
        uuid, parameters = row.uuid, run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: self.act(connection, uuid, parameters), seconds=self.call_seconds)
        except HypervisorError as error:
            problem = error
        return run.judge(
            lambda connection: self.is_done(connection, uuid, parameters), done=str(self.done), problem=problem
        )


class StopDefined(SingleCall[Row]):
    icon = "player-stop"
    done = gettext_lazy("It is stopped.")

    def why_not_in_this_state(self, row: Row) -> str:
        return "" if row.active else _("It is not started.")

    def act(self, connection: Connection, uuid: UUID, parameters: Any) -> None:
        self.definitions.stop(connection, uuid)

    def is_done(self, connection: Connection, uuid: UUID, parameters: Any) -> bool:
        return not self.definitions.is_active(connection, uuid)


@dataclass(frozen=True, kw_only=True)
class AutostartParameters:
    autostart: bool


class SetAutostart(SingleCall[Row]):
    """Whether it starts with its host."""

    icon = "power"
    done = gettext_lazy("Done.")
    Parameters: ClassVar[type[Any]] = AutostartParameters

    def word(self, row: Row) -> str:
        return _("Do not start with the host") if row.autostart else _("Start with the host")

    def click_values(self, row: Row) -> dict[str, str]:
        return {"autostart": "" if row.autostart else "1"}

    def check(self, row: Row, given: Mapping[str, Any]) -> AutostartParameters:
        return AutostartParameters(autostart=bool(given.get("autostart")))

    def why_not_in_this_state(self, row: Row) -> str:
        if row.persistent:
            return ""
        return _("It was started without being defined: libvirt forgets it when it is stopped.")

    def act(self, connection: Connection, uuid: UUID, parameters: AutostartParameters) -> None:
        self.definitions.set_autostart(connection, uuid, autostart=parameters.autostart)

    def is_done(self, connection: Connection, uuid: UUID, parameters: AutostartParameters) -> bool:
        return self.definitions.starts_with_host(connection, uuid) == parameters.autostart
