"""Protection of a virtual machine from deletion: a wish of people, which no host knows."""

from django.contrib.auth.models import User
from django.db import transaction

from hypervisors.access import audit, require
from hypervisors.broadcast import Change, publish
from hypervisors.models import Domain
from hypervisors.privileges import Privilege


def protect_from_deletion(actor: User, domain: Domain, *, protected: bool) -> bool:
    """Protect it, or take the protection back; whether that changed anything. Raises: errors.NotPermitted."""
    what = "protect from deletion" if protected else "allow deletion"
    require(actor, Privilege.DOMAIN_CONFIGURE, domain, what=what)
    with transaction.atomic():
        if not Domain.objects.filter(pk=domain.pk, delete_protected=not protected).update(delete_protected=protected):
            return False
        domain.delete_protected = protected
        audit.record(
            actor,
            what,
            subject_type="domain",
            subject_key=str(domain.uuid),
            subject_name=domain.name,
            before={"delete_protected": not protected},
            after={"delete_protected": protected},
        )
        change = Change(what="domain", id=str(domain.uuid), fields={"delete_protected": protected})
        transaction.on_commit(lambda: publish([change]))
    return True
