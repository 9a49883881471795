"""Steps that define a machine and start it. A new machine is known for ours by its UUID, which nobody else has made."""

from collections.abc import Callable
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NameTaken, NotPossible, VmportalError
from hypervisors.gateway.domains.actions import force_off_domain, set_autostart, start_domain
from hypervisors.gateway.domains.definitions import (
    DefinedDomain,
    define_domain,
    find_domain,
    find_domain_named,
    set_install_marker,
    start_domain_as,
)
from hypervisors.gateway.domains.removal import undefine_domain
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import UNASKABLE, Made, Step

# Building firmware variables and a TPM's state, and QEMU's start on a loaded host.
_START_SECONDS = 120.0


class DefineDomain(Step):
    """Define the machine of `build`, which is called when all before it is done.

    `build` gives the XML, with this UUID and name. Undone it is gone, unless somebody has started it meanwhile.
    """

    name = "define"
    label = gettext_lazy("Define the virtual machine")

    def __init__(self, uuid: UUID, domain_name: str, build: Callable[[Run], str], *, autostart: bool = False) -> None:
        self._uuid = uuid
        self._domain_name = domain_name
        self._build = build
        self._autostart = autostart

    def intend(self, run: Run) -> Made:
        """Looks that nothing has the UUID or the name."""
        if self._find(run) is not None:
            raise NotPossible(_("%(host)s has a virtual machine of this UUID already.") % {"host": run.source.name})
        if run.ask(lambda connection: find_domain_named(connection, self._domain_name)) is not None:
            raise NameTaken(
                _("%(host)s has a virtual machine called “%(name)s” already.")
                % {"host": run.source.name, "name": self._domain_name}
            )
        return {"uuid": str(self._uuid), "name": self._domain_name}

    def do(self, run: Run, intent: Made) -> Made:
        xml = self._build(run)
        run.ask(lambda connection: define_domain(connection, xml))
        if self._autostart:
            self._set_autostart(run)
        return {"uuid": str(self._uuid)}

    def _set_autostart(self, run: Run) -> None:
        try:
            run.ask(lambda connection: set_autostart(connection, self._uuid, enabled=True))
        except UNASKABLE:
            raise
        except VmportalError:
            # A step that fails leaves nothing.
            run.ask(lambda connection: undefine_domain(connection, self._uuid))
            raise

    def is_done(self, run: Run, intent: Made) -> bool:
        found = self._find(run)
        if found is None:
            return False
        if found.name != self._domain_name:
            raise NameTaken(_("Another virtual machine has its UUID now; it is left alone."))
        if self._autostart:
            self._set_autostart(run)
        return True

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Raises: errors.NotPossible while it runs: somebody has started it."""
        found = self._find(run)
        if found is None:
            return
        if found.is_active:
            raise NotPossible(_("Somebody has started it meanwhile."))
        run.ask(lambda connection: undefine_domain(connection, self._uuid))

    def leftover(self, intent: Made, made: Made) -> str:
        return _("The virtual machine “%(name)s” stays.") % {"name": self._domain_name}

    def _find(self, run: Run) -> DefinedDomain | None:
        return run.ask(lambda connection: find_domain(connection, self._uuid))


class StartDomain(Step):
    """Start it; from `build_first`, where given, the XML of a first run that differs from later ones."""

    name = "start"
    label = gettext_lazy("Start the virtual machine")

    def __init__(self, uuid: UUID, *, build_first: Callable[[Run], str] | None = None) -> None:
        self._uuid = uuid
        self._build_first = build_first

    def do(self, run: Run, intent: Made) -> Made:
        if self._build_first is None:
            run.ask(lambda connection: start_domain(connection, self._uuid), seconds=_START_SECONDS)
        else:
            xml = self._build_first(run)
            run.ask(lambda connection: start_domain_as(connection, xml), seconds=_START_SECONDS)
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        found = run.ask(lambda connection: find_domain(connection, self._uuid))
        return found is not None and found.is_active

    def undo(self, run: Run, intent: Made, made: Made) -> None:
        """Ends it. Its marker goes first: else it would be started again as one whose installer has ended."""
        found = run.ask(lambda connection: find_domain(connection, self._uuid))
        if found is None:
            return
        run.ask(lambda connection: set_install_marker(connection, self._uuid, None))
        if found.is_active:
            run.ask(lambda connection: force_off_domain(connection, self._uuid))
