"""The roles that come with the program, brought up to date after every `migrate` so that new privileges reach them."""

from dataclasses import dataclass
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hypervisors.privileges import Privilege


@dataclass(frozen=True, kw_only=True)
class StockRole:
    key: str
    name: str
    label: Promise
    description: Promise
    privileges: frozenset[Privilege]


ADMINISTRATOR = "administrator"
OPERATOR = "operator"
VM_USER = "vm-user"
VIEWER = "viewer"

STOCK_ROLES = {
    role.key: role
    for role in (
        StockRole(
            key=ADMINISTRATOR,
            name="Administrator",
            label=_("Administrator"),
            description=_("all that an operator may, and accounts, roles and the audit"),
            privileges=frozenset(Privilege),
        ),
        StockRole(
            key=OPERATOR,
            name="Operator",
            label=_("Operator"),
            description=_("manages hosts, storage, networks and virtual machines"),
            privileges=frozenset(Privilege) - {Privilege.PEOPLE_MANAGE, Privilege.AUDIT_VIEW},
        ),
        StockRole(
            key=VM_USER,
            name="VM user",
            label=_("VM user"),
            description=_("starts, stops and configures virtual machines, and uses their consoles"),
            privileges=frozenset(
                {
                    Privilege.DOMAIN_VIEW,
                    Privilege.DOMAIN_CONSOLE,
                    Privilege.DOMAIN_OPERATE,
                    Privilege.DOMAIN_CONFIGURE,
                }
            ),
        ),
        StockRole(
            key=VIEWER,
            name="Viewer",
            label=_("Viewer"),
            description=_("sees virtual machines and their screens, and changes nothing"),
            privileges=frozenset({Privilege.DOMAIN_VIEW}),
        ),
    )
}


def synchronise_stock_roles(*, using: str, apps: Apps = global_apps, **_kwargs: Any) -> None:
    """Make those that are missing, and give each the privileges it has now. A receiver of post_migrate."""
    try:
        roles = apps.get_model("hypervisors", "Role").objects.using(using)
    except LookupError:
        # Migrated back to before there were roles.
        return
    for role in STOCK_ROLES.values():
        values = {
            "name": role.name,
            # In English: pages translate it by its key.
            "description": str(role.description),
            "is_stock": True,
            "privileges": sorted(role.privileges),
        }
        roles.update_or_create(key=role.key, defaults=values)
