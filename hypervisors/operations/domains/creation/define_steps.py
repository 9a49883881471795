"""Steps that define a machine and start it. A machine is known as ours by its UUID and by our mark in its metadata."""

from collections.abc import Callable
from uuid import UUID

from django.utils.translation import gettext_lazy

from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step


class DefineDomain(Step):
    """Define the machine of `build`, which is called when all before it is done.

    `build` gives the XML, with this UUID and name. Undone it is gone, unless somebody has started it meanwhile.
    """

    name = "define"
    label = gettext_lazy("Define the virtual machine")

    def __init__(self, uuid: UUID, domain_name: str, build: Callable[[Run], str]) -> None:
        self._uuid = uuid
        self._domain_name = domain_name
        self._build = build

    def do(self, run: Run, intent: Made) -> Made:
        raise NotImplementedError

    def is_done(self, run: Run, intent: Made) -> bool:
        raise NotImplementedError


class StartDomain(Step):
    """Start it; from `build_first`, where given, the XML of a first run that differs from later ones."""

    name = "start"
    label = gettext_lazy("Start the virtual machine")

    def __init__(self, uuid: UUID, *, build_first: Callable[[Run], str] | None = None) -> None:
        self._uuid = uuid
        self._build_first = build_first

    def do(self, run: Run, intent: Made) -> Made:
        raise NotImplementedError

    def is_done(self, run: Run, intent: Made) -> bool:
        raise NotImplementedError
