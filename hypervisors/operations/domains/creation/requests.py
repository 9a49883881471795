"""Asking for new machines: one or several, on a host or on the best one of a pool for each.

Several are one parent operation with a child for each machine: one tree with one bar.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.utils.translation import ngettext

from hypervisors.access import require
from hypervisors.errors import Conflict, NotPossible
from hypervisors.models import Hypervisor, HypervisorPool, Operation, StoragePool, Volume
from hypervisors.models.host_candidates import host_candidates, storage_key
from hypervisors.operations.domains.creation.names import counted_address, numbered_names
from hypervisors.operations.engine.parents import open_parent, settle_parent
from hypervisors.operations.engine.registry import operation_type
from hypervisors.operations.engine.requests import Requester, request_operation
from hypervisors.planning.placement import HostCandidate, Placement, PlacementNeeds, StorageNeed, choose_host
from hypervisors.privileges import Privilege

KIND = "create_domain"


@dataclass(frozen=True, kw_only=True)
class CreationRequest:
    """What came of asking: the parent of several (None for one), the accepted, and who was refused and why."""

    parent: Operation | None
    accepted: list[Operation] = field(default_factory=list)
    refusals: list[tuple[str, str]] = field(default_factory=list)


def request_creation(
    *,
    user: Requester,
    given: Mapping[str, Any],
    hypervisor: Hypervisor | None = None,
    hypervisor_pool: HypervisorPool | None = None,
    count: int = 1,
    first_number: int = 1,
) -> CreationRequest:
    """Ask for `count` machines of the fields of CreateDomainParameters, on the host, else on the pool's best for each.

    `given["name"]` may hold "{n}". Raises: errors.NotPermitted; errors.Conflict, errors.NotPossible when none at all
    is accepted.
    """
    each = numbered(given, count, first_number)
    return request_each(user=user, each=each, hypervisor=hypervisor, hypervisor_pool=hypervisor_pool)


def request_each(
    *,
    user: Requester,
    each: Sequence[dict[str, Any]],
    hypervisor: Hypervisor | None = None,
    hypervisor_pool: HypervisorPool | None = None,
) -> CreationRequest:
    """The same, where each machine's fields were made already."""
    require(user, Privilege.DOMAIN_CREATE, hypervisor or hypervisor_pool, what=KIND)
    hosts = _placed(each, hypervisor, hypervisor_pool)
    if len(each) == 1:
        host, reason = hosts[0]
        operation = request_operation(
            user=user, kind=KIND, subject=host, parameters=each[0] | {"placement_reason": reason}
        )
        return CreationRequest(parent=None, accepted=[operation])
    return _request_several(user, each, hosts)


def numbered(given: Mapping[str, Any], count: int, first_number: int = 1) -> list[dict[str, Any]]:
    """The fields of each machine: names and static addresses count up; UUIDs, MACs and disks are each one's own.

    Raises: errors.NotPossible.
    """
    names = numbered_names(str(given.get("name") or ""), count, first=first_number)
    if len(names) == 1:
        return [{**given, "name": names[0]}]
    return [_one_of_several(given, name, step) for step, name in enumerate(names)]


def placement_of(
    given: Mapping[str, Any], hypervisors: Sequence[Hypervisor], *, planned_kib: Mapping[int, int] | None = None
) -> Placement:
    """The best of these hosts for the machine, with the reason. `planned_kib`: what is about to be taken, by host."""
    planned = planned_kib or {}
    return choose_host([_with_planned(host, planned) for host in host_candidates(hypervisors)], _needs(given))


def _request_several(
    user: Requester, each: Sequence[dict[str, Any]], hosts: list[tuple[Hypervisor, str]]
) -> CreationRequest:
    found = operation_type(KIND)
    accepted: list[Operation] = []
    refusals: list[tuple[str, str]] = []
    errors: list[Conflict | NotPossible] = []
    with transaction.atomic():
        subjects = [host for host, _reason in hosts]
        name = ngettext("%d virtual machine", "%d virtual machines", len(each)) % len(each)
        parent: Operation | None = open_parent(found, user, subjects, name=name)
        for given, (host, reason) in zip(each, hosts, strict=True):
            try:
                parameters = given | {"placement_reason": reason}
                accepted.append(
                    request_operation(user=user, kind=KIND, subject=host, parameters=parameters, parent=parent)
                )
            except (Conflict, NotPossible) as error:
                errors.append(error)
                refusals.append((str(given["name"]), str(error)))
        parent = settle_parent(parent, accepted, refusals)
    if not accepted:
        raise errors[0]
    return CreationRequest(parent=parent, accepted=accepted, refusals=refusals)


def _one_of_several(given: Mapping[str, Any], name: str, step: int) -> dict[str, Any]:
    spec = dict(given.get("spec") or {})
    spec.pop("uuid", None)
    cards = [{**card, "mac": ""} for card in spec.get("interfaces") or () if isinstance(card, Mapping)]
    disks = [{**disk, "volume_name": ""} for disk in given.get("disks") or () if isinstance(disk, Mapping)]
    cloud_init = given.get("cloud_init")
    if isinstance(cloud_init, Mapping):
        cloud_init = _counted_settings(cloud_init, step)
    return {**given, "name": name, "spec": {**spec, "interfaces": cards}, "disks": disks, "cloud_init": cloud_init}


def _counted_settings(settings: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Its own host name and its own addresses."""
    networks = []
    for plan in settings.get("networks") or ():
        addresses = [_counted(str(address), step) for address in plan.get("addresses") or ()]
        networks.append({**plan, "addresses": addresses})
    # One name for all would be one for none: each is called as its machine.
    return {**settings, "hostname": "", "networks": networks}


def _counted(address: str, step: int) -> str:
    try:
        return counted_address(address, step)
    except ValueError:
        # Whoever checks the settings says what is wrong with it.
        return address


def _placed(
    each: Sequence[Mapping[str, Any]], hypervisor: Hypervisor | None, hypervisor_pool: HypervisorPool | None
) -> list[tuple[Hypervisor, str]]:
    """Where each goes, and why. Raises: errors.NotPossible when there is no host for one."""
    if hypervisor is not None:
        return [(hypervisor, "")] * len(each)
    hosts = list(Hypervisor.objects.filter(hypervisor_pool=hypervisor_pool).select_related("hypervisor_pool"))
    by_id = {host.pk: host for host in hosts}
    planned: Counter[int] = Counter(_being_made(hosts))
    found = []
    for given in each:
        placement = placement_of(given, hosts, planned_kib=planned)
        if placement.host_id is None:
            raise NotPossible(placement.reason)
        planned[placement.host_id] += _memory_kib(given)
        found.append((by_id[placement.host_id], placement.reason))
    return found


def _being_made(hosts: Sequence[Hypervisor]) -> dict[int, int]:
    """The memory of the machines that are being made there and do not count yet."""
    planned: Counter[int] = Counter()
    for operation in Operation.objects.unfinished().filter(kind=KIND, hypervisor__in=hosts):
        planned[operation.hypervisor_id or 0] += _memory_kib(operation.parameters)
    return planned


def _with_planned(host: HostCandidate, planned: Mapping[int, int]) -> HostCandidate:
    taken = planned.get(host.host_id, 0)
    if not taken or host.memory_free_kib is None:
        return host
    return replace(host, memory_free_kib=max(0, host.memory_free_kib - taken))


def _memory_kib(given: Mapping[str, Any]) -> int:
    return _whole((given.get("spec") or {}).get("memory_kib"), 0)


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _needs(given: Mapping[str, Any]) -> PlacementNeeds:
    """Of the fields as they were given; what is wrong with them is for the check to say."""
    spec = given.get("spec") or {}
    cards = [card for card in spec.get("interfaces") or () if isinstance(card, Mapping) and card.get("kind") != "user"]
    return PlacementNeeds(
        memory_kib=_memory_kib(given),
        vcpus=_whole(spec.get("vcpus"), 1),
        storage=tuple(_storage_needs(given)),
        networks=tuple((str(card.get("kind", "network")), str(card.get("source", ""))) for card in cards),
        arch=str(spec.get("arch") or "x86_64"),
        virt_type=str(spec.get("virt_type") or ""),
        machine=str(spec.get("machine") or ""),
        uefi=spec.get("firmware") == "uefi",
        secure_boot=bool(spec.get("secure_boot")),
        tpm=bool(spec.get("tpm")),
    )


def _storage_needs(given: Mapping[str, Any]) -> list[StorageNeed]:
    disks = [disk for disk in given.get("disks") or () if isinstance(disk, Mapping)]
    pools = {pool.pk: pool for pool in StoragePool.objects.present().filter(pk__in=_ids(disks, "storage_pool_id"))}
    needs = [
        StorageNeed(key=storage_key(pool), name=pool.name, free_bytes=_room(disk))
        for disk in disks
        if (pool := pools.get(disk.get("storage_pool_id") or 0)) is not None and disk.get("action") != "existing"
    ]
    volume_ids = [*_ids(disks, "source_volume_id"), *(one for one in given.get("media") or () if isinstance(one, int))]
    volumes = Volume.objects.present().filter(pk__in=volume_ids).select_related("storage_pool")
    seen = {storage_key(volume.storage_pool): volume.storage_pool.name for volume in volumes}
    return [*needs, *(StorageNeed(key=key, name=name) for key, name in seen.items())]


def _room(disk: Mapping[str, Any]) -> int:
    return 0 if disk.get("overcommitted") else _whole(disk.get("capacity_bytes"), 0)


def _ids(disks: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    return [disk[name] for disk in disks if isinstance(disk.get(name), int)]
