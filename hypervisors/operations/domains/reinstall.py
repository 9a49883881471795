"""Install again: run it once more from the medium or the network that it was made with."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains.definitions import find_domain, set_install_marker, start_domain_as
from hypervisors.gateway.domains.reading import domain_state
from hypervisors.libvirtxml.install_boot import install_boot_xml
from hypervisors.libvirtxml.install_marker import InstallMarker
from hypervisors.models import Domain, Installation
from hypervisors.operations.domains.domain_operations import MORE, OFF, saved
from hypervisors.operations.domains.single_calls import SingleCall
from hypervisors.operations.engine.runs import Run
from hypervisors.privileges import Privilege
from hypervisors.states import ACTIVE_DOMAIN_STATES


def _not_installable(domain: Domain) -> str:
    return "" if _installation(domain) else _("vmportal does not know what it was installed from.")


class Reinstall(SingleCall):
    kind = "reinstall"
    label = gettext_lazy("Install again")
    icon = "disc"
    privilege = Privilege.DOMAIN_CONFIGURE
    group, position = MORE, 75
    is_dangerous = True
    question = gettext_lazy("Install “%s” again?")
    warning = gettext_lazy("It starts from its installation medium, which may write over all that is on its disks.")
    obstacles = (OFF, saved, _not_installable)
    done = gettext_lazy("It runs from its installation medium on %(host)s.")
    call_seconds = 120.0

    def is_offered(self, domain: Domain) -> bool:
        return not domain.is_active and _installation(domain) is not None

    def act(self, connection: Connection, uuid: UUID, run: Run) -> None:
        before = None if run.operation.domain is None else _installation(run.operation.domain)
        found = find_domain(connection, uuid)
        if before is None or found is None:
            raise NotPossible(_("vmportal does not know what it was installed from."))
        boot_xml(found.xml, before)
        marker = InstallMarker(
            phase=Installation.Phase.INSTALLING,
            media=tuple(before.media),
            direct_kernel=bool(before.kernel),
            started_at=int(timezone.now().timestamp()),
            operation=str(run.operation.pk),
        )
        set_install_marker(connection, uuid, marker)
        _note(before, run)
        with_marker = find_domain(connection, uuid) or found
        start_domain_as(connection, boot_xml(with_marker.xml, before))

    def is_done(self, connection: Connection, uuid: UUID, run: Run) -> bool:
        return domain_state(connection, uuid) in ACTIVE_DOMAIN_STATES


def boot_xml(domain_xml: str, before: Installation) -> str:
    """Raises: errors.NotPossible when the drive or the card that it was installed from is gone."""
    is_network = before.source == "network"
    try:
        return install_boot_xml(domain_xml, media=before.media, network=is_network, kernel=before.kernel)
    except ValueError as error:
        raise NotPossible(str(error)) from error


def _installation(domain: Domain) -> Installation | None:
    """What it was installed from, as long as that is there: a kernel is deleted with the end of the installation."""
    found = Installation.objects.of(domain)
    if found is None or not found.source or (found.source == "kernel" and (found.ended_at or not found.kernel)):
        return None
    return found


def _note(before: Installation, run: Run) -> None:
    """A new one; the one before is over, if it was not."""
    values: dict[str, Any] = {
        name: getattr(before, name)
        for name in ("uuid", "hypervisor_pool", "phase", "media", "files", "source", "kernel", "reboots_expected")
    }
    if before.ended_at is not None:
        # They were deleted then.
        values["files"] = []
    Installation.objects.unfinished().filter(pk=before.pk).update(
        ended_at=timezone.now(), outcome=_("It is installed again.")
    )
    Installation.objects.create(hypervisor=run.source, operation_id=run.operation.pk, **values)
