"""Writing what is stored: edited in place, checked by libvirt, read again, and told what it left out."""

from collections.abc import Callable, Sequence
from functools import partial

from django.utils.translation import gettext_lazy

from hypervisors.errors import Conflict, NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.hardware import Hardware, change_definition
from hypervisors.libvirtxml.hardware.differences import lost_parts
from hypervisors.operations.domains.hardware.checks import changed_meanwhile
from hypervisors.operations.domains.hardware.looking import hardware_of, made_by, sides_looked
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step

_STORE = "store"
_CALL_SECONDS = 40.0
_MOST_LOST = 50


class Store(Step):
    """Have the definition be as `edit` makes of it; it is called on what is stored then, and gives it back as it is
    when nothing is left to do. Passed over where nothing is to be stored.

    `base_sha256`: it is written only while what is stored is of this digest.
    """

    name = _STORE
    label = gettext_lazy("Change what the next start is from")

    def __init__(self, edit: Callable[[Run, str], str], *, base_sha256: str = "") -> None:
        self._edit = edit
        self._base_sha256 = base_sha256

    def do(self, run: Run, intent: Made) -> Made:
        if not sides_looked(run).config:
            return {}
        before = hardware_of(run).inactive_xml
        try:
            wanted = self._edit(run, before)
            if wanted == before:
                return {}
            kept = run.ask(lambda connection: self._change(connection, run), seconds=_CALL_SECONDS)
        except Conflict as error:
            raise Conflict(changed_meanwhile()) from error
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return {"lost": list(lost_parts(wanted, kept.inactive_xml))[:_MOST_LOST]}

    def _change(self, connection: Connection, run: Run) -> Hardware:
        edit, base = partial(self._edit, run), self._base_sha256
        return change_definition(connection, run.uuid, edit, base_sha256=base)

    def is_done(self, run: Run, intent: Made) -> bool:
        # Editing what is edited already changes nothing.
        return False


def lost_by(run: Run) -> Sequence[str]:
    lost: Sequence[str] = made_by(run, _STORE).get("lost", ())
    return lost
