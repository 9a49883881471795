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

from hypervisors.errors import Conflict, NotPossible
from hypervisors.gateway.domains.snapshot_definitions import read_snapshot_xml, redefine_snapshot
from hypervisors.models import Domain
from hypervisors.models.xml_versions import digest
from hypervisors.operations.domains.domain_operations import DomainOperation, without_snapshots
from hypervisors.operations.domains.hardware.checks import changed_meanwhile
from hypervisors.operations.domains.snapshotting.existing import asked_snapshot
from hypervisors.operations.domains.snapshotting.typed import checked_snapshot_xml
from hypervisors.operations.domains.typed_xml import TypedXml
from hypervisors.operations.engine.runs import Result, Run
from hypervisors.privileges import Privilege


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
        typed = TypedXml(
            xml=wanted.xml,
            base_sha256=wanted.base_sha256,
            define=lambda connection, write: redefine_snapshot(
                connection, run.uuid, wanted.name, write, base_sha256=wanted.base_sha256, by_schema=wanted.by_schema
            ),
            read=lambda connection: read_snapshot_xml(connection, run.uuid, wanted.name),
            done=_("It is defined so."),
            replaced=_("The worker that did this was interrupted; the snapshot's XML is another by now."),
        )
        return typed.run(run)
