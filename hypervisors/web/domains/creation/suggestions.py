"""What the page proposes for everything that nobody has said: by the system, the hosts and the images there are."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User

from hypervisors.libvirtxml.domain_spec import DomainSpec
from hypervisors.libvirtxml.host_capabilities import HostCapabilities
from hypervisors.models import Domain, GuestLogin
from hypervisors.models.hypervisor_capabilities import capabilities_of
from hypervisors.operations.domains.creation.parameters import DiskAction, Method
from hypervisors.osinfo import GENERIC, OperatingSystem, all_systems, find_system, guess_from_file_name
from hypervisors.planning.device_defaults import disk_bus, disk_bytes
from hypervisors.planning.machine_defaults import machine_defaults
from hypervisors.web.domains.creation.choices import Choices, ImageChoice
from hypervisors.web.domains.creation.drafts import Draft, draft_of
from hypervisors.web.domains.creation.fields import size_text
from hypervisors.web.domains.creation.sources_of_disks import action_of, image_of


@dataclass(frozen=True, kw_only=True)
class Suggestions:
    """`machine`: as the system wants it on these hosts. `detected`: what the chosen image seems to hold."""

    system: OperatingSystem
    machine: DomainSpec
    capabilities: tuple[HostCapabilities, ...] = ()
    detected: OperatingSystem | None = None
    texts: Mapping[str, str]


def system_named(text: str) -> OperatingSystem | None:
    """By its name or its short identifier, as typed."""
    wanted = text.strip().casefold()
    if not wanted:
        return None
    return find_system(wanted) or next((one for one in all_systems() if one.name.casefold() == wanted), None)


def detected_system(draft: Draft, choices: Choices) -> OperatingSystem | None:
    """By what its first bytes say, else by its name."""
    image = _main_image(draft, choices)
    if image is None:
        return None
    known = find_system(image.head.system_id) if image.head and image.head.system_id else None
    return known or guess_from_file_name(image.volume.name)


def _main_image(draft: Draft, choices: Choices) -> ImageChoice | None:
    keys = {Method.ISO: draft.iso, Method.CLOUD_IMAGE: draft.image, Method.IMPORT: draft.imported}
    return choices.image(keys.get(draft.method, ""))  # type: ignore[call-overload]


def first_texts(draft: Draft, choices: Choices) -> dict[str, str]:
    """What everything else follows from: the system."""
    detected = detected_system(draft, choices)
    return {"system": (detected or GENERIC).name}


def suggest(values: Mapping[str, str], choices: Choices, user: User) -> Suggestions:
    """Of what is filled in, with method, images and system settled."""
    draft = draft_of(values)
    detected = detected_system(draft, choices)
    system = system_named(draft.system) or detected or GENERIC
    capabilities = tuple(capabilities_of(choices.hosts).values())
    machine = _machine(values, system, capabilities, choices)
    texts = {"name": _free_name(system, choices), **_machine_texts(machine), **_remembered(user)}
    return Suggestions(
        system=system,
        machine=machine,
        capabilities=capabilities,
        detected=detected,
        texts=texts | _disk_texts(values, choices, system, machine) | _card_texts(draft, choices, machine),
    )


def _machine(
    values: Mapping[str, str], system: OperatingSystem, capabilities: tuple[HostCapabilities, ...], choices: Choices
) -> DomainSpec:
    """What follows from what somebody chose follows it: the screen from SPICE, the firmware's parts from UEFI."""
    firmware, network = _chosen(values, "firmware"), choices.best_network
    return machine_defaults(
        None if system is GENERIC else system,
        capabilities,
        firmware="uefi" if firmware.startswith("uefi") else firmware,
        graphics={"": "vnc", "none": ""}.get(chosen := _chosen(values, "graphics"), chosen),
        windows_drivers=bool(values.get("drivers")),
        networks=(network.name,) if network else ("default",),
    )


def _chosen(values: Mapping[str, str], name: str) -> str:
    """What somebody chose, other than what was suggested; "" where nobody did."""
    text = values.get(name, "")
    return "" if text == values.get(f"was-{name}", "") else text


def _machine_texts(machine: DomainSpec) -> dict[str, str]:
    firmware = {False: machine.firmware, True: "uefi-secure"}[machine.secure_boot]
    cpu = machine.cpu
    return {
        "vcpus": str(machine.vcpus),
        "memory": size_text(machine.memory_kib * 1024),
        "machine": machine.machine,
        "firmware": firmware,
        "tpm": machine.tpm,
        "video": machine.video,
        "graphics": machine.graphics[0].kind if machine.graphics else "none",
        "cpu": f"{cpu.mode}:{cpu.model}" if cpu.model else cpu.mode,
    }


def _disk_texts(
    values: Mapping[str, str], choices: Choices, system: OperatingSystem, machine: DomainSpec
) -> dict[str, str]:
    texts, draft = {}, draft_of(values)
    storage = choices.best_storage
    bus = disk_bus(
        None if system is GENERIC else system,
        _chosen(values, "machine") or machine.machine,
        windows_drivers=bool(draft.drivers),
    )
    for row in draft.disks:
        image = image_of(draft, row, choices)
        texts[f"disk-{row.key}-bus"] = bus
        if action_of(draft, row) == DiskAction.EXISTING:
            continue
        texts[f"disk-{row.key}-size"] = size_text(_size(row.key, system, image))
        texts[f"disk-{row.key}-format"] = "qcow2"
        # What is on top of an image is best beside it.
        beside = image.storage if image and image.storage.host_ids else storage
        texts[f"disk-{row.key}-storage"] = beside.key if beside else ""
    return texts


def _size(key: str, system: OperatingSystem, image: ImageChoice | None) -> int:
    wanted = disk_bytes(system if key == "1" and system is not GENERIC else None)
    return max(wanted, image.volume.capacity_bytes if image else 0)


def _card_texts(draft: Draft, choices: Choices, machine: DomainSpec) -> dict[str, str]:
    network = choices.best_network
    model = next((card.model for card in machine.interfaces), "virtio")
    texts = {}
    for row in draft.interfaces:
        texts[f"interface-{row.key}-network"] = network.key if network else "user"
        texts[f"interface-{row.key}-model"] = model
    return texts


def _free_name(system: OperatingSystem, choices: Choices) -> str:
    """ "debian12", or the first of "debian12-2", "debian12-3" … that nobody has."""
    base = "vm" if system is GENERIC else system.short_id
    rows = Domain.objects.present().filter(hypervisor__hypervisor_pool=choices.pool, name__startswith=base)
    taken = set(rows.values_list("name", flat=True))
    names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _remembered(user: User) -> dict[str, str]:
    """The name and the keys that the person gave to the last guest."""
    login = GuestLogin.objects.filter(user=user).first() or GuestLogin(name="")
    return {"user": login.name, "ssh_keys": login.ssh_keys}
