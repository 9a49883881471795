"""On which host it will be: what speaks against each, and the best of the pool with its reason."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypervisors.libvirtxml.domain_spec import DomainSpec, InterfaceSpec
from hypervisors.models import Hypervisor
from hypervisors.models.host_candidates import host_candidates
from hypervisors.planning.placement import PlacementNeeds, StorageNeed, choose_host
from hypervisors.web.domains.creation.choices import Choices


@dataclass(frozen=True, kw_only=True)
class HostRow:
    """`reason`: why it cannot be there; "" where it can."""

    host: Hypervisor
    reason: str = ""
    is_chosen: bool = False

    @property
    def is_refused(self) -> bool:
        return bool(self.reason)


@dataclass(frozen=True, kw_only=True)
class Place:
    """The best host and why; without one, why there is none."""

    host: Hypervisor | None = None
    reason: str = ""


NOWHERE = Place()


def needs_of(
    machine: DomainSpec, cards: Iterable[InterfaceSpec], storage_keys: Iterable[str], choices: Choices
) -> PlacementNeeds:
    """What a host must have for it. Whether there is room on the storage is told apart: disks grow as they are used."""
    storages = (choices.storage(key) for key in dict.fromkeys(storage_keys))
    return PlacementNeeds(
        memory_kib=machine.memory_kib,
        vcpus=machine.vcpus,
        storage=tuple(StorageNeed(key=one.planning_key, name=one.name) for one in storages if one is not None),
        networks=tuple((card.kind, card.source) for card in cards if card.kind in ("network", "bridge")),
        arch=machine.arch,
        virt_type=machine.virt_type,
        machine=machine.machine,
        uefi=machine.firmware == "uefi",
        secure_boot=machine.secure_boot,
        tpm=bool(machine.tpm),
    )


def find_place(choices: Choices, needs: PlacementNeeds, chosen: str) -> tuple[list[HostRow], Place]:
    """Every host with what speaks against it, and the best."""
    placement = choose_host(host_candidates(choices.hosts), needs)
    reasons = dict(placement.rejected)
    rows = [
        HostRow(host=host, reason=reasons.get(host.pk, ""), is_chosen=str(host.pk) == chosen) for host in choices.hosts
    ]
    best = next((host for host in choices.hosts if host.pk == placement.host_id), None)
    return rows, Place(host=best, reason=_without_name(placement.reason, best))


def _without_name(reason: str, host: Hypervisor | None) -> str:
    """The name stands beside it."""
    return reason.removeprefix(f"{host.name}: ") if host else reason


def chosen_row(rows: Sequence[HostRow], host: Hypervisor | None) -> HostRow | None:
    return next((row for row in rows if row.host == host), None)
