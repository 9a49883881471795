"""What templates say of themselves: their description, and what new machines get unless told otherwise."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User

from hypervisors.access import audit, require
from hypervisors.models import DomainTemplate
from hypervisors.models.domain_templates import checked_defaults
from hypervisors.privileges import Privilege

CHANGE_TEMPLATE = "change_template"


def change_template(user: User, template: DomainTemplate, given: Mapping[str, Any]) -> None:
    """`given`: "description", and the keys of DomainTemplate.defaults. Machines that were made of it stay as they are.

    Raises: errors.NotPermitted, errors.NotPossible.
    """
    require(user, Privilege.DOMAIN_CREATE, template.domain, what=CHANGE_TEMPLATE)
    before = {"description": template.description, **template.defaults}
    template.description = str(given.get("description") or "")
    template.defaults = checked_defaults(given)
    template.save(update_fields=["description", "defaults"])
    audit.record(
        user,
        CHANGE_TEMPLATE,
        subject_type="domain",
        subject_key=str(template.domain.uuid),
        subject_name=template.domain.name,
        before=before,
        after={"description": template.description, **template.defaults},
    )
