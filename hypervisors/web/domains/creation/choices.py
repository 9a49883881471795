"""What can be chosen for a new virtual machine in one hypervisor pool: hosts, storage, images, networks. From rows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db.models import Prefetch
from django.utils.translation import gettext as _

from hypervisors.access import can, permitted
from hypervisors.models import DomainTemplate, Hypervisor, HypervisorPool, Network, StoragePool, Volume, VolumeHead
from hypervisors.models.host_candidates import storage_key
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import size
from hypervisors.web.naming import natural_key, visible

# Beyond this many nobody finds anything in a menu; the library and its link "Create VM from it" does.
MOST_IMAGES = 500
_MOST_READ = 5_000
_NO_STORAGE_FOR_IMAGES = frozenset({"scsi", "mpath", "iscsi", "iscsi-direct"})


@dataclass(frozen=True, kw_only=True)
class StorageChoice:
    """One storage, however many hosts have it. `key`: the primary key of the row that stands for it."""

    key: str
    name: str
    free_bytes: int
    capacity_bytes: int
    host_ids: frozenset[int]
    pool_type: str
    is_proved: bool = False
    # The name of the only host that has it; "" where several have.
    only_host: str = ""
    # Of each of its rows, on whichever host.
    row_ids: frozenset[int] = frozenset()
    by_host: dict[int, StoragePool] = field(default_factory=dict)

    @property
    def planning_key(self) -> str:
        """What planning knows it by."""
        return storage_key(next(iter(self.by_host.values())))

    def label(self, host_count: int) -> str:
        where = (
            _("only on %(host)s") % {"host": visible(self.only_host)}
            if self.only_host
            else _("on %(count)d of %(all)d hosts") % {"count": len(self.host_ids), "all": host_count}
        )
        free = _("%(free)s free") % {"free": size(self.free_bytes)}
        return f"{visible(self.name)} · {free} · {where}"


@dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """One image, however many hosts see it. `key`: the primary key of the row that stands for it."""

    key: str
    volume: Volume
    storage: StorageChoice
    row_ids: frozenset[int] = frozenset()
    # What its first bytes say; None: they have not been read yet.
    head: VolumeHead | None = None

    @property
    def problem(self) -> str:
        """Why it is not used; "" for nothing against it."""
        return self.volume.quarantine or (self.head.problem if self.head else "")

    @property
    def is_medium(self) -> bool:
        """Whether it goes into a CD drive."""
        return is_medium(self.volume) or (self.head is not None and self.head.format == "iso")

    @property
    def is_appliance(self) -> bool:
        return self.volume.name.casefold().endswith((".ova", ".ovf", ".vmdk"))

    @property
    def label(self) -> str:
        volume = self.volume
        return f"{visible(volume.name)} · {size(volume.capacity_bytes)} · {visible(self.storage.name)}"

    @property
    def system_name(self) -> str:
        return self.head.system_name if self.head else ""


@dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """A network of this name, on the hosts that have it active. `key`: "network:<name>"."""

    key: str
    name: str
    mode: str
    host_ids: frozenset[int]

    def label(self, host_count: int) -> str:
        kind = {"nat": "NAT", "isolated": _("isolated"), "route": _("routed"), "bridge": _("bridge")}.get(
            self.mode, self.mode
        )
        where = "" if len(self.host_ids) == host_count else _(" · on %(count)d of %(all)d hosts")
        return f"{visible(self.name)} · {kind}{where % {'count': len(self.host_ids), 'all': host_count}}"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Of one pool; `pools` are all in which the person may make machines."""

    pools: Sequence[HypervisorPool]
    pool: HypervisorPool | None = None
    hosts: Sequence[Hypervisor] = ()
    storages: Sequence[StorageChoice] = ()
    images: Sequence[ImageChoice] = ()
    networks: Sequence[NetworkChoice] = ()
    templates: Sequence[DomainTemplate] = ()

    def host(self, key: str) -> Hypervisor | None:
        return next((host for host in self.hosts if str(host.pk) == key), None)

    def storage(self, key: str) -> StorageChoice | None:
        """By the primary key of any of its rows."""
        return next((one for one in self.storages if key.isdecimal() and int(key) in one.row_ids), None)

    def image(self, key: str) -> ImageChoice | None:
        return next((one for one in self.images if key.isdecimal() and int(key) in one.row_ids), None)

    def network(self, key: str) -> NetworkChoice | None:
        return next((one for one in self.networks if one.key == key), None)

    def template(self, key: str) -> DomainTemplate | None:
        return next((one for one in self.templates if str(one.pk) == key), None)

    @property
    def best_storage(self) -> StorageChoice | None:
        """What most hosts have, and of that what has most room."""
        return max(self.storages, key=lambda one: (len(one.host_ids), one.is_proved, one.free_bytes), default=None)

    @property
    def best_network(self) -> NetworkChoice | None:
        return max(
            self.networks, key=lambda one: (len(one.host_ids), one.name == "default", one.mode == "nat"), default=None
        )


def choices_for(user: User, pool_key: str, *, host_key: str = "", image_key: str = "") -> Choices:
    """The named pool, or that of the host or the image, or the first in which the person may make machines."""
    pools = list(permitted(user, Privilege.DOMAIN_CREATE, HypervisorPool.objects.all()))
    pools.sort(key=lambda pool: natural_key(pool.name))
    wanted = _pool_key(pool_key, host_key, image_key)
    pool = next((one for one in pools if str(one.pk) == wanted), pools[0] if pools else None)
    if pool is None:
        return Choices(pools=pools)
    hosts = _hosts(pool)
    storages = _storages(hosts)
    images = _images(storages) if can(user, Privilege.STORAGE_VIEW, pool) else []
    templates = DomainTemplate.objects.present().visible_to(user).filter(hypervisor_pool=pool).select_related("domain")
    return Choices(
        pools=pools,
        pool=pool,
        hosts=hosts,
        storages=storages,
        images=images,
        networks=_networks(hosts),
        templates=list(templates),
    )


def _pool_key(pool_key: str, host_key: str, image_key: str) -> str:
    if pool_key:
        return pool_key
    found = None
    if host_key.isdecimal():
        found = Hypervisor.objects.filter(pk=int(host_key[:18])).values_list("hypervisor_pool", flat=True).first()
    if found is None and image_key.isdecimal():
        rows = Volume.objects.filter(pk=int(image_key[:18]))
        found = rows.values_list("storage_pool__hypervisor__hypervisor_pool", flat=True).first()
    return "" if found is None else str(found)


def _hosts(pool: HypervisorPool) -> list[Hypervisor]:
    rows = Hypervisor.objects.filter(hypervisor_pool=pool).prefetch_related(
        Prefetch("storage_pools", StoragePool.objects.present().select_related("shared_storage")),
        Prefetch("networks", Network.objects.present()),
    )
    return sorted(rows, key=lambda host: natural_key(host.name))


def _storages(hosts: Iterable[Hypervisor]) -> list[StorageChoice]:
    """Those that are active on any host; a shared one once."""
    groups: dict[str, list[StoragePool]] = defaultdict(list)
    for host in hosts:
        for row in host.storage_pools.all():
            if row.active and not row.trouble and row.pool_type not in _NO_STORAGE_FOR_IMAGES:
                row.hypervisor = host
                shared = row.shared_storage_id
                groups[f"row-{row.pk}" if shared is None else f"shared-{shared}"].append(row)
    found = [_storage(rows) for rows in groups.values()]
    return sorted(found, key=lambda one: (-len(one.host_ids), natural_key(one.name)))


def _storage(rows: Sequence[StoragePool]) -> StorageChoice:
    first = rows[0]
    return StorageChoice(
        key=str(first.pk),
        name=first.name,
        free_bytes=min(row.available_bytes for row in rows),
        capacity_bytes=first.capacity_bytes,
        host_ids=frozenset(row.hypervisor_id for row in rows),
        pool_type=first.pool_type,
        is_proved=len(rows) > 1 and all(row.is_proved for row in rows),
        only_host=first.hypervisor.name if len(rows) == 1 else "",
        row_ids=frozenset(row.pk for row in rows),
        by_host={row.hypervisor_id: row for row in rows},
    )


def _images(storages: Sequence[StorageChoice]) -> list[ImageChoice]:
    """Each volume once, whichever hosts see it; by name."""
    storage_of = {pk: storage for storage in storages for pk in storage.row_ids}
    rows = Volume.objects.present().whole().filter(storage_pool__in=storage_of).exclude(volume_type="dir")
    groups: dict[tuple[str, str], list[Volume]] = defaultdict(list)
    for row in rows.select_related("head").order_by("pk")[:_MOST_READ]:
        groups[storage_of[row.storage_pool_id].key, row.name].append(row)
    found = [
        ImageChoice(
            key=str(same[0].pk),
            volume=same[0],
            storage=storage_of[same[0].storage_pool_id],
            row_ids=frozenset(row.pk for row in same),
            head=next((head for row in same if (head := getattr(row, "head", None)) is not None), None),
        )
        for same in groups.values()
    ]
    return sorted(found, key=lambda image: natural_key(image.volume.name))


def _networks(hosts: Sequence[Hypervisor]) -> list[NetworkChoice]:
    groups: dict[str, list[Network]] = defaultdict(list)
    for host in hosts:
        for row in host.networks.all():
            if row.active:
                groups[row.name].append(row)
    found = [
        NetworkChoice(
            key=f"network:{name}",
            name=name,
            mode=rows[0].forward_mode,
            host_ids=frozenset(row.hypervisor_id for row in rows),
        )
        for name, rows in groups.items()
    ]
    return sorted(found, key=lambda one: natural_key(one.name))


def is_medium(volume: Volume) -> bool:
    return volume.format == "iso" or volume.name.casefold().endswith(".iso")


def is_medium_key(key: str) -> bool:
    """Whether the volume of this primary key goes into a CD drive."""
    volume = Volume.objects.filter(pk=int(key[:18])).first() if key.isdecimal() else None
    return volume is not None and is_medium(volume)
