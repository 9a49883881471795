"""Whether the host starts it at boot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.actions import set_autostart, starts_with_host
from hypervisors.models import Domain
from hypervisors.operations.domains.domain_operations import transient
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class AutostartParameters:
    enabled: bool


class SetAutostart(SingleCall):
    kind = "set_autostart"
    label = gettext_lazy("Change autostart")
    icon = "player-track-next"
    position = 40
    privilege = Privilege.DOMAIN_CONFIGURE
    obstacles = (transient,)
    done = gettext_lazy("Done.")
    Parameters: ClassVar[type[Any]] = AutostartParameters

    def word(self, domain: Domain) -> str:
        return _("Do not start with the host") if domain.autostart else _("Start with the host")

    def click_values(self, domain: Domain) -> dict[str, str]:
        return {"enabled": "" if domain.autostart else "1"}

    def check(self, domain: Domain, given: Mapping[str, Any]) -> AutostartParameters:
        return AutostartParameters(enabled=bool(given.get("enabled")))

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        set_autostart(connection, uuid, enabled=run.parameters.enabled)

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return starts_with_host(connection, uuid) is run.parameters.enabled
