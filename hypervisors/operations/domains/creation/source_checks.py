"""The step before all others: whether what the machine is made of is what the rows say, asked of its host.

Whoever writes an image's bytes writes its header, and libvirt believes that: so each head is read and judged first.
"""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NameTaken, NotPossible
from hypervisors.gateway.domains.definitions import find_domain, find_domain_named
from hypervisors.gateway.storage.storage_pools import refresh_storage_pool
from hypervisors.gateway.storage.volumes import read_volume, read_volume_bytes
from hypervisors.imaging.image_facts import HEAD_BYTES
from hypervisors.imaging.image_headers import inspect_head
from hypervisors.operations.domains.creation.disk_checks import why_no_base
from hypervisors.operations.domains.creation.parameters import CreateDomainParameters, DiskAction
from hypervisors.operations.domains.creation.places import VolumePlace, volume_on
from hypervisors.operations.domains.creation.specs import uuid_of
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step
from hypervisors.operations.storage.image_checks import check_image

_READ_SECONDS = 30.0


class CheckSources(Step):
    """Name, UUID, media and images as the host has them now. Makes nothing."""

    name = "check"
    label = gettext_lazy("Look at what it is made of")

    def __init__(self, parameters: CreateDomainParameters) -> None:
        self._parameters = parameters

    def do(self, run: Run, intent: Made) -> Made:
        parameters = self._parameters
        uuid, name = uuid_of(parameters), parameters.name
        if run.ask(lambda connection: find_domain(connection, uuid)) is not None:
            raise NotPossible(_("%(host)s has a virtual machine of this UUID already.") % {"host": run.source.name})
        if run.ask(lambda connection: find_domain_named(connection, name)) is not None:
            raise NameTaken(
                _("%(host)s has a virtual machine called “%(name)s” already.") % {"host": run.source.name, "name": name}
            )
        for place in (volume_on(run.source, volume_id) for volume_id in parameters.media):
            _ensure_known(run, place)
            check_medium(run, place)
        sources = [plan.source_volume_id for plan in parameters.disk_plans if plan.source_volume_id is not None]
        for place in (volume_on(run.source, volume_id) for volume_id in sources):
            _ensure_known(run, place)
            check_image(run, place.row)
        for plan in parameters.disk_plans:
            if plan.action == DiskAction.OVERLAY and plan.source_volume_id is not None:
                # A template may have become a machine again since.
                reason = why_no_base(volume_on(run.source, plan.source_volume_id).row)
                if reason:
                    raise NotPossible(reason)
        return {}

    def has_made(self, intent: Made, made: Made) -> bool:
        return False

    def is_done(self, run: Run, intent: Made) -> bool:
        # What was seen minutes ago, by a worker that died, is looked at again.
        return False


def check_medium(run: Run, place: VolumePlace) -> None:
    """Raises: errors.NotPossible for what is no ISO image."""
    uuid, name = place.storage_pool.uuid, place.name
    head = run.ask(lambda connection: read_volume_bytes(connection, uuid, name, 0, HEAD_BYTES), seconds=_READ_SECONDS)
    facts = inspect_head(head)
    if facts.format != "iso":
        raise NotPossible(
            _("“%(name)s” is no ISO image: it looks like %(format)s.") % {"name": place.name, "format": facts.format}
        )


def _ensure_known(run: Run, place: VolumePlace) -> None:
    """Raises: errors.NotPossible when the host does not have the volume."""
    uuid, name = place.storage_pool.uuid, place.name
    if run.ask(lambda connection: read_volume(connection, uuid, name)) is None:
        # Another host of the storage has made it: this one's libvirt has not looked since.
        run.ask(lambda connection: refresh_storage_pool(connection, uuid), seconds=_READ_SECONDS)
    if run.ask(lambda connection: read_volume(connection, uuid, name)) is None:
        raise NotPossible(
            _("“%(name)s” is not in the storage pool “%(pool)s” of %(host)s any more.")
            % {"name": name, "pool": place.storage_pool.name, "host": run.source.name}
        )
