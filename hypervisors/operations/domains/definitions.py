"""Rename, autostart, title and description: what changes a domain's definition and nothing that runs."""

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from hypervisors.gateway.connections import Connection
from hypervisors.gateway.domains import actions as domains
from hypervisors.operations.domains.actions import Action, Parameters


def _rename(connection: Connection, uuid: UUID, parameters: Parameters) -> None:
    domains.rename_domain(connection, uuid, parameters["name"])


def _is_called(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return bool(domains.domain_name(connection, uuid) == parameters["name"])


def _set_autostart(connection: Connection, uuid: UUID, parameters: Parameters) -> None:
    domains.set_autostart(connection, uuid, enabled=parameters["enabled"])


def _has_autostart(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    return domains.starts_with_host(connection, uuid) is bool(parameters["enabled"])


def _describe(connection: Connection, uuid: UUID, parameters: Parameters) -> None:
    domains.set_title_and_description(
        connection, uuid, title=parameters["title"], description=parameters["description"]
    )


def _is_described(connection: Connection, uuid: UUID, parameters: Parameters) -> bool:
    title, description = domains.title_and_description(connection, uuid)
    return (title, description.strip()) == (parameters["title"], parameters["description"])


RENAME = Action(act=_rename, is_done=_is_called, done=_("It is called “%(name)s” now."))
SET_AUTOSTART = Action(act=_set_autostart, is_done=_has_autostart, done=_("Done."))
DESCRIBE = Action(act=_describe, is_done=_is_described, done=_("Done."))
