"""What others would lose by a snapshot's being merged or gone back to: from rows alone (see others_now).

A merge writes into the file below, which others may have been put on top of while it stood still. Going back gives the
machine all that it had then: disks and devices that may be somebody else's by now.
"""

import posixpath
from collections.abc import Collection, Sequence

from django.utils.translation import gettext as _

from hypervisors.libvirtxml.domain_references import find_references
from hypervisors.libvirtxml.domain_snapshots import held_definitions
from hypervisors.libvirtxml.hardware.devices import list_devices
from hypervisors.libvirtxml.hardware.sections import SECTIONS, section_values
from hypervisors.models import Domain, DomainDefinition, DomainSnapshot, Volume
from hypervisors.operations.domains.creation.names import machine_with_mac
from hypervisors.operations.domains.deletion.plan import users_apart_from
from hypervisors.operations.domains.hardware.changing import changed_values
from hypervisors.operations.domains.hardware.guards import Needs, needs_to_become
from hypervisors.operations.domains.hardware.host_reach import is_piece_of_the_host, section_names_of_the_host
from hypervisors.operations.domains.named_storage import named_volumes
from hypervisors.operations.storage.volume_users import in_use_text, overlays_of

# UEFI variables and the like stay as they are.
REWOUND_ROLES = frozenset({"disk", "lun", "floppy"})


def why_no_merge(domain: Domain, names: Collection[str]) -> str:
    """Who else needs a file that deleting these snapshots writes into or takes away; "" for nobody."""
    snapshots = list(domain.snapshots.all())
    own = _own_files(domain, snapshots)
    doomed = [one for one in snapshots if one.name in names and one.is_external]
    return next(filter(None, (_why_needed(domain, one, own) for one in merged_volumes(domain, doomed))), "")


def merged_volumes(domain: Domain, snapshots: Sequence[DomainSnapshot]) -> list[Volume]:
    """The files of these external snapshots, and those that they are on top of."""
    files = {path for one in snapshots for path in one.overlays.values()}
    below = {one.backing_path for one in _volumes_at(domain, files) if one.backing_path}
    then = {
        reference.path
        for one in snapshots
        for xml in held_definitions(one.xml)
        for reference in find_references(xml)
        if reference.target in one.overlays and reference.role != "backing"
    }
    return _volumes_at(domain, files | below | then)


def why_no_return(domain: Domain, snapshot: DomainSnapshot) -> str:
    """Who else has, or needs, a disk that going back writes to, or has an address of its cards; "" for nobody."""
    own = _own_files(domain, list(domain.snapshots.all()))
    reasons = (_why_needed(domain, one, own) for one in returning_volumes(domain, snapshot))
    return next(filter(None, reasons), "") or _why_address_taken(domain, snapshot)


def returning_volumes(domain: Domain, snapshot: DomainSnapshot) -> list[Volume]:
    """What going back writes to, as far as it is the machine's alone."""
    if domain.hypervisor is None:
        return []
    named = (one for xml in held_definitions(snapshot.xml) for one in named_volumes(domain.hypervisor, xml))
    written = (one for one in named if one.is_written and not one.is_shared and one.reference.role in REWOUND_ROLES)
    found = {one.volume.pk: one.volume for one in written}
    return list(found.values())


def returning_devices(domain: Domain, snapshot: DomainSnapshot) -> list[str]:
    """Devices of the host that it had then, and has no more."""
    return devices_then(domain, snapshot.xml)


def devices_then(domain: Domain, snapshot_xml: str) -> list[str]:
    """The same, by what its host says of the snapshot."""
    present = {device.id for device in list_devices(_present_xml(domain))} if _present_xml(domain) else set()
    return [
        device.id
        for xml in held_definitions(snapshot_xml)
        for device in list_devices(xml)
        if is_piece_of_the_host(device.xml) and device.id not in present
    ]


def needs_for_former_cards(domain: Domain, snapshot: DomainSnapshot) -> Needs:
    """What the person must be allowed where going back takes a network filter away that was assigned since."""
    present = _present_xml(domain)
    return [need for xml in held_definitions(snapshot.xml) for need in needs_to_become(domain, present, xml)][:1]


def takes_back_settings(domain: Domain, snapshot: DomainSnapshot) -> bool:
    """Whether it had other shares of its host then, or named other files of it, than it has by now."""
    present = _present_xml(domain)
    # As it was stored, where both are known: what runs has more that libvirt fills in.
    then = list(held_definitions(snapshot.xml))[-1:] if present else []
    return any(
        section_names_of_the_host(key, changed_values(section_values(present, key), section_values(xml, key)))
        for xml in then
        for key in SECTIONS
    )


def _why_address_taken(domain: Domain, snapshot: DomainSnapshot) -> str:
    """Cards that it gets back, with an address that another machine was given meanwhile."""
    if domain.hypervisor is None:
        return ""
    then = {mac for xml in held_definitions(snapshot.xml) for mac in _macs(xml)}
    for mac in sorted(then - set(_macs(_present_xml(domain)))):
        if machine_with_mac(mac, domain.hypervisor.hypervisor_pool, apart_from=domain):
            return _("The MAC address %(mac)s is in use in the pool.") % {"mac": mac}
    return ""


def _macs(xml: str) -> list[str]:
    cards = (one for one in list_devices(xml) if one.type_key == "interface") if xml else ()
    return [mac for card in cards if (mac := str(card.values.get("mac", "")).lower())]


def _why_needed(domain: Domain, volume: Volume, own: set[tuple[str, str]]) -> str:
    overlays = [one.name for one in overlays_of(volume) if not own.intersection(_names(one))]
    reason = in_use_text(users_apart_from(domain, volume), overlays)
    return _("“%(volume)s”: %(reason)s") % {"volume": volume.name, "reason": reason} if reason else ""


def _own_files(domain: Domain, snapshots: Sequence[DomainSnapshot]) -> set[tuple[str, str]]:
    """What the machine runs from or starts from, and all that its snapshots have set apart."""
    paths = {path for one in snapshots for path in one.overlays.values()}
    definition = DomainDefinition.objects.filter(domain=domain).first()
    for xml in (definition.live_xml, definition.inactive_xml) if definition is not None else ():
        paths |= {reference.path for reference in find_references(xml)} if xml else set()
    return {name for one in _volumes_at(domain, paths) for name in _names(one)}


def _names(volume: Volume) -> tuple[tuple[str, str], ...]:
    """One is the same for a file of shared storage, whichever host's row tells of it, and proved or not."""
    return (str(volume.storage_pool.storage_key), volume.name), ("", posixpath.normpath(volume.path))


def _volumes_at(domain: Domain, paths: Collection[str]) -> list[Volume]:
    wanted = {posixpath.normpath(path) for path in paths if path} | set(paths)
    rows = Volume.objects.present().filter(storage_pool__hypervisor=domain.hypervisor_id, path__in=wanted)
    return list(rows.select_related("storage_pool__hypervisor").order_by("pk"))


def _present_xml(domain: Domain) -> str:
    definition = DomainDefinition.objects.filter(domain=domain).first()
    return "" if definition is None else definition.inactive_xml or definition.live_xml
