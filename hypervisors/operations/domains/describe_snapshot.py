"""Change what is said about a snapshot; nothing of what it holds changes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.snapshot_definitions import set_snapshot_description
from hypervisors.gateway.domains.snapshots import list_snapshots
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import without_snapshots
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.domains.snapshotting.existing import asked_snapshot, check_same, created_epoch
from hypervisors.operations.domains.snapshotting.names import checked_description
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class DescribeSnapshotParameters:
    name: str
    description: str = ""
    created: int = 0


class DescribeSnapshot(SingleCall):
    kind = "describe_snapshot"
    label = gettext_lazy("Describe a snapshot")
    icon = "pencil"
    privilege = Privilege.DOMAIN_SNAPSHOT
    obstacles = (without_snapshots,)
    done = gettext_lazy("It is described.")
    Parameters: ClassVar[type[Any]] = DescribeSnapshotParameters

    def is_offered(self, domain: Domain) -> bool:
        """Beside each snapshot."""
        return False

    def check(self, domain: Domain, given: Mapping[str, Any]) -> DescribeSnapshotParameters:
        snapshot = asked_snapshot(domain, given)
        return DescribeSnapshotParameters(
            name=snapshot.name,
            description=checked_description(given.get("description")),
            created=created_epoch(snapshot),
        )

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        check_same(run, run.parameters.name, run.parameters.created)
        set_snapshot_description(connection, uuid, run.parameters.name, run.parameters.description)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        wanted = (run.parameters.name, run.parameters.description)
        return any((one.parsed.name, one.parsed.description) == wanted for one in list_snapshots(connection, uuid))
