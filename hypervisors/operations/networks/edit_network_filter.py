"""Change a network filter's rules, guarded by the digest of what the person saw; running guests have them at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import Conflict, HypervisorError, NotFound, NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.networks.network_filters import define_network_filter, read_network_filter
from hypervisors.inventory.refresh_requests import request_listing_refresh
from hypervisors.libvirtxml.network_filters import filter_digest, with_filter_uuid
from hypervisors.models import NetworkFilter
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.networks.network_filter_operations import (
    LISTED,
    NetworkFilterOperation,
    checked_filter,
    find_filter,
    gone_text,
    is_same,
)


@dataclass(frozen=True, kw_only=True)
class EditNetworkFilterParameters:
    digest: str
    xml: str


class EditNetworkFilter(NetworkFilterOperation):
    kind = "edit_network_filter"
    label = gettext_lazy("Edit network filter")
    icon = "edit"
    Parameters: ClassVar[type[Any]] = EditNetworkFilterParameters

    def check(self, network_filter: NetworkFilter, given: Mapping[str, Any]) -> EditNetworkFilterParameters:
        xml, digest = str(given.get("xml") or ""), str(given.get("digest") or "")
        parsed = checked_filter(xml)
        if parsed.name != network_filter.name or (parsed.uuid and not is_same(network_filter.uuid, parsed.uuid)):
            raise NotPossible(_("Its name and its UUID stay: to have others, create another filter."))
        if filter_digest(network_filter.xml) != digest:
            raise NotPossible(_changed())
        xml = with_filter_uuid(xml, str(network_filter.uuid))
        if filter_digest(xml) == digest:
            raise NotPossible(_("Nothing is changed."))
        return EditNetworkFilterParameters(digest=digest, xml=xml)

    def run(self, run: Run) -> Result:
        row = find_filter(run)
        if row is None:
            return failed(gone_text())
        uuid, wanted = row.uuid, run.parameters

        def define(connection: Connection) -> None:
            now = read_network_filter(connection, uuid)
            if now is None:
                raise NotFound(gone_text())
            if filter_digest(now) != wanted.digest and not run.adopted:
                raise Conflict(_changed())
            define_network_filter(connection, wanted.xml)

        problem: HypervisorError | None = None
        try:
            run.ask(define)
        except HypervisorError as error:
            problem = error
        except Conflict as error:
            return failed(str(error))
        finally:
            request_listing_refresh(row.hypervisor_id, LISTED)
        done = problem is None
        return run.judge(lambda _connection: done, done=_("It is changed, and applies already."), problem=problem)


def _changed() -> str:
    return _("Somebody changed it meanwhile: look at it as it is now, and change that.")
