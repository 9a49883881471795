"""An examined appliance as plain JSON values and back: a row keeps it between the look and the import."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hypervisors.imaging.appliances import DiskFacts, ExaminedAppliance, PackagedDisk
from hypervisors.imaging.manifest import Digest
from hypervisors.imaging.ovf import Appliance, ApplianceCard, ApplianceDisk


def appliance_to_json(examined: ExaminedAppliance) -> dict[str, Any]:
    return asdict(examined)


def appliance_from_json(stored: Mapping[str, Any]) -> ExaminedAppliance:
    """Raises: KeyError, TypeError for what another version wrote."""
    disks = tuple(packaged_disk_from_json(disk) for disk in stored["disks"])
    described = dict(stored["appliance"])
    described["disks"] = tuple(ApplianceDisk(**disk) for disk in described["disks"])
    described["cards"] = tuple(ApplianceCard(**card) for card in described["cards"])
    for name in ("licences", "not_mapped"):
        described[name] = tuple(described[name])
    return ExaminedAppliance(
        kind=stored["kind"],
        appliance=Appliance(**described),
        disks=disks,
        descriptor_sha256=stored["descriptor_sha256"],
        warnings=tuple(stored["warnings"]),
    )


def packaged_disk_to_json(disk: PackagedDisk) -> dict[str, Any]:
    return asdict(disk)


def packaged_disk_from_json(stored: Mapping[str, Any]) -> PackagedDisk:
    """Raises: KeyError, TypeError for what another version wrote."""
    values = dict(stored)
    values["disk"] = ApplianceDisk(**values["disk"])
    values["digest"] = None if values.get("digest") is None else Digest(**values["digest"])
    values["facts"] = None if values.get("facts") is None else DiskFacts(**values["facts"])
    return PackagedDisk(**values)
