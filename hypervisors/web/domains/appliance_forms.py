"""The form of an import: what the appliance asks for, and what the person wants instead."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.utils.translation import gettext as now_
from django.utils.translation import gettext_lazy as _

from hypervisors.access import permitted
from hypervisors.imaging.appliances import DISK, ExaminedAppliance
from hypervisors.models import Hypervisor, Network, StoragePool, Volume
from hypervisors.models.rights import Requester
from hypervisors.operations.domains.creation.names import is_name_taken
from hypervisors.operations.domains.creation.places import is_block
from hypervisors.operations.domains.importing.machines import AUTOMATIC
from hypervisors.osinfo import GENERIC, OperatingSystem, all_systems, find_system, guess_from_file_name
from hypervisors.privileges import Privilege
from hypervisors.templatetags.units import size

_NETWORK = "network_"
_BUSES = {
    AUTOMATIC: _("as its system prefers"),
    "virtio": _("virtio: fastest, needs a driver"),
    "scsi": _("SCSI (virtio)"),
    "sata": _("SATA: what every system finds"),
    "ide": _("IDE: for old systems"),
}
_FIRMWARES = {"bios": "BIOS", "uefi": "UEFI"}
_MOST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class NetworkField:
    """Which of our networks stands for one of the appliance's; `cards`: how many of its cards are on it."""

    name: str
    cards: int
    field: BoundField


class ImportForm(forms.Form):
    """`parameters` are the operation's, once the form is valid."""

    name = forms.CharField(label=_("Name"), max_length=240, strip=True)
    host = forms.TypedChoiceField(label=_("Host"), coerce=int)
    storage_pool = forms.TypedChoiceField(label=_("Its disks go to"), coerce=int)
    system = forms.CharField(label=_("Operating system"), max_length=200, strip=True)
    vcpus = forms.IntegerField(label=_("vCPUs"), min_value=1, max_value=1024)
    memory_mib = forms.IntegerField(label=_("Memory in MiB"), min_value=16, max_value=2**24)
    firmware = forms.ChoiceField(label=_("Firmware"), choices=list(_FIRMWARES.items()))
    bus = forms.ChoiceField(label=_("Disks are plugged into"), choices=list(_BUSES.items()))
    start = forms.BooleanField(label=_("Start it when it is imported"), required=False)
    overcommitted = forms.BooleanField(label=_("Although its disks can grow beyond what is free"), required=False)
    licence = forms.BooleanField(label=_("I accept its licence"), required=True)

    def __init__(self, *args: Any, volume: Volume, examined: ExaminedAppliance, user: Requester, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examined = examined
        self.volume = volume
        self.hosts = _hosts(volume, user)
        self.chosen_host = self._chosen_host()
        self.storage_pools = _storage_pools(self.chosen_host)
        self._choose("host", [(host.pk, host.name) for host in self.hosts])
        self._choose("storage_pool", [(pool.pk, _pool_text(pool)) for pool in self.storage_pools])
        self._add_networks()
        self.initial = {**defaults(examined, self.chosen_host), **self.initial}
        if not examined.appliance.licences:
            del self.fields["licence"]
        self._mark_errors()

    @property
    def parameters(self) -> dict[str, Any]:
        data = self.cleaned_data
        system: OperatingSystem = data["system"]
        names = [card.network for card in self.examined.appliance.cards]
        return {
            "name": data["name"],
            "volume_id": self.volume.pk,
            "storage_pool_id": data["storage_pool"],
            "system": system.short_id,
            "vcpus": data["vcpus"],
            "memory_kib": data["memory_mib"] * 1024,
            "firmware": data["firmware"],
            "bus": data["bus"],
            "start": data["start"],
            "overcommitted": data["overcommitted"],
            "networks": {name: data[f"{_NETWORK}{number}"] for number, name in enumerate(dict.fromkeys(names))},
        }

    @property
    def network_fields(self) -> list[NetworkField]:
        names = [card.network for card in self.examined.appliance.cards]
        return [
            NetworkField(name=name, cards=names.count(name), field=self[f"{_NETWORK}{number}"])
            for number, name in enumerate(dict.fromkeys(names))
        ]

    @property
    def can_outgrow(self) -> bool:
        """Whether its disks can grow beyond what is free in one of the storage pools: that is asked about."""
        facts = [disk.facts for disk in self.examined.disks if disk.facts is not None]
        whole = sum(fact.virtual_size_bytes for fact in facts)
        return any(whole > pool.available_bytes for pool in self.storage_pools)

    def clean_system(self) -> OperatingSystem:
        system = system_named(self.cleaned_data["system"])
        if system is None:
            raise ValidationError(now_("Choose a system from the list; “Generic” fits any."))
        return system

    def _chosen_host(self) -> Hypervisor | None:
        wanted = str(self.data.get("host") or self.initial.get("host") or "")
        chosen = next((host for host in self.hosts if str(host.pk) == wanted), None)
        own = next((host for host in self.hosts if host.pk == self.volume.storage_pool.hypervisor_id), None)
        return chosen or own or next(iter(self.hosts), None)

    def _choose(self, name: str, choices: Sequence[tuple[Any, str]]) -> None:
        field: Any = self.fields[name]
        field.choices = choices

    def _add_networks(self) -> None:
        """One field for each network that the appliance's cards are on."""
        rows = Network.objects.present().filter(hypervisor=self.chosen_host).order_by("name")
        ours = list(rows.values_list("name", flat=True)) if self.chosen_host is not None else []
        names = dict.fromkeys(card.network for card in self.examined.appliance.cards)
        for number, name in enumerate(names):
            first = name if name in ours else "default" if "default" in ours else next(iter(ours), "")
            self.fields[f"{_NETWORK}{number}"] = forms.ChoiceField(
                label=name or now_("its network"),
                choices=[*((one, one) for one in ours), ("", now_("leave its cards out"))],
                required=False,
                initial=first,
            )

    def _mark_errors(self) -> None:
        for name, field in self.fields.items():
            if self.is_bound and name in self.errors:
                field.widget.attrs["aria-invalid"] = "true"


def defaults(examined: ExaminedAppliance, host: Hypervisor | None) -> dict[str, Any]:
    """What the appliance asks for."""
    appliance = examined.appliance
    system = find_system(appliance.system)
    if examined.kind == DISK:
        system = guess_from_file_name(appliance.name) or system
    return {
        "name": free_name(appliance.name, host),
        "system": (system or GENERIC).name,
        "vcpus": appliance.vcpus,
        "memory_mib": appliance.memory_kib // 1024,
        "firmware": appliance.firmware,
        "bus": AUTOMATIC,
        "start": True,
    }


def free_name(name: str, host: Hypervisor | None) -> str:
    """The appliance's own, made fit for a machine, with a number behind it where another machine has it."""
    stem = re.sub(r"[^\w.+-]+", "-", name).strip("-.")[:_MOST_NAME] or "appliance"
    if host is None:
        return stem
    candidates = [stem, *(f"{stem}-{number}" for number in range(2, 20))]
    return next((one for one in candidates if not is_name_taken(one, host.hypervisor_pool)), stem)


def system_named(text: str) -> OperatingSystem | None:
    """By its name or its short id."""
    wanted = text.strip().casefold()
    if wanted in (GENERIC.name.casefold(), GENERIC.short_id):
        return GENERIC
    return find_system(wanted) or next((one for one in all_systems() if one.name.casefold() == wanted), None)


def _hosts(volume: Volume, user: Requester) -> list[Hypervisor]:
    """Those of the volume's pool that the person may make machines on."""
    pool = volume.storage_pool.hypervisor.hypervisor_pool_id
    rows = permitted(user, Privilege.DOMAIN_CREATE, Hypervisor.objects.filter(hypervisor_pool=pool))
    return list(rows.select_related("hypervisor_pool").order_by("name"))


def _storage_pools(host: Hypervisor | None) -> list[StoragePool]:
    """Those that take files, the one with most room first."""
    if host is None:
        return []
    pools = StoragePool.objects.present().filter(hypervisor=host, active=True).exclude(target_path="")
    return sorted((pool for pool in pools if not is_block(pool)), key=lambda pool: -pool.available_bytes)


def _pool_text(pool: StoragePool) -> str:
    return now_("%(name)s: %(free)s free") % {"name": pool.name, "free": size(pool.available_bytes)}
