"""Who may have a console, asked of the database: when it is opened, and again while it is open."""

from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.utils.crypto import constant_time_compare

from hypervisors.access import permitted
from hypervisors.models import Domain, Operation
from hypervisors.models.consoles.grants import ConsoleMode
from hypervisors.privileges import Privilege
from hypervisors.states import UNFINISHED_OPERATION_STATES


def find_user(session_key: str) -> User | None:
    """The active user whom this login session belongs to; None when it ended or the password changed since."""
    stored = import_module(settings.SESSION_ENGINE).SessionStore(session_key).load() if session_key else {}
    user = User.objects.filter(pk=stored.get(SESSION_KEY, 0), is_active=True).first()
    # Not auth.get_user(), which deletes a session whose password just changed: its own request still needs it.
    if user is None or not constant_time_compare(stored.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    return user


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
