"""The step before all others: whether what the machine is made of is what the rows say, asked of its host.

Whoever writes an image's bytes writes its header, and libvirt believes that: so each head is read and judged first.
"""

import posixpath
import struct

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hypervisors.errors import NameTaken, NotPossible
from hypervisors.gateway.domains.definitions import find_domain, find_domain_named
from hypervisors.gateway.storage.volumes import read_volume, read_volume_bytes
from hypervisors.imaging.image_facts import HEAD_BYTES
from hypervisors.imaging.image_headers import inspect_head
from hypervisors.models import Hypervisor
from hypervisors.operations.domains.creation.parameters import CreateDomainParameters
from hypervisors.operations.domains.creation.places import VolumePlace, backing_chain, volume_on
from hypervisors.operations.domains.creation.specs import uuid_of
from hypervisors.operations.engine.runs import Run
from hypervisors.operations.engine.steps import Made, Step

# In a qcow2 header: where the backing file's name is, and how long, https://www.qemu.org/docs/master/interop/qcow2.html
_BACKING = struct.Struct(">QI")
_BACKING_AT = 8
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
        for volume_id in parameters.media:
            check_medium(run, volume_on(run.source, volume_id))
        for plan in parameters.disk_plans:
            if plan.source_volume_id is not None:
                check_image(run, volume_on(run.source, plan.source_volume_id))
        return {}

    def is_done(self, run: Run, intent: Made) -> bool:
        # What was seen minutes ago, by a worker that died, is looked at again.
        return False


def check_medium(run: Run, place: VolumePlace) -> None:
    """Raises: errors.NotPossible for what is no ISO image."""
    facts = inspect_head(_head(run, place))
    if facts.format != "iso":
        raise NotPossible(
            _("“%(name)s” is no ISO image: it looks like %(format)s.") % {"name": place.name, "format": facts.format}
        )


def check_image(run: Run, place: VolumePlace) -> None:
    """Raises: errors.NotPossible for an image that reaches for other files, is damaged, or is not what it was."""
    head = _head(run, place)
    facts = inspect_head(_without_known_backing(run.source, head, place))
    if facts.problem:
        raise NotPossible(_("“%(name)s” is not used: %(problem)s") % {"name": place.name, "problem": facts.problem})
    looks_like_disk = facts.format in ("qcow2", "vmdk", "vdi", "vpc")
    if (place.format == "raw" and looks_like_disk) or (place.format != "raw" and facts.format != place.format):
        raise NotPossible(
            _("“%(name)s” is not used: it is kept as %(kept)s, and its content says %(said)s.")
            % {"name": place.name, "kept": place.format or "?", "said": facts.format}
        )


def _head(run: Run, place: VolumePlace) -> bytes:
    uuid, name = place.storage_pool.uuid, place.name
    if run.ask(lambda connection: read_volume(connection, uuid, name)) is None:
        raise NotPossible(
            _("“%(name)s” is not in the storage pool “%(pool)s” of %(host)s any more.")
            % {"name": name, "pool": place.storage_pool.name, "host": run.source.name}
        )
    return run.ask(lambda connection: read_volume_bytes(connection, uuid, name, 0, HEAD_BYTES), seconds=_READ_SECONDS)


def _without_known_backing(hypervisor: Hypervisor, head: bytes, place: VolumePlace) -> bytes:
    """The head without the name of its backing file, if that is a volume that the host's rows know it to be on top of.

    Raises: errors.NotPossible when an image below it is in no storage pool.
    """
    named = _backing_name(head)
    chain = backing_chain(hypervisor, place.path) if named else ()
    if len(chain) < 2 or posixpath.normpath(posixpath.join(posixpath.dirname(place.path), named)) != chain[1].path:
        return head
    return head[:_BACKING_AT] + bytes(_BACKING.size) + head[_BACKING_AT + _BACKING.size :]


def _backing_name(head: bytes) -> str:
    if head[:4] != b"QFI\xfb" or len(head) < _BACKING_AT + _BACKING.size:
        return ""
    offset, length = _BACKING.unpack_from(head, _BACKING_AT)
    return head[offset : offset + length].decode("utf-8", "replace") if length <= 1023 else ""
