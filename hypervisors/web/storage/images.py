"""The images page: ISOs, cloud images and templates of all storage that the person may see; shared ones stand once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_safe

from hypervisors.access import permitted, require
from hypervisors.broadcast import changes_group
from hypervisors.inventory.storage.heads import looks_like_image
from hypervisors.inventory.storage.origins import origins_of
from hypervisors.models import StoragePool, Upload, Volume, VolumeHead, VolumeOrigin
from hypervisors.operations.engine.requests import why_not
from hypervisors.privileges import Privilege
from hypervisors.states import UploadState
from hypervisors.web.naming import natural_key
from hypervisors.web.permissions import needs
from hypervisors.web.sequences import sequence_number
from hypervisors.web.storage.volume_uses import add_uses

PAGE_SIZE = 200
_KINDS = ("iso", "disk")
_MOST_POOLS = 200


@dataclass(frozen=True, kw_only=True)
class ImageQuery:
    """What the list is limited to."""

    text: str = ""
    kind: str = ""

    @classmethod
    def from_url(cls, values: Mapping[str, str]) -> "ImageQuery":
        kind = values.get("kind", "")
        return cls(text=values.get("q", "").replace("\x00", "").strip()[:200], kind=kind if kind in _KINDS else "")

    def url(self, **changed: str) -> str:
        values = {"q": self.text, "kind": self.kind} | changed
        return f"?{urlencode({name: value for name, value in values.items() if value})}"


@dataclass(kw_only=True)
class Image:
    """One image, as the first of the hosts that have it says; `pools`: all storage pools where it is seen."""

    volume: Volume
    kind: str
    head: VolumeHead | None
    pools: list[StoragePool] = field(default_factory=list)
    # The SHA-256 that an upload arrived with, when another was expected.
    unexpected_sha256: str = ""

    @property
    def system(self) -> str:
        return self.head.system_name if self.head else ""

    @property
    def problem(self) -> str:
        return self.volume.quarantine or (self.head.problem if self.head else "")

    @property
    def kind_word(self) -> str:
        return _("ISO") if self.kind == "iso" else _("Disk image")

    @property
    def can_be_installed(self) -> bool:
        return not self.problem


@require_safe
@needs(Privilege.STORAGE_VIEW)
def images(request: HttpRequest) -> HttpResponse:
    sequence = sequence_number(changes_group(request.user))
    query = ImageQuery.from_url(request.GET)
    found = sorted(_images(request), key=lambda one: natural_key(one.volume.name))
    counts = {kind: sum(one.kind == kind for one in found) for kind in _KINDS}
    chosen = [one for one in found if _fits(one, query)]
    page = Paginator(chosen, PAGE_SIZE).get_page(request.GET.get("page"))
    shown = list(page.object_list)
    add_uses([one.volume for one in shown], request.user)
    _add_mismatches(shown)
    context = {
        "sequence": sequence,
        "query": query,
        "page": page,
        "page_query": query.url().removeprefix("?"),
        "images": shown,
        "image_count": len(found),
        "tabs": _tabs(query, counts, len(found)),
        "targets": _targets(request),
    }
    return render(request, "storage/images.html", context)


@require_safe
@needs(Privilege.STORAGE_VIEW)
def images_upload(request: HttpRequest, pk: int) -> HttpResponse:
    """Where files are dropped that go to one storage pool: a part of the page."""
    rows = permitted(request.user, Privilege.STORAGE_VIEW, StoragePool.objects.present())
    storage_pool = get_object_or_404(rows.select_related("hypervisor"), pk=pk)
    require(request.user, Privilege.STORAGE_MANAGE, storage_pool, what="upload_volume")
    context = {"storage_pool": storage_pool, "reason": why_not(storage_pool, "upload_volume")}
    return render(request, "storage/images_upload.html", context)


def _images(request: HttpRequest) -> Iterable[Image]:
    """Each once for its storage; of the hosts that see it, the first one that is online tells."""
    groups: dict[tuple[str, str], list[Volume]] = defaultdict(list)
    candidates = _candidates(request)
    origins = origins_of(candidates)
    for volume in candidates:
        if _is_image(volume, origins.get(volume.pk)):
            groups[volume.storage_pool.storage_key, volume.name].append(volume)
    for volumes in groups.values():
        volumes.sort(key=_preference)
        first = volumes[0]
        heads = [one.head for one in volumes if hasattr(one, "head")]
        yield Image(
            volume=first,
            kind="iso" if first.format == "iso" or first.name.lower().endswith(".iso") else "disk",
            head=heads[0] if heads else None,
            pools=[one.storage_pool for one in volumes],
        )


def _add_mismatches(shown: Iterable[Image]) -> None:
    """Whose last upload was not the file that was meant: it is kept, and may be used knowingly. One query."""
    by_place = {(one.volume.storage_pool.storage_key, one.volume.name): one for one in shown}
    arrived = Upload.objects.filter(state__in=(UploadState.DONE, UploadState.MISMATCHED))
    rows = arrived.filter(volume_name__in=[name for _key, name in by_place]).select_related("storage_pool")
    for row in rows.order_by("created_at"):
        image = by_place.get((row.storage_pool.storage_key, row.volume_name))
        if image is not None:
            image.unexpected_sha256 = row.sha256 if row.state == UploadState.MISMATCHED else ""


def _candidates(request: HttpRequest) -> list[Volume]:
    """What may be one, by few columns that the database knows; three queries."""
    seen = permitted(request.user, Privilege.STORAGE_VIEW, Volume.objects.present())
    named = VolumeOrigin.objects.filter(purpose=VolumeOrigin.IMAGE).values("name")
    unfinished = Upload.objects.unfinished().values("volume_name")
    may_be = Q(format="iso") | Q(name__iendswith=".iso") | Q(head__isnull=False) | Q(name__in=named)
    rows = seen.filter(may_be, storage_pool__vanished_at=None).exclude(name__in=unfinished)
    related = ("head", "storage_pool__hypervisor", "storage_pool__shared_storage")
    heavy = ("storage_pool__hypervisor__cpu_xml", "storage_pool__hypervisor__machine_types")
    return list(rows.select_related(*related).defer(*heavy, "storage_pool__definition_xml"))


def _is_image(volume: Volume, origin: VolumeOrigin | None) -> bool:
    if origin is not None and origin.purpose:
        return origin.purpose == VolumeOrigin.IMAGE
    return looks_like_image(volume.name, volume.format, volume.volume_type)


def _preference(volume: Volume) -> tuple[bool, bool, int]:
    pool = volume.storage_pool
    return pool.hypervisor.status != "online" or pool.hypervisor.is_disabled, not pool.active, volume.pk


def _fits(one: Image, query: ImageQuery) -> bool:
    text = f"{one.volume.name}\n{one.system}\n{one.volume.storage_pool.name}".casefold()
    return (not query.kind or one.kind == query.kind) and query.text.casefold() in text


def _tabs(query: ImageQuery, counts: Mapping[str, int], total: int) -> list[dict[str, Any]]:
    words = {"": pgettext("images", "All"), "iso": _("ISOs"), "disk": _("Disk images")}
    return [
        {"word": word, "url": query.url(kind=kind), "count": counts.get(kind, total), "is_chosen": query.kind == kind}
        for kind, word in words.items()
    ]


def _targets(request: HttpRequest) -> list[StoragePool]:
    """Where a new image may go: each storage once, those with the most room first."""
    pools = permitted(request.user, Privilege.STORAGE_MANAGE, StoragePool.objects.present().filter(active=True))
    by_storage: dict[str, StoragePool] = {}
    for pool in pools.select_related("hypervisor").order_by("-available_bytes", "hypervisor__name", "name"):
        if pool.hypervisor.status == "online" and not pool.hypervisor.is_disabled:
            by_storage.setdefault(pool.storage_key, pool)
    return list(by_storage.values())[:_MOST_POOLS]


urlpatterns = [
    path("images/", images, name="images"),
    path("storage/<row:pk>/image-upload/", images_upload, name="images_upload"),
]
