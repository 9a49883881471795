"""Change a storage pool's definition, guarded by the digest of what the person saw; it counts from its next start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import Conflict, HypervisorError, NotFound, NotPossible
from hypervisors.gateway.connections import Connection
from hypervisors.gateway.storage.storage_pool_actions import define_storage_pool, read_definition
from hypervisors.inventory.refresh_requests import request_storage_pool_refresh
from hypervisors.libvirtxml.storage_pool_builder import (
    definition_digest,
    definition_of,
    edit_storage_pool,
    read_storage_pool_spec,
)
from hypervisors.libvirtxml.storage_pool_specs import StoragePoolSpec, spec_problems
from hypervisors.models import StoragePool
from hypervisors.operations.engine.runs import Result, Run, failed
from hypervisors.operations.storage.storage_pool_operations import StoragePoolOperation, find_subject


@dataclass(frozen=True, kw_only=True)
class EditStoragePoolParameters:
    """The digest of the definition that was seen, and the whole XML that is to be."""

    digest: str
    xml: str


class EditStoragePool(StoragePoolOperation):
    kind = "edit_storage_pool"
    label = gettext_lazy("Edit storage pool")
    icon = "edit"
    Parameters: ClassVar[type[Any]] = EditStoragePoolParameters

    def why_not_in_this_state(self, storage_pool: StoragePool) -> str:
        if not storage_pool.persistent:
            return _("It was started without being defined: there is no definition to change.")
        return "" if storage_pool.definition_xml else _("Its definition has not been read yet.")

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> EditStoragePoolParameters:
        """`digest`, and `xml` or `spec`, which changes what it says of the XML that was seen."""
        digest, seen = str(given.get("digest", "")), storage_pool.definition_xml
        if definition_digest(seen) != digest:
            raise NotPossible(changed_text())
        try:
            xml = str(given["xml"]) if given.get("xml") else _edited(seen, StoragePoolSpec.from_json(given["spec"]))
            _check_identity(xml, seen)
            if definition_digest(xml) == digest:
                raise NotPossible(_("Nothing is changed."))
        except ValueError as error:
            raise NotPossible(str(error)) from error
        return EditStoragePoolParameters(digest=digest, xml=definition_of(xml))

    def run(self, run: Run) -> Result:
        storage_pool = find_subject(run)
        if storage_pool is None:
            return failed(_("The storage pool is gone."))
        uuid, wanted = storage_pool.uuid, run.parameters
        problem: HypervisorError | None = None
        try:
            run.ask(lambda connection: _define(connection, uuid, wanted))
        except HypervisorError as error:
            problem = error
        except Conflict as error:
            return failed(str(error))
        done = _("It is changed.")
        if storage_pool.active:
            done = _("It is changed; that counts from its next start on: stop it and start it again.")
        outcome = run.judge(lambda connection: _is_so(connection, uuid, wanted.xml), done=done, problem=problem)
        request_storage_pool_refresh(storage_pool.hypervisor_id, uuid)
        return outcome


def changed_text() -> str:
    return _("Somebody changed its definition meanwhile: look at it as it is now, and change that.")


def _edited(xml: str, spec: StoragePoolSpec) -> str:
    """Raises: errors.NotPossible, ValueError."""
    before = read_storage_pool_spec(xml)
    # What was so before is nobody's mistake now.
    wrong = [text for name, text in spec_problems(spec).items() if text not in spec_problems(before).values()]
    if wrong:
        raise NotPossible(wrong[0])
    return edit_storage_pool(xml, spec)


def _check_identity(xml: str, seen: str) -> None:
    """Raises: errors.NotPossible, ValueError."""
    new, old = read_storage_pool_spec(xml), read_storage_pool_spec(seen)
    if (new.name, new.uuid, new.pool_type) != (old.name, old.uuid, old.pool_type):
        raise NotPossible(_("Its name, its UUID and its type stay: to have others, create another storage pool."))


def _define(connection: Connection, uuid: UUID, wanted: EditStoragePoolParameters) -> None:
    """Raises: errors.Conflict, HypervisorError."""
    now = read_definition(connection, uuid)
    if now is None:
        raise NotFound(_("The storage pool is gone."))
    if definition_digest(now) == wanted.digest:
        define_storage_pool(connection, wanted.xml)
    elif not _says(now, wanted.xml):
        raise Conflict(changed_text())


def _is_so(connection: Connection, uuid: UUID, xml: str) -> bool:
    now = read_definition(connection, uuid)
    return now is not None and _says(now, xml)


def _says(now: str, xml: str) -> bool:
    """Whether all that is known of both is the same: libvirt adds what goes without saying."""
    said, wanted = read_storage_pool_spec(now), read_storage_pool_spec(xml)
    return all(getattr(said, name) == value or not value for name, value in vars(wanted).items())
