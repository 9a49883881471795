"""Who may have a console, asked of the database: when it is opened, and again while it is open."""

from uuid import UUID

from django.contrib.auth.models import User

from hypervisors.access import permitted
from hypervisors.models import Domain, Operation
from hypervisors.models.consoles.grants import ConsoleMode
from hypervisors.privileges import Privilege
from hypervisors.states import UNFINISHED_OPERATION_STATES


def find_domain(user: User, uuid: UUID, mode: ConsoleMode) -> Domain | None:
    """The domain, if the user may have its console in this mode."""
    privilege = Privilege.DOMAIN_CONSOLE if mode == "control" else Privilege.DOMAIN_VIEW
    return permitted(user, privilege, Domain.objects.present()).select_related("hypervisor").filter(uuid=uuid).first()


def is_migrating(uuid: UUID) -> bool:
    """Whether an unfinished operation of ours moves it."""
    return Operation.objects.filter(domain__uuid=uuid, kind="migrate", state__in=UNFINISHED_OPERATION_STATES).exists()


def find_libvirt_uuid(uuid: UUID) -> UUID:
    """What its hypervisor knows it by."""
    shared = Domain.objects.filter(uuid=uuid).values_list("shared_uuid", flat=True).first()
    return shared or uuid


def current_hypervisor_id(uuid: UUID) -> int | None:
    """Where the inventory says that it is."""
    return Domain.objects.filter(uuid=uuid).values_list("hypervisor_id", flat=True).first()
