"""Who may have a console, asked of the database: when it is opened, and again while it is open."""

from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest

from hypervisors.models import Domain, Operation
from hypervisors.models.console_grants import ConsoleMode
from hypervisors.states import UNFINISHED_OPERATION_STATES, OperationKind


def find_user(session_key: str) -> User | None:
    """The active user whom this login session belongs to; None when it ended or the password changed since."""
    if not session_key:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None


def find_domain(user: User, uuid: UUID, mode: ConsoleMode) -> Domain | None:
    """The domain, if the user may have its console in this mode."""
    domains = Domain.objects.operable_by(user) if mode == "control" else Domain.objects.visible_to(user)
    return domains.present().select_related("hypervisor").filter(uuid=uuid).first()


def is_migrating(uuid: UUID) -> bool:
    """Whether an unfinished operation of ours moves it."""
    return Operation.objects.filter(
        domain__uuid=uuid, kind=OperationKind.MIGRATE, state__in=UNFINISHED_OPERATION_STATES
    ).exists()


def current_hypervisor_id(uuid: UUID) -> int | None:
    """Where the inventory says that it is."""
    return Domain.objects.filter(uuid=uuid).values_list("hypervisor_id", flat=True).first()
