"""Hosts: adding, changing, removing, and whether vmportal uses them. Connections are tested before, by operations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisors.access import audit, require
from hypervisors.access.reach import place_to_manage
from hypervisors.administration.hypervisor_pools import add_hypervisor_pool
from hypervisors.administration.secret_destinations import misdirected_secrets
from hypervisors.broadcast import Change, publish
from hypervisors.errors import Conflict, NotPossible
from hypervisors.inventory.refresh_requests import request_hypervisors_refresh
from hypervisors.models import Domain, Hypervisor, HypervisorCredentials, HypervisorPool, Operation
from hypervisors.models.hypervisor_credentials import CREDENTIALS, SECRETS, readable_credentials_of
from hypervisors.models.natural_names import natural_text
from hypervisors.privileges import Privilege
from hypervisors.states import AdminState


@dataclass(frozen=True, kw_only=True)
class HypervisorValues:
    """What people say of a host. The pool is an existing one, or the name of one to make. `credentials` are whole;
    `typed` names the secrets that were entered just now, the others are those that are stored.
    """

    name: str
    uri: str
    migration_uri: str = ""
    console_addresses: str = ""
    hypervisor_pool: HypervisorPool | None
    new_pool: str = ""
    credentials: Mapping[str, str]
    typed: frozenset[str] = frozenset()


def require_changing(actor: User, hypervisor: Hypervisor, *, what: str = "change a host") -> None:
    """Raises: errors.NotPermitted."""
    require(actor, Privilege.HYPERVISOR_MANAGE, hypervisor, what=what)


def add_hypervisor(actor: User, values: HypervisorValues, *, host_uuid: UUID | None, tested: bool) -> Hypervisor:
    """`host_uuid` is what a connection test has seen. Raises: errors.NotPermitted, django.db.IntegrityError."""
    place = place_to_manage(values.uri, values.hypervisor_pool)
    require(actor, Privilege.HYPERVISOR_MANAGE, place, what="add a host")
    with transaction.atomic():
        hypervisor = Hypervisor.objects.create(
            hypervisor_pool=_pool(actor, values),
            name=values.name,
            uri=values.uri,
            migration_uri=values.migration_uri,
            console_addresses=values.console_addresses,
            host_uuid=host_uuid,
        )
        HypervisorCredentials(hypervisor=hypervisor, **values.credentials).save()
        _publish(hypervisor, op="add")
        after = _public(hypervisor, values.credentials) | {"tested": tested}
        audit.record_change(actor, "add a host", hypervisor, after=after)
    return hypervisor


def change_hypervisor(
    actor: User, hypervisor_id: int, values: HypervisorValues, *, host_uuid: UUID | None, tested: bool | None
) -> Hypervisor:
    """Those who hold a connection reconnect when the URI or the credentials differ. `tested`: None, where they do not.

    Only the operators' columns are written: the watcher writes the others meanwhile. Raises: errors.NotPermitted,
    errors.NotPossible when a stored secret would go elsewhere, Hypervisor.DoesNotExist, django.db.IntegrityError.
    """
    stored = Hypervisor.objects.select_related("hypervisor_pool").get(pk=hypervisor_id)
    require_changing(actor, stored)
    credentials, _readable = readable_credentials_of(stored)
    former_credentials = {name: getattr(credentials, name) for name in CREDENTIALS}
    _refuse_misdirected(stored, former_credentials, values)
    if values.hypervisor_pool != stored.hypervisor_pool:
        require(actor, Privilege.HYPERVISOR_MANAGE, values.hypervisor_pool, what="move a host to another pool")
    if values.uri != stored.uri:
        require(actor, Privilege.HYPERVISOR_MANAGE, place_to_manage(values.uri, stored), what="change a host")
    with transaction.atomic():
        columns: dict[str, Any] = {
            "hypervisor_pool": _pool(actor, values),
            "name": values.name,
            "natural_name": natural_text(values.name),
            "uri": values.uri,
            "migration_uri": values.migration_uri,
            "console_addresses": values.console_addresses,
        }
        if values.uri != stored.uri or dict(values.credentials) != former_credentials:
            columns["revision"] = F("revision") + 1
            HypervisorCredentials(hypervisor=stored, **values.credentials).save()
        if host_uuid is not None or values.uri != stored.uri:
            columns["host_uuid"] = host_uuid
        Hypervisor.objects.filter(pk=stored.pk).update(**columns)
        hypervisor = Hypervisor.objects.select_related("hypervisor_pool").get(pk=stored.pk)
        _publish(hypervisor)
        before, after = _public(stored, former_credentials), _public(hypervisor, values.credentials)
        for name in SECRETS:
            if values.credentials[name] and values.credentials[name] != former_credentials[name]:
                after[name] = "replaced" if former_credentials[name] else "set"
        audit.record_change(actor, "change a host", hypervisor, before=before, after=after | _tested(tested))
    return hypervisor


def set_admin_state(actor: User, hypervisor: Hypervisor, state: AdminState, *, reason: str = "") -> None:
    """Whether vmportal uses the host. Raises: errors.NotPermitted."""
    what = _ADMIN_STATE_ACTIONS[state]
    require_changing(actor, hypervisor, what=what)
    if state == hypervisor.admin_state:
        return
    before = {"admin_state": str(hypervisor.admin_state)}
    hypervisor.admin_state = state
    hypervisor.admin_state_since = timezone.now()
    hypervisor.admin_state_by = actor.get_username()
    hypervisor.admin_state_reason = reason.strip()[:500]
    with transaction.atomic():
        hypervisor.save(update_fields=_ADMIN_STATE_COLUMNS)
        _publish(hypervisor)
        after = {"admin_state": str(state), "reason": hypervisor.admin_state_reason}
        audit.record_change(actor, what, hypervisor, before=before, after=after)


def remove_hypervisor(actor: User, hypervisor: Hypervisor) -> None:
    """Nothing happens on the machine itself; its virtual machines become tombstones that keep roles and history.

    Raises: errors.NotPermitted, errors.Conflict while operations are on it.
    """
    require_changing(actor, hypervisor, what="remove a host")
    with transaction.atomic():
        if unfinished_operations_on(hypervisor).exists():
            raise Conflict(_("Operations are on “%(name)s”; wait for their end.") % {"name": hypervisor.name})
        credentials, _readable = readable_credentials_of(hypervisor)
        before = _public(hypervisor, {name: getattr(credentials, name) for name in CREDENTIALS})
        audit.record_change(actor, "remove a host", hypervisor, before=before)
        _remove(hypervisor)


def unfinished_operations_on(hypervisor: Hypervisor) -> "QuerySet[Operation]":
    here = Q(hypervisor=hypervisor) | Q(target_hypervisor=hypervisor) | Q(domain__hypervisor=hypervisor)
    return Operation.objects.unfinished().filter(here).select_related("requested_by")


def _pool(actor: User, values: HypervisorValues) -> HypervisorPool:
    if values.hypervisor_pool is not None:
        return values.hypervisor_pool
    return add_hypervisor_pool(actor, name=values.new_pool)


def _refuse_misdirected(stored: Hypervisor, former: Mapping[str, str], values: HypervisorValues) -> None:
    """The form has said so at its fields; this holds when the row changed meanwhile."""
    elsewhere = misdirected_secrets(stored.uri, former, values.uri, values.credentials, typed=values.typed)
    if elsewhere:
        where = next(iter(elsewhere.values()))
        raise NotPossible(_("What is stored to sign in with is for %(where)s only; enter it again.") % {"where": where})


def _remove(hypervisor: Hypervisor) -> None:
    domains = Domain.objects.present().filter(hypervisor=hypervisor)
    where = {"hypervisor_pool": hypervisor.hypervisor_pool_id}
    gone = {"vanished": True, "hypervisor": None, "hypervisor_name": "", **where}
    changes = [Change(what="domain", id=str(uuid), fields=gone) for uuid in domains.values_list("uuid", flat=True)]
    changes.append(Change(what="hypervisor", id=str(hypervisor.pk), op="remove", fields=where))
    domains.update(vanished_at=timezone.now())
    hypervisor.delete()
    _tell(changes)


def _publish(hypervisor: Hypervisor, *, op: Literal["add", "update"] = "update") -> None:
    fields = {
        "name": hypervisor.name,
        "hypervisor_pool": hypervisor.hypervisor_pool_id,
        "hypervisor_pool_name": hypervisor.hypervisor_pool.name,
        "admin_state": hypervisor.admin_state,
        "status": hypervisor.status,
    }
    _tell([Change(what="hypervisor", id=str(hypervisor.pk), op=op, fields=fields)])


def _tell(changes: list[Change]) -> None:
    """Say it to open pages, and to the watcher, once it is so."""
    transaction.on_commit(lambda: publish(changes))
    transaction.on_commit(request_hypervisors_refresh)


def _public(hypervisor: Hypervisor, credentials: Mapping[str, str]) -> dict[str, Any]:
    """What the audit may hold: of a secret only whether there is one."""
    return {
        "name": hypervisor.name,
        "pool": hypervisor.hypervisor_pool.name,
        "uri": hypervisor.uri,
        "migration_uri": hypervisor.migration_uri,
        "console_addresses": hypervisor.console_addresses,
        "sasl_username": credentials["sasl_username"],
        **{name: "set" if credentials[name] else "" for name in SECRETS},
    }


def _tested(tested: bool | None) -> dict[str, bool]:
    return {} if tested is None else {"tested": tested}


_ADMIN_STATE_COLUMNS = ("admin_state", "admin_state_since", "admin_state_by", "admin_state_reason")
_ADMIN_STATE_ACTIONS = {
    AdminState.ENABLED: "enable a host",
    AdminState.MAINTENANCE: "put a host into maintenance",
    AdminState.DISABLED: "disable a host",
}
