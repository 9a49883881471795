"""The volumes that a machine's disks are made of, as the rows of its host's storage tell."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q
from django.utils.translation import gettext as _

from hypervisors.access import can
from hypervisors.libvirtxml.hardware.devices import Device
from hypervisors.libvirtxml.hardware.fields import Values
from hypervisors.models import Domain, Volume
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import size

DISKS = ("disk", "cdrom", "floppy")


def image_of(values: Values) -> str:
    """Where its bytes are: a path, "pool/volume", or what a server calls them; "" for nothing."""
    if values.get("type") == "volume":
        return "/".join(str(values[name]) for name in ("source_pool", "source_volume") if values.get(name))
    return next((str(values[name]) for name in ("source_file", "source_dev", "source_name") if values.get(name)), "")


def image_name(values: Values) -> str:
    """The last part of that: what tells one from another where there is little room."""
    image = image_of(values)
    return image.rpartition("/")[2] or image


def volumes_of(domain: Domain, devices: Iterable[Device]) -> Mapping[str, Volume]:
    """Of hard disks, by the device's id, as far as they are known; one query, none where there is no disk."""
    images = {device.id: image_of(device.values) for device in devices if device.type_key == "disk"}
    if not any(images.values()) or domain.hypervisor_id is None:
        return {}
    known = _volumes(domain, set(images.values()))
    return {device_id: known[image] for device_id, image in images.items() if image in known}


def volume_of(domain: Domain, device: Device, user: User | AnonymousUser) -> Volume | None:
    """Nothing for who may not see the host's storage."""
    image = image_of(device.values)
    if not image or domain.hypervisor is None or not can(user, Privilege.STORAGE_VIEW, domain.hypervisor):
        return None
    return _volumes(domain, {image}).get(image)


def volume_words(volume: Volume) -> str:
    """How large it is, and how much of that is taken."""
    words = {"size": size(volume.capacity_bytes), "taken": size(volume.allocation_bytes)}
    return _("%(size)s, %(taken)s of it taken") % words


def _volumes(domain: Domain, images: set[str]) -> dict[str, Volume]:
    pairs = [image.split("/", 1) for image in images if "/" in image and not image.startswith("/")]
    wanted = Q(path__in=images)
    for pool, name in pairs:
        wanted |= Q(storage_pool__name=pool, name=name)
    rows = Volume.objects.present().filter(wanted, storage_pool__hypervisor=domain.hypervisor_id)
    found: dict[str, Volume] = {}
    for volume in rows.select_related("storage_pool"):
        found[volume.path] = found[f"{volume.storage_pool.name}/{volume.name}"] = volume
    return found
