"""What volumes were made as: noted by whoever makes one, so that what its bytes say later can be compared with it."""

from collections.abc import Collection, Iterable

from hypervisors.models import StoragePool, Upload, Volume, VolumeOrigin
from hypervisors.states import UploadState


def note_origin(
    storage_pool: StoragePool,
    name: str,
    *,
    format_: str,
    backing_path: str = "",
    purpose: str | None = None,
    encryption_secret: str | None = None,
) -> None:
    """A volume was made so, by us, or its content was looked at and found to be so; it ends a quarantine.

    `purpose` and `encryption_secret` are left as they are when None.
    """
    same = StoragePool.objects.same_storage_as(storage_pool)
    values = {"format": format_, "backing_path": backing_path}
    if encryption_secret is not None:
        values["encryption_secret"] = encryption_secret
    if purpose is not None:
        values["purpose"] = purpose
    if not VolumeOrigin.objects.filter(storage_pool__in=same, name=name).update(**values):
        VolumeOrigin.objects.create(storage_pool=storage_pool, name=name, **values)
    Volume.objects.filter(storage_pool__in=same, name=name).exclude(quarantine="").update(quarantine="")


def note_purpose(storage_pool: StoragePool, name: str, purpose: str) -> None:
    """Say what a volume is for, whoever made it."""
    same = StoragePool.objects.same_storage_as(storage_pool)
    if not VolumeOrigin.objects.filter(storage_pool__in=same, name=name).update(purpose=purpose):
        VolumeOrigin.objects.create(storage_pool=storage_pool, name=name, purpose=purpose)


def forget_origin(storage_pool: StoragePool, name: str) -> None:
    """The volume was deleted: another of its name is another."""
    same = StoragePool.objects.same_storage_as(storage_pool)
    VolumeOrigin.objects.filter(storage_pool__in=same, name=name).delete()
    mismatched = Upload.objects.filter(storage_pool__in=same, volume_name=name, state=UploadState.MISMATCHED)
    mismatched.update(state=UploadState.DISCARDED)


def find_origin(volume: Volume) -> VolumeOrigin | None:
    return origins_of([volume]).get(volume.pk)


def origins_of(volumes: Collection[Volume]) -> dict[int, VolumeOrigin]:
    """By primary key of the volume; one query. The volumes come with their storage pools."""
    by_place = {(row.storage_pool.storage_key, row.name): row for row in _origins(volumes)}
    found = {volume.pk: by_place.get((volume.storage_pool.storage_key, volume.name)) for volume in volumes}
    return {pk: row for pk, row in found.items() if row is not None}


def _origins(volumes: Collection[Volume]) -> Iterable[VolumeOrigin]:
    pools = {volume.storage_pool_id for volume in volumes}
    shared = {volume.storage_pool.shared_storage_id for volume in volumes} - {None}
    names = sorted({volume.name for volume in volumes})
    here = VolumeOrigin.objects.filter(storage_pool__in=pools)
    there = VolumeOrigin.objects.filter(storage_pool__shared_storage__in=shared)
    for start in range(0, len(names), 500):
        yield from (here | there).filter(name__in=names[start : start + 500]).select_related("storage_pool")
