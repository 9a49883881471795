"""Define a snapshot as somebody has written its XML, if it is still what they saw.

What it holds stays, and where: only what is said of it changes, and the machine that comes back with it. XML reaches
every file and device of the host: it takes the right to manage that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import Conflict, HypervisorError, NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.snapshot_definitions import is_refused_by_schema, read_snapshot_xml, redefine_snapshot
from hypervisors.inventory.xml_versions import MADE_SHA256
from hypervisors.libvirtxml.secret_restoring import restore_secrets
from hypervisors.libvirtxml.typed_documents import dropped_by_libvirt
from hypervisors.models import Domain
from hypervisors.models.xml_versions import digest
from hypervisors.operations.domains.domain_operations import DomainOperation, without_snapshots
from hypervisors.operations.domains.hardware.checks import changed_meanwhile
from hypervisors.operations.domains.snapshotting.existing import asked_snapshot
from hypervisors.operations.domains.snapshotting.typed import checked_snapshot_xml
from hypervisors.operations.engine.runs import Outcome, Result, Run, failed, interrupted
from hypervisors.privileges import Privilege
from hypervisors.states import OperationState

_CALL_SECONDS = 40.0
_MOST_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class EditSnapshotParameters:
    """`xml` is written anew from what was typed; `base_sha256` is of the XML that it was made of.

    `by_schema` False: what libvirt's schema does not know is passed over.
    """

    name: str
    base_sha256: str
    xml: str = ""
    by_schema: bool = True


class EditSnapshot(DomainOperation):
    kind = "edit_snapshot"
    label = gettext_lazy("Edit the XML of a snapshot")
    icon = "file-code"
    privilege = Privilege.DOMAIN_SNAPSHOT
    obstacles = (without_snapshots,)
    Parameters: ClassVar[type[Any]] = EditSnapshotParameters
    # It may hold the passwords of screens and storage.
    secret_parameters = frozenset({"xml"})

    def is_offered(self, domain: Domain) -> bool:
        # The page of its XML offers it, no menu does.
        return False

    def also_needs(
        self, domain: Domain, parameters: EditSnapshotParameters
    ) -> Sequence[tuple[Privilege, models.Model | None]]:
        return [(Privilege.HYPERVISOR_MANAGE, domain.hypervisor)]

    def check(self, domain: Domain, given: Mapping[str, Any]) -> EditSnapshotParameters:
        snapshot, base = asked_snapshot(domain, given), str(given.get("base_sha256") or "")
        if not base or not snapshot.xml:
            raise NotPossible(_("Say which XML it was made of."))
        if base != digest(snapshot.xml):
            raise Conflict(changed_meanwhile())
        return EditSnapshotParameters(
            name=snapshot.name,
            base_sha256=base,
            xml=checked_snapshot_xml(domain, snapshot, str(given.get("xml") or "")),
            by_schema=given.get("by_schema", True) is True,
        )

    def run(self, run: Run) -> Result:
        wanted: EditSnapshotParameters = run.parameters
        if run.adopted and run.ask(lambda connection: _is_another(connection, run, wanted)):
            return interrupted(_("The worker that did this was interrupted; the snapshot's XML is another by now."))
        change = _Change(wanted)
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: change.make(connection, run), seconds=_CALL_SECONDS)
        except Conflict:
            return failed(changed_meanwhile())
        except ValueError as error:
            return failed(str(error))
        except HypervisorError as error:
            problem = error
        if is_refused_by_schema(problem):
            return failed(_("%(problem)s You can apply it without the schema.") % {"problem": problem})
        outcome = run.judge(
            lambda connection: change.is_made(connection, run), done=_("It is defined so."), problem=problem
        )
        if outcome.state != OperationState.SUCCEEDED:
            return outcome
        return Outcome(state=outcome.state, text=" ".join([outcome.text, *change.losses()]), progress=change.made())


class _Change:
    """What was written, and what libvirt made of it."""

    def __init__(self, wanted: EditSnapshotParameters) -> None:
        self._wanted = wanted
        self._lost_secrets: tuple[str, ...] = ()
        self._kept = ""

    def make(self, connection: Connection, run: Run) -> None:
        """Raises: errors.Conflict, HypervisorError, ValueError."""
        wanted = self._wanted
        self._kept = redefine_snapshot(
            connection,
            run.uuid,
            wanted.name,
            self._written,
            is_base=lambda shown: digest(shown) == wanted.base_sha256,
            by_schema=wanted.by_schema,
        )

    def is_made(self, connection: Connection, run: Run) -> bool:
        # Where nothing came back it is known only that it is not what it was.
        return bool(self._kept) or _is_another(connection, run, self._wanted)

    def made(self) -> dict[str, str]:
        """For whoever sees it next, so that it is known whose doing it is."""
        return {MADE_SHA256: digest(self._kept)} if self._kept else {}

    def losses(self) -> list[str]:
        """What is not as it was typed, a sentence each."""
        dropped = dropped_by_libvirt(self._wanted.xml, self._kept) if self._kept else []
        texts = []
        if dropped:
            shown = ", ".join(dropped[:_MOST_TOLD]) + (", …" if len(dropped) > _MOST_TOLD else "")
            texts.append(_("libvirt left out what it does not know: %(what)s.") % {"what": shown})
        if self._lost_secrets:
            lost = ", ".join(self._lost_secrets)
            texts.append(_("Passwords that went with what was removed: %(what)s.") % {"what": lost})
        return texts

    def _written(self, shown: str, secure: str) -> str:
        restored = restore_secrets(self._wanted.xml, shown=shown, secure=secure)
        self._lost_secrets = restored.lost
        return restored.xml


def _is_another(connection: Connection, run: Run, wanted: EditSnapshotParameters) -> bool:
    return digest(read_snapshot_xml(connection, run.uuid, wanted.name)) != wanted.base_sha256
