"""The steps that networks and storage pools have in common, each safe when it is adopted, with its undoing."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NameTaken
from hypervisors.gateway.definitions import Definitions
from hypervisors.libvirtxml.definitions import DefinitionXml
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.operations.engine.types import Text


class DefinitionStep(Step):
    """`definitions` and `call_seconds` are the noun's."""

    definitions: ClassVar[Definitions]
    call_seconds: ClassVar[float]


class Define(DefinitionStep):
    """Under a UUID that is chosen before anything is done: by that alone an adopting worker knows it again."""

    name = "define"
    xml: ClassVar[DefinitionXml[Any]]
    # Both with its name.
    name_taken: ClassVar[Text]
    stays_defined: ClassVar[Text]

    def __init__(self, xml: str) -> None:
        self._xml = xml
        self.spec = self.xml.read(xml)

    def read_again(self, run: Run, uuid: UUID) -> None:
        raise NotImplementedError

    def intend(self, run: Run) -> Made:
        """Looks that nothing has its name: what has its UUID later is ours."""
        name = self.spec.name
        if run.ask(lambda connection: self.definitions.find_uuid(connection, name)) is not None:
            raise NameTaken(str(self.name_taken) % {"name": name})
        return {"name": name, "uuid": str(uuid4())}

    def do(self, run: Run, intent: Made) -> Made:
        xml = self.xml.with_identity(self._xml, name=intent["name"], uuid=intent["uuid"])
        run.ask(lambda connection: self.definitions.define(connection, xml))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = UUID(intent["uuid"])
        return run.ask(lambda connection: self.definitions.read_definition(connection, uuid)) is not None

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        uuid = UUID(intent["uuid"])
        run.ask(lambda connection: self.definitions.undefine(connection, uuid), seconds=self.call_seconds)
        self.read_again(run, uuid)

    def leftover(self, intent: Made, made: Made) -> str:
        return str(self.stays_defined) % {"name": intent["name"]}


def defined(run: Run) -> Made:
    """What `Define` wrote down before it did anything."""
    intent: Made = next(entry["intent"] for entry in run.operation.steps if entry["name"] == Define.name)
    return intent


def defined_uuid(run: Run) -> UUID:
    return UUID(defined(run)["uuid"])


class OnDefined(DefinitionStep):
    """A step on what `uuid_of` names: by default what the first step defined."""

    def __init__(self, uuid_of: Callable[[Run], UUID] = defined_uuid) -> None:
        self.uuid_of = uuid_of

    def is_active(self, run: Run) -> bool:
        uuid = self.uuid_of(run)
        return run.ask(lambda connection: self.definitions.is_active(connection, uuid))


class Start(OnDefined):
    name = "start"

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.uuid_of(run)
        run.ask(lambda connection: self.definitions.start(connection, uuid), seconds=self.call_seconds)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        return self.is_active(run)

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        uuid = self.uuid_of(run)
        run.ask(lambda connection: self.definitions.stop(connection, uuid), seconds=self.call_seconds)

    def leftover(self, intent: Made, made: Made) -> str:
        return _("It stays started.")


class Stop(OnDefined):
    name = "stop"
    stays_stopped: ClassVar[Text]

    def check(self, run: Run) -> None:
        """Asked right before. Raises: errors.NotPossible while it may not be stopped."""

    def do(self, run: Run, intent: Made) -> Made:
        uuid, was_active = self.uuid_of(run), self.is_active(run)
        self.check(run)
        run.ask(lambda connection: self.definitions.stop(connection, uuid), seconds=self.call_seconds)
        return {"was_active": was_active}

    def is_done(self, run: Run, intent: Made) -> bool:
        return not self.is_active(run)

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        if made.get("was_active"):
            uuid = self.uuid_of(run)
            run.ask(lambda connection: self.definitions.start(connection, uuid), seconds=self.call_seconds)

    def leftover(self, intent: Made, made: Made) -> str:
        return str(self.stays_stopped)


class Autostart(OnDefined):
    name = "autostart"
    label = gettext_lazy("Start it with its host")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.uuid_of(run)
        run.ask(lambda connection: self.definitions.set_autostart(connection, uuid, autostart=True))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        uuid = self.uuid_of(run)
        return bool(run.ask(lambda connection: self.definitions.starts_with_host(connection, uuid)))


class Undefine(OnDefined):
    name = "undefine"
    label = gettext_lazy("Remove its definition")

    def do(self, run: Run, intent: Made) -> Made:
        uuid = self.uuid_of(run)
        run.ask(lambda connection: self.definitions.undefine(connection, uuid))
        return {}
