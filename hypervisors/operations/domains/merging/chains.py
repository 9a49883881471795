"""The images that a running machine's disks are made of, and which of them can be merged: from rows alone.

Whatever is written into an image changes all that others have on top of it: only what nobody else needs is written to.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.disk_layers import DiskLayer, disk_layers
from hypervisors.libvirtxml.domains import parsed_from_json
from hypervisors.models import Domain, DomainDefinition, Volume
from hypervisors.operations.domains.deletion.plan import users_apart_from
from hypervisors.operations.domains.moving.steps import is_same_file
from hypervisors.operations.domains.unmovable import is_data
from hypervisors.operations.storage.volume_users import in_use_text, overlays_of


@dataclass(frozen=True, kw_only=True)
class DiskImage:
    """One image of a disk. `reason`: why what is above it cannot be merged into it; "" when it can, or is the top."""

    path: str
    format: str
    volume: Volume | None
    reason: str = ""

    @property
    def name(self) -> str:
        return self.volume.name if self.volume else self.path.rpartition("/")[2] or "?"


@dataclass(frozen=True, kw_only=True)
class DiskChain:
    """A disk with more than one image, the one that is written to first. `job`: what its host does to it now."""

    target: str
    images: tuple[DiskImage, ...]
    job: str

    @property
    def own(self) -> DiskImage:
        return self.images[0]

    @property
    def below(self) -> tuple[DiskImage, ...]:
        return self.images[1:]

    def find(self, path: str) -> int:
        """Which of them it is, the top being 0; -1 for none."""
        return next((number for number, image in enumerate(self.images) if is_same_file(image.path, path)), -1)


def disk_chains(domain: Domain) -> tuple[DiskChain, ...]:
    """Those of its disks that are on top of something; none of one that is off: its host tells of what runs only."""
    definition = DomainDefinition.objects.filter(domain=domain).first()
    if definition is None or not definition.live_xml:
        return ()
    found = []
    for disk in parsed_from_json(definition.live_parsed).disks:
        layers = disk_layers(definition.live_xml, disk.target) if is_data(disk) else ()
        if len(layers) > 1:
            found.append(DiskChain(target=disk.target, images=_images(domain, layers), job=disk.block_job))
    return tuple(found)


def find_chain(domain: Domain, target: str) -> DiskChain | None:
    return next((chain for chain in disk_chains(domain) if chain.target == target), None)


def _images(domain: Domain, layers: Collection[DiskLayer]) -> tuple[DiskImage, ...]:
    pools = Volume.objects.present().filter(storage_pool__hypervisor=domain.hypervisor_id)
    rows = {row.path: row for row in pools.filter(path__in=[layer.path for layer in layers]).select_related()}
    paths = [layer.path for layer in layers]
    images: list[DiskImage] = []
    reason = ""
    for number, layer in enumerate(layers):
        volume = rows.get(layer.path)
        if number:
            # What is above it goes too: whoever needs that, needs it all.
            reason = reason or _why_needed(domain, volume, paths)
        images.append(DiskImage(path=layer.path, format=layer.format, volume=volume, reason=reason))
    return tuple(images)


def _why_needed(domain: Domain, volume: Volume | None, chain: Collection[str]) -> str:
    if volume is None:
        return _("It is in no storage pool, so nobody can tell who else needs it.")
    others = [one.name for one in overlays_of(volume) if not any(is_same_file(one.path, path) for path in chain)]
    return in_use_text(users_apart_from(domain, volume), others)
