"""XML of a machine, or of a snapshot of it, that somebody has written: defined if it is still what they saw."""

from collections.abc import Callable

from django.utils.translation import gettext as _

from hypervisors.errors import Conflict, HypervisorError
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.hardware import sha256_of
from hypervisors.gateway.domains.typed_definitions import KeptDefinition, is_refused_by_schema
from hypervisors.inventory.xml_versions import MADE_SHA256
from hypervisors.libvirtxml.secret_restoring import restore_secrets
from hypervisors.operations.definitions.losses import losses_text
from hypervisors.operations.domains.hardware.checks import changed_meanwhile
from hypervisors.operations.engine.runs import Outcome, Result, Run, failed, interrupted
from hypervisors.states import OperationState

_CALL_SECONDS = 40.0

# Of what is shown, without and with passwords, the XML that is to stand.
Write = Callable[[str, str], str]


class TypedXml:
    """What was written, and what libvirt made of it.

    `define` has it defined by a `Write`, `read` tells what stands now, without passwords. Both raise
    errors.HypervisorError, and `define` errors.Conflict and ValueError, too. `done`, `replaced`: what is said when it
    is so, and when another stands there after a worker died.
    """

    def __init__(
        self,
        *,
        xml: str,
        base_sha256: str,
        define: Callable[[Connection, Write], KeptDefinition],
        read: Callable[[Connection], str],
        done: str,
        replaced: str,
    ) -> None:
        self._xml, self._base_sha256 = xml, base_sha256
        self._define, self._read = define, read
        self._done, self._replaced = done, replaced
        self._lost_secrets: tuple[str, ...] = ()
        self._kept: KeptDefinition | None = None

    def run(self, run: Run) -> Result:
        if run.adopted and run.ask(self._is_another):
            return interrupted(self._replaced)
        problem: HypervisorError | None = None
        try:
            run.ask(self._make, seconds=_CALL_SECONDS)
        except Conflict:
            return failed(changed_meanwhile())
        except ValueError as error:
            return failed(str(error))
        except HypervisorError as error:
            problem = error
        if is_refused_by_schema(problem):
            return failed(_("%(problem)s You can apply it without the schema.") % {"problem": problem})
        outcome = run.judge(self._is_made, done=self._done, problem=problem)
        if outcome.state != OperationState.SUCCEEDED:
            return outcome
        text = " ".join([outcome.text, *self._losses()])
        return Outcome(state=outcome.state, text=text, progress=self._made())

    def _make(self, connection: Connection) -> None:
        self._kept = self._define(connection, self._written)

    def _is_made(self, connection: Connection) -> bool:
        # Where nothing came back it is known only that it is not what it was.
        return self._kept is not None or self._is_another(connection)

    def _is_another(self, connection: Connection) -> bool:
        return sha256_of(self._read(connection)) != self._base_sha256

    def _made(self) -> dict[str, str]:
        """For whoever sees it next, so that it is known whose doing it is."""
        return {MADE_SHA256: sha256_of(self._kept.shown_xml)} if self._kept else {}

    def _losses(self) -> list[str]:
        """What is not as it was typed, a sentence each."""
        # libvirt keeps the passwords that were typed, and does not show them.
        left_out = losses_text(self._xml, self._kept.secure_xml) if self._kept else ""
        texts = [left_out] if left_out else []
        if self._lost_secrets:
            lost = ", ".join(self._lost_secrets)
            texts.append(_("Passwords that went with what was removed: %(what)s.") % {"what": lost})
        return texts

    def _written(self, shown: str, secure: str) -> str:
        restored = restore_secrets(self._xml, shown=shown, secure=secure)
        self._lost_secrets = restored.lost
        return restored.xml
