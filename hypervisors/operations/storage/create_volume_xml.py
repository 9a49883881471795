"""Create a volume as somebody has written its XML: what the form makes, and what it has no fields for.

What libvirt is given is what was understood of it: it may lie nowhere but in its storage pool, be on top of nothing but
a volume of its host that may be built on, and be encrypted with a secret that the host has.
"""

import logging
import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import HypervisorError, NotPossible
from hypervisors.gateway.storage.volumes import read_volume_xml
from hypervisors.libvirtxml.typed_volumes import TypedVolume, comparable, read_typed_volume
from hypervisors.models import HostSecret, StoragePool, Volume
from hypervisors.operations.definitions.losses import losses_text
from hypervisors.operations.engine.runs import Outcome, Result, Run
from hypervisors.operations.engine.steps import Made, Step, run_steps
from hypervisors.operations.storage.create_volume import (
    FORMATS,
    CreateStep,
    CreateVolume,
    CreateVolumeParameters,
    find_backing,
    why_no_backing,
)
from hypervisors.operations.storage.storage_operations import TellHosts
from hypervisors.states import OperationState

logger = logging.getLogger(__name__)

_LOST = "lost"


class CreateVolumeXml(CreateVolume):
    kind = "create_volume_xml"
    label = gettext_lazy("Create volume from XML")
    icon = "file-code"

    def check(self, storage_pool: StoragePool, given: Mapping[str, Any]) -> CreateVolumeParameters:
        try:
            typed = read_typed_volume(str(given.get("xml") or ""))
        except ValueError as error:
            raise NotPossible(str(error)) from error
        _check_place(storage_pool, typed)
        backing = _backing(storage_pool, typed)
        values = {
            "name": typed.name,
            "format": typed.format,
            "capacity_bytes": typed.capacity_bytes,
            # Nothing that was being reserved when its worker died is believed to be whole.
            "preallocation": "full" if typed.reserved_bytes else "off",
            "overcommitted": given.get("overcommitted"),
            **({"backing_volume_id": backing.pk} if backing else {}),
        }
        return self.checked(
            storage_pool,
            values,
            xml=typed.xml,
            allocation_bytes=typed.reserved_bytes,
            encryption=typed.encryption,
            encryption_secret=_secret_uuid(storage_pool, typed),
        )

    def run(self, run: Run) -> Result:
        storage_pool = StoragePool.objects.select_related("hypervisor").get(pk=int(run.operation.subject_key))
        backing = find_backing(run.parameters)
        if run.parameters.backing_volume_id is not None and backing is None:
            raise NotPossible(_("The volume that it was to be on top of was removed from vmportal."))
        steps = [CreateStep(storage_pool, run.parameters, backing), _Compare(storage_pool), TellHosts(storage_pool)]
        result = run_steps(run, steps, done=_("It is created."))
        if isinstance(result, Outcome) and result.state == OperationState.SUCCEEDED:
            return replace(result, text=" ".join(filter(None, (result.text, _lost(run)))))
        return result


class _Compare(Step):
    """Before anybody has libvirt read the storage pool again: it forgets things then."""

    name = "compare"
    label = gettext_lazy("Compare what libvirt made with what was written")

    def __init__(self, storage_pool: StoragePool) -> None:
        self._uuid = storage_pool.uuid

    def do(self, run: Run, intent: Made) -> Made:
        wanted: CreateVolumeParameters = run.parameters
        try:
            made = run.ask(lambda connection: read_volume_xml(connection, self._uuid, wanted.name))
            return {_LOST: losses_text(comparable(wanted.xml or ""), made)}
        except (HypervisorError, ValueError) as error:
            logger.info("What became of the XML of %s is not known: %s", wanted.name, error)
            return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # Nothing shows it, and twice does no harm.
        return False


def _lost(run: Run) -> str:
    return " ".join(entry["made"].get(_LOST, "") for entry in run.operation.steps if entry["name"] == _Compare.name)


def _check_place(storage_pool: StoragePool, typed: TypedVolume) -> None:
    """Raises: errors.NotPossible."""
    if not typed.path:
        return
    folder = storage_pool.target_path
    expected = posixpath.join(folder, typed.name) if folder else ""
    if typed.path != expected:
        raise NotPossible(
            _("A volume lies where its storage pool is, here as “%(path)s”: <path> says “%(said)s”; leave it out.")
            % {"path": expected or typed.name, "said": typed.path}
        )


def _backing(storage_pool: StoragePool, typed: TypedVolume) -> Volume | None:
    """The volume that it is to be on top of. Raises: errors.NotPossible when that is none of its host."""
    if not typed.backing_path:
        return None
    rows = Volume.objects.present().filter(
        path=typed.backing_path,
        storage_pool__hypervisor=storage_pool.hypervisor_id,
        storage_pool__vanished_at=None,
    )
    found = list(rows.select_related("storage_pool__hypervisor").order_by("pk"))
    if not found:
        raise NotPossible(
            _("It can only be on top of a volume that %(host)s has; “%(path)s” is none.")
            % {"host": storage_pool.hypervisor.name, "path": typed.backing_path}
        )
    # One file may be in several storage pools: what speaks against it in one of them counts.
    volume = next((one for one in found if why_no_backing(storage_pool, one)), found[0])
    if volume.format in FORMATS and volume.format != typed.backing_format:
        raise NotPossible(
            _("“%(path)s” is %(format)s, and not %(said)s.")
            % {"path": typed.backing_path, "format": volume.format, "said": typed.backing_format}
        )
    return volume


def _secret_uuid(storage_pool: StoragePool, typed: TypedVolume) -> str | None:
    """Raises: errors.NotPossible when the host has no such secret."""
    if not typed.encryption:
        return None
    secrets = HostSecret.objects.filter(hypervisor=storage_pool.hypervisor_id)
    try:
        wanted = UUID(typed.secret_uuid) if typed.secret_uuid else None
    except ValueError as error:
        raise NotPossible(_("This is no UUID of a secret: “%(uuid)s”.") % {"uuid": typed.secret_uuid}) from error
    by_usage = secrets.filter(usage_type="volume", usage=typed.secret_usage)
    found = (by_usage if wanted is None else secrets.filter(uuid=wanted)).first()
    if found is None:
        raise NotPossible(
            _("%(host)s has no secret “%(name)s” to encrypt it with.")
            % {"host": storage_pool.hypervisor.name, "name": typed.secret_uuid or typed.secret_usage}
        )
    return str(found.uuid)
