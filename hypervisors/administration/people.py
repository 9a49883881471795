"""People's accounts: adding, activating, deactivating, new passwords, lost second factors. Passwords are shown once."""

import secrets

from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from hypervisors.access import audit, require
from hypervisors.administration.role_bindings import give_role, require_an_administrator
from hypervisors.errors import NotPossible
from hypervisors.models import Role
from hypervisors.models.login_sessions import end_sessions
from hypervisors.privileges import Privilege


def require_managing(actor: User, *, what: str) -> None:
    """Raises: errors.NotPermitted."""
    require(actor, Privilege.PEOPLE_MANAGE, None, what=what)


def add_person(actor: User, person: User, *, role: Role | None) -> str:
    """Save the new account, with a role on everything if one is given. Gives its password."""
    require_managing(actor, what="add a person")
    password = new_password()
    person.is_staff = person.is_superuser = False
    person.set_password(password)
    with transaction.atomic():
        person.save(force_insert=True)
        _note(actor, "add a person", person, after={"name": person.get_full_name()})
        if role is not None:
            give_role(actor, role=role, holder=person, on=None)
    return password


def set_active(actor: User, person: User, *, active: bool) -> None:
    """A deactivated person's sessions and consoles end at once; roles and history are kept."""
    what = "activate a person" if active else "deactivate a person"
    require_managing(actor, what=what)
    _refuse_oneself(actor, person)
    if person.is_active != active:
        with transaction.atomic():
            person.is_active = active
            person.save(update_fields=["is_active"])
            if not active:
                require_an_administrator()
            _note(actor, what, person, before={"active": not active}, after={"active": active})


def reset_password(actor: User, person: User) -> str:
    """A new password. Their sessions end."""
    require_managing(actor, what="reset a person's password")
    _refuse_oneself(actor, person)
    password = new_password()
    with transaction.atomic():
        person.set_password(password)
        person.save(update_fields=["password"])
        end_sessions([person.pk])
        _note(actor, "reset a person's password", person)
    return password


def remove_second_factor(actor: User, person: User) -> None:
    """For somebody who lost the device and the recovery codes."""
    require_managing(actor, what="remove a person's second factor")
    _refuse_oneself(actor, person)
    with transaction.atomic():
        Authenticator.objects.filter(user=person).delete()
        _note(actor, "remove a person's second factor", person)


def new_password() -> str:
    """Twenty characters in groups, easy to read out: 95 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    groups = ("".join(secrets.choice(alphabet) for _character in range(5)) for _group in range(4))
    return "-".join(groups)


def _refuse_oneself(actor: User, person: User) -> None:
    """So that somebody always can. Raises: errors.NotPossible."""
    if actor.pk == person.pk:
        raise NotPossible(_("One's own account is changed by another administrator."))


def _note(
    actor: User,
    action: str,
    person: User,
    *,
    before: dict[str, object] | None = None,
    after: dict[str, object] | None = None,
) -> None:
    audit.record(
        actor,
        action,
        subject_type="person",
        subject_key=str(person.pk),
        subject_name=person.username,
        before=before,
        after=after,
    )
