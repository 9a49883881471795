"""Rename."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import domain_name, rename_domain
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import saved, still_on, transient, with_snapshots
from hypervisors.operations.domains.names import checked_name
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.subjects import lock_key
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class RenameParameters:
    name: str


class Rename(SingleCall):
    kind = "rename"
    label = gettext_lazy("Rename")
    icon = "cursor-text"
    position = 20
    privilege = Privilege.DOMAIN_CONFIGURE
    is_for_templates = True
    obstacles = (transient, still_on, saved, with_snapshots)
    done = gettext_lazy("It is called “%(name)s” now.")
    Parameters: ClassVar[type[Any]] = RenameParameters

    def word(self, domain: Domain) -> str:
        return _("Rename…")

    def check(self, domain: Domain, given: Mapping[str, Any]) -> RenameParameters:
        return RenameParameters(name=checked_name(given.get("name"), domain))

    def locks(self, domain: Domain, parameters: RenameParameters) -> tuple[str, ...]:
        """The new name too: two machines of a pool must not both become it."""
        pool_id = domain.hypervisor.hypervisor_pool_id if domain.hypervisor is not None else 0
        return (lock_key(domain), f"name:{pool_id}/{parameters.name}")

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        rename_domain(connection, uuid, run.parameters.name)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return bool(domain_name(connection, uuid) == run.parameters.name)
